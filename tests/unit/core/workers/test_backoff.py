"""When the next worker may come."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import backoff, states
from htcdask_operator.core.workers.backoff import Backoff
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.states import State, Worker
from tests.builders import NOW, POOL, make_job, make_policy
from tests.unit.core.workers.ended import failed
from tests.unit.core.workers.pairs import a_pool, wanted

POLICY = make_policy()


def worker(state: State, started_ago: float = 5) -> Worker:
    return Worker(make_job("x", JobStatus.RUNNING, started_at=NOW - started_ago), state)


def look(*found: Failure, workers: tuple[Worker, ...] = (), succeeded_at: float = 0.0) -> Backoff:
    return backoff.after(found, workers, POLICY, NOW, succeeded_at)


def test_without_failures_everything_may_come() -> None:
    assert look() == Backoff()


@pytest.mark.parametrize(("events", "pause"), [(1, 10), (2, 20), (3, 40), (4, 80)])
def test_the_pause_doubles_with_each_event(events: int, pause: int) -> None:
    streak = [failed(ago) for ago in range(1, 1 + events)]
    found = look(*streak)
    assert (found.allowed, found.until, found.stalled) == (0, NOW - 1 + pause, None)


def test_after_the_pause_one_worker_is_on_trial() -> None:
    assert look(failed(11)).allowed == 1
    assert look(failed(11), workers=(worker(State.IDLE),)).allowed == 0
    assert look(failed(11), workers=(worker(State.HELD),)).allowed == 1, "a paused one tries nothing"
    early = worker(State.STARTING)._replace(early=True)
    assert look(failed(11), workers=(early,)).allowed == 1, "nor does one that waits for its turn in its slot"


def test_a_worker_that_was_of_use_since_clears_all_and_one_that_has_just_connected_lets_others_come() -> None:
    failures, young = (failed(11), failed(30)), (worker(State.CONNECTED),)
    assert look(*failures, workers=young, succeeded_at=NOW - 10) == Backoff()
    assert look(*failures, workers=young).until == NOW + 9
    assert look(failed(21), failed(30), workers=young).allowed is None


def test_somebody_looks_when_a_worker_becomes_of_use_and_so_ends_a_pause() -> None:
    world = a_pool(1)
    (job,) = world.workers()
    time = timestamps.written(world.now - 5)
    times = tuple(
        Failure(time=time, worker=f"w{number}", reason=reasons.WORKER_FAILED) for number in range(5)
    )
    known = world.memory.pools[POOL]
    world.memory = replace(world.memory, pools={POOL: replace(known, ledger=Ledger(failures=times))})
    wanted(world, 2)
    world.now += 1
    world.settle()
    assert len(world.workers()) == 1, "the pause"
    wake_at = world.plan().wake_at
    assert job.started_at is not None
    assert wake_at == job.started_at + states.EARLY_SECONDS
    world.now = wake_at
    world.settle()
    assert len(world.workers()) == 2


def test_a_worker_that_nobody_names_lets_others_come_once_it_had_the_time_to_fail() -> None:
    young, old = worker(State.UNNAMED), worker(State.UNNAMED, POLICY.connect_seconds)
    assert look(failed(21), failed(30), workers=(young,)).allowed == 0
    assert look(failed(21), failed(30), workers=(young, old)).allowed is None


def test_failures_of_an_hour_ago_are_forgotten() -> None:
    long_ago = [failed(3600 + 60 * number) for number in range(5)]
    assert look(*long_ago) == Backoff()
    assert look(failed(1), *long_ago).until == NOW + 9


def test_each_reason_is_counted_by_itself() -> None:
    evictions = [failed(ago, reasons.EVICTED) for ago in range(1, 30)]
    crashes = [failed(ago) for ago in (40, 90, 140, 170, 190)]
    assert look(*evictions, *crashes).stalled == reasons.WORKERS_KEEP_FAILING
    assert look(failed(1, reasons.WORKER_KILLED), failed(2)).until == NOW + 9


def test_what_is_evicted_at_once_for_ever_is_tried_ever_more_slowly_and_nobody_is_called() -> None:
    streak = [failed(ago, reasons.EVICTED_EARLY) for ago in (1, 90, 140, 170, 190, 200, 210)]
    found = look(*streak)
    assert (found.allowed, found.until, found.stalled) == (0, NOW + 599, None)


def test_three_removals_by_somebody_else_are_a_person_s_turn() -> None:
    streak = [failed(ago, reasons.REMOVED_BY_OTHERS) for ago in (1, 30, 60)]
    assert look(*streak[:2]).stalled is None
    assert look(*streak).stalled == reasons.REMOVED_BY_OTHERS


def test_workers_that_were_connected_before_do_not_clear_but_nobody_is_on_trial() -> None:
    old = worker(State.CONNECTED, started_ago=500)
    assert look(failed(1), workers=(old,)).until == NOW + 9
    assert look(failed(11), workers=(old,)).allowed is None


def test_five_events_with_nobody_connected_stall() -> None:
    streak = [failed(ago) for ago in (1, 90, 140, 170, 190)]
    assert look(*streak) == Backoff(0, NOW + 599, reasons.WORKERS_KEEP_FAILING, "It died.")
    assert look(*streak, workers=(worker(State.CONNECTED, 500),)).stalled is None


@pytest.mark.parametrize("reason", [reasons.EVICTED, reasons.RUN_TIME_OVER, reasons.CONTACT_LOST])
def test_what_is_nobody_s_fault_costs_nothing(reason: str) -> None:
    assert look(*[failed(ago, reason) for ago in range(5)]).allowed is None


def test_a_machine_that_failed_costs_a_flat_pause() -> None:
    streak = [failed(ago, reasons.MACHINE_FAILED) for ago in (1, 2, 3)]
    assert (look(*streak).until, look(*streak).stalled) == (NOW + 9, None)


def test_an_image_that_two_machines_cannot_run_is_bad_and_one_machine_proves_nothing() -> None:
    assert look(failed(1, reasons.BAD_IMAGE), failed(9, reasons.BAD_IMAGE)).stalled is None
    two = (failed(1, reasons.BAD_IMAGE), failed(9, reasons.BAD_IMAGE, "node2"))
    assert look(*two).stalled == reasons.BAD_IMAGE


def test_a_site_s_hold_stalls_at_once() -> None:
    found = look(failed(1, reasons.HELD_BY_SITE))
    assert (found.stalled, found.until) == (reasons.HELD_BY_SITE, NOW + 599)


def test_the_last_failure_is_told() -> None:
    assert look(failed(1), failed(9)).why == "It died."
