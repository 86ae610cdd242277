"""What the status remembers of workers that ended; those that end together are one event."""

from __future__ import annotations

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.actions import ReadLogs, Remove, SubmitWorkers
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import backoff, failures
from htcdask_operator.core.workers.failures import Record
from htcdask_operator.core.workers.states import State, Worker
from tests.builders import NOW, POOL, make_cluster, make_job, make_observed, make_policy, make_pool, plan_for
from tests.unit.core.planned import ANCHOR, POLICY, kinds, removed
from tests.unit.core.workers.ended import failed


def test_a_failed_worker_is_recorded_forgotten_and_its_log_asked_for() -> None:
    failed = make_job("bad", JobStatus.COMPLETED, exit_code=3)
    planned = plan_for([make_pool()], make_observed(make_cluster(1), [ANCHOR, failed]), POLICY, NOW)
    assert planned.actions == (
        Remove(POOL, ("bad.0",), "HTCDask: it is over and recorded"),
        ReadLogs(POOL, "1.0", ("bad",)),
    )
    status = planned.statuses[POOL]
    (failure,) = status.recent_failures
    assert (status.failed, failure.worker, failure.reason, failure.exit_code) == (1, "bad", "WorkerFailed", 3)
    assert planned.wake_at == NOW + 10, "the next worker comes after a pause"


def test_a_log_that_came_is_shown_and_not_asked_for_again() -> None:
    failure = Failure(time=timestamps.written(NOW - 1), worker="bad", reason="WorkerFailed")
    pool = make_pool(status=PoolStatus(recent_failures=(failure,)))
    said = "htcdask: worker bad on node ended with 1; its last lines:\n" + "x" * 2000 + "end"
    planned = plan_for([pool], make_observed(jobs=[ANCHOR]), POLICY, NOW, logs={"bad": said})
    assert planned.actions == ()
    tail = planned.statuses[POOL].recent_failures[0].log_tail
    assert tail is not None and len(tail) == 1024 and tail.endswith("end")


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("root:x:0:0\nalice:secret\n", ""),
        ("htcdask: worker other on node ended with 1; its last lines:\nof another pool\n", ""),
        ("2026 INFO htcdask: worker bad on node ended with 1\nsecret", ""),
        ("htcdask: worker badly on node ended with 1\nsecret", ""),
        (
            "a=1\nFATAL:   exec /bin/bash failed: no such file or directory\nsecret\n",
            "FATAL:   exec /bin/bash failed",
        ),
        (
            "mktemp: not found\nhtcdask: worker bad on node ended: cannot make a folder in /tmp\n",
            "mktemp: not",
        ),
    ],
)
def test_only_what_the_worker_itself_printed_is_shown(came: str, shown: str) -> None:
    """A job can leave a link to any file of the execute node in the place of its standard output."""
    failure = Failure(time=timestamps.written(NOW - 1), worker="bad", reason="WorkerFailed")
    pool = make_pool(status=PoolStatus(recent_failures=(failure,)))
    planned = plan_for([pool], make_observed(jobs=[ANCHOR]), POLICY, NOW, logs={"bad": came})
    tail = planned.statuses[POOL].recent_failures[0].log_tail
    assert tail is not None and tail.startswith(shown) and "secret" not in tail and "another" not in tail
    assert bool(tail) == bool(shown)


def test_a_retired_worker_is_finished_and_not_replaced() -> None:
    done = make_job("done", JobStatus.COMPLETED, exit_code=0, started_at=NOW - 100)
    planned = plan_for([make_pool()], make_observed(make_cluster(0), [ANCHOR, done]), POLICY, NOW)
    assert removed(planned.actions) == ["done.0"]
    assert (planned.statuses[POOL].finished, planned.statuses[POOL].failed) == (1, 0)


@pytest.mark.parametrize(("wanted", "failed"), [(0, 0), (1, 1)], ids=["retired", "of no use"])
def test_a_worker_that_ended_at_once_failed_only_if_it_was_wanted(wanted: int, failed: int) -> None:
    brief = make_job("brief", JobStatus.COMPLETED, exit_code=0, started_at=NOW - 7)
    planned = plan_for([make_pool()], make_observed(make_cluster(wanted), [ANCHOR, brief]), POLICY, NOW)
    assert planned.statuses[POOL].failed == failed
    assert planned.statuses[POOL].finished == 1 - failed


def test_a_worker_whose_execute_node_died_is_recorded_removed_and_replaced() -> None:
    lost = make_job("lost", JobStatus.RUNNING, started_at=NOW - 900)
    observed = make_observed(make_cluster(1), [ANCHOR, lost])
    planned = plan_for([make_pool()], observed, POLICY, NOW, dropped={"lost": NOW - 120})
    assert kinds(planned.actions) == [Remove, SubmitWorkers]
    (failure,) = planned.statuses[POOL].recent_failures
    assert (failure.reason, failure.worker, failure.log_tail) == ("ContactLost", "lost", "")
    assert "is the execute node there?" in failure.message


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
    assert backoff.after(first.recent, (), make_policy(), NOW).until == NOW + 10
    later = recorded(PoolStatus(recent_failures=first.recent), [], {}, NOW + 10)
    assert later.recent == first.recent
    assert backoff.after(later.recent, (), make_policy(), NOW + 10).allowed == 1
