"""What each job is, and what held and vacated jobs mean."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_operator.core import reasons
from htcdask_operator.core.model import JobStatus, Role, Unnamed
from htcdask_operator.core.workers.states import LIVE, State, Worker, judge
from tests.builders import NOW, SCHEDULER_SILENT, make_job, make_observed, make_policy

R = JobStatus.RUNNING
H = JobStatus.HELD
C = JobStatus.COMPLETED

CASES: dict[str, tuple[JobStatus, dict[str, Any], State]] = {
    "a job that waits for a slot is idle": (JobStatus.IDLE, {}, State.IDLE),
    "an idle job that has run is over": (JobStatus.IDLE, {"shadow_starts": 1}, State.FAILED),
    "a reconnect is no second life": (R, {"shadow_starts": 2, "reconnects": 1}, State.STARTING),
    "a job whose files are being sent is being submitted": (
        H,
        {"hold_code": 16, "queued_at": NOW - 119},
        State.SUBMITTING,
    ),
    "a job whose files never come is over": (H, {"hold_code": 16, "queued_at": NOW - 121}, State.FAILED),
    "a job whose files came is being submitted until the schedd says so": (
        H,
        {"hold_code": 16, "stage_in_finish": NOW - 110, "queued_at": NOW - 121},
        State.SUBMITTING,
    ),
    "a job whose files came and that the schedd never lets go is over": (
        H,
        {"hold_code": 16, "stage_in_finish": NOW - 121, "queued_at": NOW - 125},
        State.FAILED,
    ),
    "a worker that runs is starting": (R, {}, State.STARTING),
    "a worker that the scheduler does not know after two minutes is not connected": (
        R,
        {"started_at": NOW - 121},
        State.NOT_CONNECTED,
    ),
    "a worker that the scheduler knows is connected": (R, {"worker": "known"}, State.CONNECTED),
    "a worker that the scheduler dropped is disconnected": (R, {"worker": "dropped"}, State.DISCONNECTED),
    "a worker that the scheduler dropped and that did not end is over": (
        R,
        {"worker": "lost", "started_at": NOW - 999},
        State.FAILED,
    ),
    "transferring output is running": (JobStatus.TRANSFERRING_OUTPUT, {"worker": "known"}, State.CONNECTED),
    "a suspended worker is there": (JobStatus.SUSPENDED, {"worker": "known"}, State.SUSPENDED),
    "a removed job counts as removed until it is gone": (
        JobStatus.REMOVED,
        {"machine": "node7"},
        State.REMOVED,
    ),
    "a job in an unknown state is kept": (JobStatus.UNKNOWN, {"worker": "known"}, State.KEPT),
    "a job of an unknown role is kept": (R, {"role": Role.UNKNOWN, "worker": "known"}, State.KEPT),
    "a job of an unknown role that ended is kept": (C, {"role": Role.UNKNOWN}, State.KEPT),
    "a job of an unknown role may be on its way out": (
        JobStatus.REMOVED,
        {"role": Role.UNKNOWN},
        State.REMOVED,
    ),
    "another identity's worker is kept": (R, {"owner": "old@x", "worker": "known"}, State.KEPT),
    "another identity's idle worker is kept": (JobStatus.IDLE, {"owner": "old@x"}, State.KEPT),
    "another identity's vacated worker is kept": (
        JobStatus.IDLE,
        {"owner": "old@x", "shadow_starts": 1},
        State.KEPT,
    ),
    "another identity's held worker is kept": (H, {"owner": "old@x", "hold_code": 34}, State.KEPT),
    "another identity's finished worker is on its way out": (C, {"owner": "old@x"}, State.REMOVED),
    "a job held by a person is theirs": (H, {"hold_code": 1}, State.HELD),
    "a job held for its memory is over": (H, {"hold_code": 34}, State.FAILED),
    "a job held for no reason is over": (H, {}, State.FAILED),
    "exit code 0 is the end of a retired worker": (
        C,
        {"exit_code": 0, "started_at": NOW - 99},
        State.FINISHED,
    ),
    "exit code 0 at once is a failure": (C, {"exit_code": 0, "started_at": NOW - 8}, State.FAILED),
    "another exit code is a failure": (C, {"exit_code": 3}, State.FAILED),
    "a signal is a failure": (C, {"exit_signal": 9}, State.FAILED),
}


@pytest.mark.parametrize("sentence", CASES)
def test_what_a_job_is(sentence: str) -> None:
    status, facts, state = CASES[sentence]
    job = make_job(facts.pop("worker", "w1"), status, **facts)
    observed, dropped = make_observed(connected=["known"]), {"dropped": NOW - 3, "lost": NOW - 300}
    assert judge(job, observed, dropped, make_policy(), NOW).state is state


def test_a_suspended_worker_is_replaced_after_as_long_as_the_site_says() -> None:
    job = make_job("a", JobStatus.SUSPENDED, status_since=NOW - 600, machine="node7")

    def judged(suspended_seconds: float | None) -> Worker:
        return judge(job, make_observed(), {}, make_policy(suspended_seconds=suspended_seconds), NOW)

    assert [judged(seconds).state for seconds in (None, 601, 600)] == [
        State.SUSPENDED,
        State.SUSPENDED,
        State.FAILED,
    ]
    assert judged(None).message == (
        "HTCondor has suspended worker a on node7; it goes on when its machine allows it."
    )
    assert judged(600).message == "Worker a was suspended on node7 for 10 min, and is replaced."


def test_a_running_worker_is_not_judged_while_the_scheduler_is_silent() -> None:
    assert judge(
        make_job("a", R), make_observed(connected=SCHEDULER_SILENT), {}, make_policy(), NOW
    ).state is (State.NOT_ASKED)


def test_a_running_worker_is_neither_idle_nor_lost_where_the_scheduler_names_nobody() -> None:
    job = make_job("a", R, started_at=NOW - 999)
    assert judge(job, make_observed(connected=Unnamed()), {"a": NOW - 500}, make_policy(), NOW).state is (
        State.UNNAMED
    )


def test_every_status_of_htcondor_has_a_state() -> None:
    for status in JobStatus:
        assert judge(make_job("a", status), make_observed(), {}, make_policy(), NOW).state in State


def test_what_is_over_has_a_reason_and_a_sentence_and_is_not_live() -> None:
    bad = judge(make_job("a", C, exit_code=139, started_at=NOW - 65), make_observed(), {}, make_policy(), NOW)
    assert bad.state not in LIVE
    assert bad.reason == reasons.WORKER_FAILED
    assert bad.message == "Worker a ended with exit code 139 after 60 s on node7."
    killed = judge(make_job("a", C, exit_code=137), make_observed(), {}, make_policy(), NOW)
    assert "ended with exit code 137 (killed by signal 9: often a lack of memory)" in killed.message


@pytest.mark.parametrize(
    ("used", "asked", "reason"),
    [
        (2100, 2048, "OutOfResources"),
        (2048, 2048, "OutOfResources"),
        (100, 2048, "MachineRefused"),
        (None, 2048, "MachineRefused"),
        (2100, None, "MachineRefused"),
    ],
)
def test_a_machine_is_not_to_blame_for_a_job_that_takes_too_much_memory(
    used: int | None, asked: int | None, reason: str
) -> None:
    job = make_job("a", H, hold_code=21, memory_mib=used, request_memory_mib=asked, hold_reason="a rule")
    worker = judge(job, make_observed(), {}, make_policy(), NOW)
    assert worker.reason == reason
    assert ("It had used 2100 MiB of memory and asked for 2048 MiB" in worker.message) == (
        (used, asked) == (2100, 2048)
    )
