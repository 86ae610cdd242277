"""Which N is acted on, when the scheduler keeps changing its mind."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcdask_operator.core.scaling.stabilization import PATIENCE_SECONDS, STILL_SECONDS, Demand, follow

Heard = Iterable[tuple[float, int]]


def acted_on(heard: Heard, until: float) -> list[tuple[float, int]]:
    """What is acted on, and when it changes: looked at whenever something is heard, and at each recheck."""
    wanted: Demand | None = None
    told: list[tuple[float, int]] = []

    def look(number: int, now: float) -> None:
        nonlocal wanted
        wanted = follow(wanted, number, now)
        if not told or told[-1][1] != wanted.acted_on:
            told.append((now, wanted.acted_on))

    last = 0
    for now, number in [*heard, (until, None)]:
        while wanted is not None and wanted.recheck_at is not None and wanted.recheck_at < now:
            look(last, wanted.recheck_at)
        if number is not None:
            last = number
            look(last, now)
    return told


def flapping(seconds: float, step: float, *numbers: int) -> list[tuple[float, int]]:
    """These numbers in turn."""
    times = [step * number for number in range(int(seconds / step))]
    return [(now, numbers[number % len(numbers)]) for number, now in enumerate(times)]


@pytest.mark.parametrize(
    ("heard", "until", "expected"),
    [
        ([(0, 0), (10, 4)], 100, [(0, 0), (10, 4)]),
        ([(0, 0), (1, 4), (2, 0), (3, 4)], 100, [(0, 0), (1, 4), (2, 0), (3, 4)]),
        (
            [(n, n) for n in range(50)],
            100,
            [(n, n) for n in range(50)],
        ),
        (
            [(n, 50 - n) for n in range(50)],
            100,
            [(n, 50 - n) for n in range(50)],
        ),
        (
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9), (6, 0), (7, 9)],
            100,
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9)],
        ),
        (
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9), (6, 0)],
            100,
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9), (11, 0)],
        ),
        (
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9), (6, 0), (80, 4)],
            100,
            [(0, 0), (1, 9), (2, 0), (3, 9), (4, 0), (5, 9), (11, 0), (80, 4)],
        ),
        (
            flapping(200, 1, 1000, 0),
            300,
            [(0, 1000), (1, 0), (2, 1000), (3, 0), (4, 1000), (5, 0)],
        ),
        (
            flapping(200, 1, 0, 1000),
            300,
            [(0, 0), (1, 1000), (2, 0), (3, 1000), (4, 0), (5, 1000), (36, 0), (204, 1000)],
        ),
        (
            flapping(100, 3, 8, 10, 9, 10),
            200,
            [(0, 8), (3, 10), (6, 9), (9, 10), (12, 8), (15, 10), (48, 8), (103, 8)][:7],
        ),
    ],
    ids=[
        "scale(4)",
        "a person who is not sure",
        "an adapt() that grows",
        "an adapt() that shrinks",
        "back to where it was",
        "held until it has stood",
        "the past is forgotten after a minute",
        "a flood: it ends on nothing",
        "a flood: nothing once in 30 s, and the last word in the end",
        "an adapt() that is not sure is followed from below",
    ],
)
def test_which_number_is_acted_on(heard: Heard, until: float, expected: list[tuple[float, int]]) -> None:
    assert acted_on(heard, until) == expected


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 1000)), min_size=1, max_size=60))
def test_the_last_word_is_acted_on_in_the_end_and_soon(steps: list[tuple[float, int]]) -> None:
    now, heard = 0.0, []
    for after, number in steps:
        now += after
        heard.append((now, number))
    told = acted_on(heard, now + STILL_SECONDS + 0.001)
    assert told[-1][1] == steps[-1][1]


@given(st.lists(st.tuples(st.floats(0.01, 4), st.integers(0, 1000)), min_size=30, max_size=200))
def test_no_flood_has_more_than_a_few_turns_in_a_minute(steps: list[tuple[float, int]]) -> None:
    now, heard = 0.0, []
    for after, number in steps:
        now += after
        heard.append((now, number))
    told = acted_on(heard, now)
    turns = [
        told[n][0]
        for n in range(2, len(told))
        if (told[n][1] > told[n - 1][1]) != (told[n - 1][1] > told[n - 2][1])
    ]
    for first in turns:
        assert (
            sum(first <= at < first + 60 for at in turns)
            <= 4 + 2 * (60 / PATIENCE_SECONDS) + 60 / STILL_SECONDS
        )


def test_each_number_that_was_acted_on_was_asked_for() -> None:
    heard = flapping(300, 0.7, 3, 900, 40, 7, 800)
    assert {number for _, number in acted_on(heard, 400)} <= {3, 900, 40, 7, 800}
