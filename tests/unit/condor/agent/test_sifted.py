"""Whoever cannot be asked is found among many, in bounded time, by a bounded number of children."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

import pytest

from htcdask_operator.condor.agent import sifted
from htcdask_operator.condor.errors import CondorError


def work(ads: Sequence[str]) -> list[str]:
    """What some of them do to whoever asks."""
    for ad in ads:
        if ad == "deadly":
            os.kill(os.getpid(), signal.SIGSEGV)
        while ad == "endless":
            pass
        if ad == "asleep":
            time.sleep(60)
    return [ad.upper() for ad in ads]


def test_nobody_is_asked_of_nothing() -> None:
    assert sifted.sifted("it", work, []) == []


@pytest.mark.parametrize("bad", ["deadly", "endless"])
@pytest.mark.parametrize("at", [0, 41, 99])
def test_one_that_cannot_be_asked_is_left_out_alone(
    bad: str, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sifted, "SECONDS", 60.0)  # on a machine that has other work, too
    ads = ["good"] * 100
    ads[at] = bad
    found = sifted.sifted("it", work, ads)
    assert [index for index, answer in enumerate(found) if answer is None] == [at]
    assert found.count("GOOD") == 99


def test_many_of_one_place_leave_most_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 500 slots among 3,000: more than all children can tell apart."""
    monkeypatch.setattr(sifted, "SECONDS", 60.0)
    children, fork = [0], os.fork

    def counted() -> int:
        children[0] += 1
        return fork()

    monkeypatch.setattr(os, "fork", counted)
    ads = ["good"] * 2000 + ["deadly"] * 500 + ["good"] * 500
    found = sifted.sifted("it", work, ads)
    assert children[0] <= sifted.CHILDREN
    assert found.count("GOOD") > 2400


@pytest.mark.parametrize("bad", ["endless", "asleep"])
def test_the_time_of_all_is_bounded(bad: str) -> None:
    began = time.monotonic()
    with pytest.raises(CondorError, match=r"^it takes too much time or memory"):
        sifted.sifted("it", work, [bad] * 3000)
    assert time.monotonic() - began < sifted.SECONDS + 2
