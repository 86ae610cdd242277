"""When nobody matches jobs and slots, by the collector's own clock; what nobody tells is no sign."""

from __future__ import annotations

from typing import Any

import classad2
import pytest

from htcdask_operator.condor.agent import negotiator

NOW = 1_795_000_000  # the collector's
SKEW = 5_000  # so far ahead is the negotiator's clock


def ad(**numbers: int | str) -> Any:
    lines = "".join(f"{name} = {value}\n" for name, value in numbers.items())
    return classad2.parseOne(lines, classad2.ParserType.Old)


def cycle(ended: int, heard: int = 0, skew: int = SKEW) -> Any:
    """An ad of one that ended its last cycle `ended` seconds ago, and was heard of `heard` ago."""
    there = NOW - heard
    return ad(LastNegotiationCycleEnd0=NOW - ended + skew, MyCurrentTime=there + skew, LastHeardFrom=there)


SLOTS = [ad(LastHeardFrom=NOW - 200), ad(LastHeardFrom=NOW)]
CASES: dict[str, tuple[list[Any] | None, tuple[int | None, float | None]]] = {
    "nobody says": (None, (None, None)),
    "none is known": ([], (0, None)),
    "at work": ([cycle(30)], (1, None)),
    "not yet told of": ([cycle(290, 290)], (1, None)),
    "a long cycle": ([cycle(1100)], (1, None)),
    "no cycle ends": ([cycle(1800)], (1, 1800.0)),
    "not heard of": ([cycle(720, 700)], (1, 720.0)),
    "one of two works": ([cycle(7200), cycle(30)], (2, None)),
    "none of two works": ([cycle(7200), cycle(1800)], (2, 1800.0)),
    "one that just started": ([ad(DaemonStartTime=NOW - 9, MyCurrentTime=NOW, LastHeardFrom=NOW)], (1, None)),
    "one that never had a cycle": (
        [ad(DaemonStartTime=NOW - 9000, MyCurrentTime=NOW, LastHeardFrom=NOW)],
        (1, 9000.0),
    ),
    "one that tells nothing": ([ad(A=1)], (1, None)),
    "one that tells nothing, silent": ([ad(LastHeardFrom=NOW - 660)], (1, 660.0)),
    "one of itself": ([ad(LastHeardFrom='MY["LastHeardFrom"]')], (1, None)),
}


@pytest.mark.parametrize("case", CASES)
def test_whether_anybody_matches(case: str) -> None:
    negotiators, expected = CASES[case]
    found = negotiator.work(negotiators, SLOTS)
    assert (found["negotiators"], found["quiet"]) == expected


def test_without_slots_the_collector_may_have_learned_nothing_yet() -> None:
    assert negotiator.work([], []) == {"negotiators": None, "quiet": None}
