"""When workers retire by themselves: in time, and one after the other."""

from __future__ import annotations

import itertools

import pytest

from htcdask_operator.core.submit import worker_names
from htcdask_operator.core.workers import lifetime
from tests.builders import NOW, POOL


@pytest.mark.parametrize(
    ("may_run", "works"),
    [(None, None), (300, 192), (600, 507), (3600, 3240), (28_800, 28_200), (31_536_000, 31_535_400)],
)
def test_a_worker_retires_before_htcondor_would_end_it(may_run: int | None, works: int | None) -> None:
    assert lifetime.of_runtime(may_run) == works


@pytest.mark.parametrize("may_run", [300, 900, 28_800])
def test_no_stagger_takes_a_worker_beyond_what_its_job_may_run(may_run: int) -> None:
    works = lifetime.of_runtime(may_run)
    assert works is not None
    names = worker_names.new_names(POOL, 1000, (), NOW)
    ends = [lifetime.of_worker(works, name) for name in names]
    assert works - lifetime.stagger(works) <= min(ends)
    assert max(ends) <= works + lifetime.stagger(works) < may_run


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_workers_that_started_together_retire_evenly(count: int) -> None:
    ends = sorted(lifetime.of_worker(28_200, name) for name in worker_names.new_names(POOL, count, (), NOW))
    gaps = [later - sooner for sooner, later in itertools.pairwise(ends)]
    assert max(gaps) <= 3 * 600 / count + 1, "of the ten minutes in which they retire"


@pytest.mark.parametrize("name", ["", "w1", "x-1", "worker.7", "ÄÖÜ", "٣٣٣"])
def test_every_name_has_a_lifetime(name: str) -> None:
    assert 132 <= lifetime.of_worker(192, name) <= 252


@pytest.mark.parametrize("may_run", [300, 600, 900, 1200, 1800, 28_800])
def test_of_two_workers_that_started_together_one_is_there_when_the_other_retires(may_run: int) -> None:
    """Its successor begins to connect half a minute later."""
    works = lifetime.of_runtime(may_run)
    assert works is not None
    for count in (2, 3, 5):
        names = worker_names.new_names(POOL, count, (), NOW)
        ends = sorted(lifetime.of_worker(works, name) for name in names)
        assert ends[-1] - ends[0] >= 40
