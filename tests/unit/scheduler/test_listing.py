"""The JSON of a scheduler without its pages: names, or a number, and nothing that is believed."""

import json
import tracemalloc
from collections.abc import Callable, Collection
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcdask_operator.core.model import SchedulerWorkers, Unnamed
from htcdask_operator.scheduler import listing
from htcdask_operator.scheduler.page import NotAPageError

OURS = frozenset({"w1", "w2"})


@pytest.mark.parametrize(
    ("text", "connected", "others"),
    [
        ('{"num_workers": 0, "workers": []}', "", 0),
        ('{"workers": [{"name": "w1", "address": "tls://node:1"}]}', "w1", 0),
        ('{"workers": [{"name": "w2"}, {"name": 0}, {"name": "other"}, {}, 7, ["w1"]]}', "w2", 5),
        ('{"workers": [{"name": "w1"}, {"name": "w1"}]}', "w1", 1),
        ('{"workers": [{"name": {"w1": 1}}, {"name": ["w1"]}]}', "", 2),
    ],
    ids=["nobody", "one", "others are counted and forgotten", "a name twice", "no names"],
)
def test_names_are_read_and_each_may_be_busy(text: str, connected: str, others: int) -> None:
    there = frozenset(connected.split())
    assert listing.read(b"head" + text.encode(), OURS, 4) == SchedulerWorkers(there, there, others)


def test_of_a_number_zero_alone_says_who_is_connected() -> None:
    assert listing.nobody(b'{"workers": 0}', OURS) == SchedulerWorkers()
    assert listing.nobody(b'{"workers": 2}', OURS) == Unnamed()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "[]",
        "[" * 100_000,
        '{"workers": ' * 10_000,
        '{"workers": 1e999999999}',
        '{"workers": true}',
        '{"workers": false}',
        '{"workers": -1}',
        '{"workers": 0.0}',
        '{"workers": "0"}',
        '{"workers": {"w1": {}}}',
        '{"workers": ' + "9" * 100_000 + "}",
        "\0" * 1000,
    ],
    ids=lambda text: f"{len(text)} letters: {text[-30:]!r}",
)
def test_what_is_neither_is_no_answer(text: str) -> None:
    for read in (listing.read, listing.nobody):
        with pytest.raises(NotAPageError):
            read(text.encode(), OURS)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_whatever_the_list_holds_only_our_names_come_through(value: object) -> None:
    text = json.dumps({"workers": [value, {"name": value}, {"name": "w1"}]}).encode()
    assert listing.read(text, OURS).connected == {"w1"}


@given(st.binary(max_size=200))
def test_whatever_the_bytes_are(text: bytes) -> None:
    for read in (listing.read, listing.nobody):
        with pytest.raises(NotAPageError):
            read(text, OURS)


def real(ours: Collection[str], others: int) -> bytes:
    """As distributed writes it (`http/scheduler/api.py`)."""
    workers = [{"name": name, "address": "tls://[fd00:1234:5678:9abc::1]:40123"} for name in ours]
    workers += [{"name": f"tls://10.1.2.{n}:{n}", "address": f"tls://10.1.2.{n}:{n}"} for n in range(others)]
    return json.dumps({"num_workers": len(workers), "workers": workers}).encode()


@pytest.mark.parametrize(("count", "others"), [(0, 600), (5, 600), (1000, 5000), (4500, 15_000), (30_000, 0)])
def test_thousands_of_workers_are_an_answer(count: int, others: int) -> None:
    ours = frozenset(f"a0mcz7x1k{number:05}" for number in range(count))
    text = real(ours, others)
    assert len(text) <= listing.most_bytes(count)
    assert listing.read(text, ours) == SchedulerWorkers(ours, ours, others)


def test_our_workers_on_hosts_with_the_longest_names_are_an_answer() -> None:
    host = ".".join(["h" * 62] * 4) + "h"
    workers = [{"name": f"a0mcz7x1k{number:05}", "address": f"tls://{host}:40123"} for number in range(4500)]
    text = json.dumps({"num_workers": len(workers), "workers": workers}).encode()
    assert len(text) <= listing.most_bytes(4500)


HOSTILE: dict[str, Callable[[int], str]] = {
    "empty objects": lambda number: "{}",
    "small objects": lambda number: '{"":0}',
    "objects in objects": lambda number: '{"":{"":0}}',
    "empty lists": lambda number: "[]",
    "nested lists": lambda number: "[" * 50 + "]" * 50,
    "long numbers": lambda number: "9" * 4000,
    "longer numbers": lambda number: "9" * 2_000_000,
    "long fractions": lambda number: "0." + "7" * 4000,
    "numbers": lambda number: f"{number + 1000}",
    "keys": lambda number: f'{{"{number}":0}}',
    "texts": lambda number: f'"\N{OWL}{number}"',
    "one wide text": lambda number: f'"\N{OWL}{"x" * 2_000_000}"',
    "one escaped text": lambda number: '"\\ud83e\\udd89' + "x" * 2_000_000 + '"',
    "names": lambda number: f'{{"name": "n{number}", "address": ""}}',
}
MOST_MEMORY = 32 * 2**20  # 2.3 MB of answer, as they were sent and with four bytes a letter, and their parts


@pytest.mark.parametrize("parts", HOSTILE.values(), ids=HOSTILE)
def test_an_answer_costs_no_more_than_some_times_its_bytes(parts: Callable[[int], str]) -> None:
    most, size, many = listing.most_bytes(4500), len('{"workers":[]}'), list[str]()
    while size + len(part := parts(len(many))) < most:
        many.append(part)
        size += len(part.encode()) + 1
    for share in (1, 2, 4, 8, 16):  # one of them has nearly as many parts as there may be
        assert peak(f'{{"workers":[{",".join(many[: len(many) // share])}]}}'.encode()) < MOST_MEMORY


def peak(text: bytes) -> int:
    """Bytes of memory at the most while an answer is read as those of 4,500 workers of ours."""
    ours = [f"a0mcz7x1k{number:05}" for number in range(4500)]
    tracemalloc.start()
    try:
        for read in (listing.read, listing.nobody):
            with suppress(NotAPageError):
                read(text, ours)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
