"""A clock that nobody sets."""

from __future__ import annotations

import time

from htcdask_operator.uptime import steady, uptime


def test_whoever_sets_the_machines_clock_changes_nothing() -> None:
    calendar, running = [1_800_000_000.0], [500.0]
    clock = steady(lambda: calendar[0], lambda: running[0])
    assert clock() == 1_800_000_000
    calendar[0] -= 600
    running[0] += 7
    assert clock() == 1_800_000_007
    calendar[0] += 9999
    assert clock() == 1_800_000_007


def test_it_begins_with_the_time() -> None:
    assert abs(steady(time.time, uptime)() - time.time()) < 1
