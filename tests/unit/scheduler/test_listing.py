"""The JSON of a scheduler without its pages: names, or a number, and nothing that is believed."""

import json

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
