"""Names that are never used twice, and files that are."""

from __future__ import annotations

import re

import pytest

from htcdask_operator.core.submit import worker_names
from tests.builders import NOW


def test_names_are_short_never_numbers_and_never_taken() -> None:
    first = worker_names.new_names("uid", 3, (), NOW)
    again = worker_names.new_names("uid", 3, first, NOW)
    assert len({*first, *again}) == 6
    for name in (*first, *again, *worker_names.new_names("uid", 2, (), 0.0)):
        assert re.fullmatch(r"[a-z][0-9a-z]{11}", name)


def test_a_worker_prints_into_a_file_that_no_other_worker_in_sight_has() -> None:
    there = worker_names.new_names("uid", 5, (), NOW)
    stayed = (there[1], there[3])
    later = worker_names.new_names("uid", 3, (*stayed, "asked-for-00f", ""), NOW + 60)
    assert [worker_names.output(name) for name in there] == [f"out.00{slot}" for slot in range(5)]
    assert [worker_names.output(name) for name in later] == ["out.000", "out.002", "out.004"]


def test_a_pool_has_no_more_files_than_it_had_workers_at_a_time() -> None:
    names: tuple[str, ...] = ()
    files: set[str] = set()
    for hour in range(200):
        names = worker_names.new_names("uid", 7, names[hour % 5 :], NOW + 3600 * hour)
        files.update(map(worker_names.output, names))
    assert len(files) <= 14


def test_when_every_file_is_in_use_there_are_no_names() -> None:
    everybody = [worker_names.base36(number, 12) for number in range(36**3 - 2)]
    assert len(worker_names.new_names("uid", 9, everybody, NOW)) == 2


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("", "out."),
        ("w1", "out.w1"),
        ("k0mq3xk1n00a", "out.00a"),
        ("a/../../bundle.sh", "out._sh"),
        ("x,bundle.sh,..", "out.___"),
        ('"; x', "out.__x"),
        ("w\n,\u00e9", "out.___"),
    ],
)
def test_a_file_of_a_worker_is_a_file_of_a_worker(name: str, file: str) -> None:
    assert worker_names.output(name) == file


def test_names_differ_from_one_millisecond_to_the_next() -> None:
    times = [NOW + step / 1000 for step in range(50)]
    assert len({name for at in times for name in worker_names.new_names("uid", 2, (), at)}) == 100


def test_a_very_large_batch_is_cut() -> None:
    assert len(set(worker_names.new_names("uid", 100_000, (), NOW))) == worker_names.LARGEST_BATCH
