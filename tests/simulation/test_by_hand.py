"""Histories that chance does not draw, long or large ones, each with a mistake that it would tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from htcdask_api import Failure
from htcdask_operator.core.workers import backoff, failures, ledger
from htcdask_operator.core.workers.states import Worker
from tests.simulation import gateway, world
from tests.simulation.history import happen
from tests.simulation.promises import Broken, lives
from tests.simulation.steps import EditPool, Scale, Step
from tests.simulation.trouble import Bad, FewerJobs, Limits, LoseFiles, Wait
from tests.simulation.world import BAD_IMAGE, EATER, World

MANY = 10_000


@dataclass(frozen=True)
class Look:
    """So many workers live now."""

    count: int

    def happen(self, world: World) -> None:
        count = sum(map(lives, world.ours()))
        if count != self.count:
            raise Broken(f"{count} workers live, and {self.count} should")

    def __str__(self) -> str:
        return f"{self.count} workers live"


STALLED: Sequence[Step] = (Bad(BAD_IMAGE, 400), Scale("one", 5), Wait(200), Wait(190))
AGAIN: Sequence[Step] = (Scale("one", 6), Wait(3), Look(6))  # soon, or one has to prove itself
LOST: Sequence[Step] = (Wait(60), LoseFiles(), Scale("one", 6), Wait(60))
EATEN: Sequence[Step] = (Wait(60), Bad(EATER, 400), Scale("one", 6), Wait(200))
AT_ONCE: Sequence[Step] = (
    Limits(MANY, None, None),
    EditPool("one", "default", "maxReplicas", MANY),
    FewerJobs(100, 300),
    Scale("one", MANY),
    Wait(60),
    Look(298),  # beside the anchor, and another operator's job
)


@pytest.fixture
def of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gateway, world):
        monkeypatch.setattr(module, "MAX_WORKERS", MANY)


def test_failures_of_an_hour_ago_are_forgotten() -> None:
    happen([*STALLED, Scale("one", 0), Wait(3700), *AGAIN])


def test_it_would_be_told_if_they_were_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (backoff, ledger):
        monkeypatch.setattr(module, "FORGET_SECONDS", 10**9)
    with pytest.raises(Broken, match="1 workers live, and 6 should"):
        happen([*STALLED, Scale("one", 0), Wait(3700), *AGAIN])


def test_failures_before_a_worker_that_was_of_use_count_no_more() -> None:
    happen([*STALLED, Wait(200), Look(5), Scale("one", 0), Wait(60), *AGAIN])


def test_it_would_be_told_if_they_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.Ledger, "succeeded", lambda its, *arguments: its)
    with pytest.raises(Broken, match="1 workers live, and 6 should"):
        happen([*STALLED, Wait(200), Look(5), Scale("one", 0), Wait(60), *AGAIN])


@pytest.mark.usefixtures("of_any_size")
def test_of_ten_thousand_at_once_the_access_point_gets_what_it_takes() -> None:
    happen(AT_ONCE)


@pytest.mark.usefixtures("of_any_size")
def test_it_would_be_told_if_no_submit_became_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger.Batch, "size", lambda batch, now: ledger.LARGEST_SUBMIT)
    with pytest.raises(Broken, match="3 workers live, and 298 should"):
        happen(AT_ONCE)


def test_the_files_of_all_jobs_are_lost() -> None:
    happen(LOST)


def test_it_would_be_told_if_an_anchor_was_trusted_whose_files_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(failures, "last_at", lambda events, reason: 0.0)
    with pytest.raises(Broken, match="it comes to what is wanted"):
        happen(LOST)


def test_the_slots_of_one_machine_are_one_machine() -> None:
    happen(EATEN)


def test_it_would_be_told_if_each_slot_was_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = failures._failure

    def on_slot(worker: Worker, now: float) -> Failure:
        machine = f"{worker.job.slot}@{worker.job.machine}"
        return failure(worker, now).model_copy(update={"machine": machine})

    monkeypatch.setattr(failures, "_failure", on_slot)
    with pytest.raises(Broken, match="a machine that eats workers is avoided"):
        happen(EATEN)
