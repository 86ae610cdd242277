"""When the next worker may come; and that workers that end together are one event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import backoff, failures, states
from htcdask_operator.core.workers.backoff import Backoff
from htcdask_operator.core.workers.failures import Record
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.states import State, Worker
from tests.builders import NOW, POOL, make_job, make_policy
from tests.unit.core.workers.pairs import a_pool, wanted

POLICY = make_policy()


def failed(ago: float, reason: str = reasons.WORKER_FAILED, machine: str = "node1") -> Failure:
    name = f"w{ago:.0f}"
    return Failure(
        time=timestamps.written(NOW - ago), worker=name, reason=reason, machine=machine, message="It died."
    )


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


# --- Recording.


def recorded(status: PoolStatus, over: list[Worker], logs: dict[str, str], now: float) -> Record:
    return failures.record(failures.remembered(status), over, (), logs, now)[0]


def over(name: str, queued_ago: float = 60, reason: str = reasons.WORKER_FAILED) -> Worker:
    job = make_job(name, JobStatus.COMPLETED, exit_code=1, queued_at=NOW - queued_ago)
    return Worker(job, State.FAILED, reason, f"{name} died.")


def test_workers_that_end_together_are_one_event_and_all_counted() -> None:
    record = recorded(PoolStatus(), [over("a"), over("b"), over("c")], {}, NOW)
    assert (record.failed, [failure.worker for failure in record.recent]) == (3, ["a"])


def test_stragglers_of_an_event_belong_to_it_and_the_next_try_does_not() -> None:
    first = recorded(PoolStatus(), [over("a")], {}, NOW)
    status = PoolStatus(failed=first.failed, recent_failures=first.recent)
    later = recorded(status, [over("b")], {}, NOW + 30)
    assert (later.failed, len(later.recent)) == (2, 1)
    trial = recorded(status, [over("c", queued_ago=-10)], {}, NOW + 30)
    assert [failure.worker for failure in trial.recent] == ["c", "a"]


def test_another_reason_is_another_event() -> None:
    record = recorded(PoolStatus(), [over("a"), over("b", reason=reasons.EVICTED)], {}, NOW)
    assert [failure.reason for failure in record.recent] == [reasons.EVICTED, reasons.WORKER_FAILED]


def test_a_job_that_could_not_be_removed_is_not_counted_twice() -> None:
    once = recorded(PoolStatus(), [over("a")], {}, NOW)
    again = recorded(PoolStatus(failed=1, recent_failures=once.recent), [over("a")], {}, NOW + 100)
    assert (again.failed, again.recent) == (1, once.recent)


def test_five_events_are_remembered() -> None:
    status = PoolStatus(failed=9, recent_failures=tuple(failed(ago) for ago in (100, 200, 300, 400, 500)))
    record = recorded(status, [over("new", queued_ago=1)], {}, NOW)
    assert [failure.worker for failure in record.recent] == ["new", "w100", "w200", "w300", "w400"]


def test_an_old_failure_s_log_is_not_asked_for_for_ever() -> None:
    assert failures.missing_logs([failed(1), failed(121)], NOW) == ("w1",)


@pytest.mark.parametrize("ahead", [1, 240, 600, 10**9])
def test_a_failure_that_was_written_in_the_future_is_one_of_now(ahead: float) -> None:
    """Our clock was set back, or another machine's was ahead: that delays nobody by more than the pause."""
    status = PoolStatus(recent_failures=(failed(-ahead),))
    first = recorded(status, [], {}, NOW)
    assert look(*first.recent).until == NOW + 10
    later = recorded(PoolStatus(recent_failures=first.recent), [], {}, NOW + 10)
    assert later.recent == first.recent
    assert backoff.after(later.recent, (), make_policy(), NOW + 10).allowed == 1
