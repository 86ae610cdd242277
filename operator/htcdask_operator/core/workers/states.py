"""What each worker job is: one state for each job, from the queue's word and the scheduler's.

Called by `pools.cluster` for each pool. Total: every JobStatus has a state, and nothing is decided here but
the state and, for a job that is over, the reason and the sentence under which it is recorded.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, assert_never

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job, JobStatus, Observed, Role, Unnamed, Unseen, WorkerName
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers import endings, failure_policy, identity
from htcdask_operator.core.workers.failure_policy import HoldAction

SPOOL_SECONDS: Final = 120.0  # a submitter has 30 s in all; the rest is for clocks that differ
SLOW_SECONDS: Final = 20.0  # most workers are connected long before; who waits hears what may be wrong
EARLY_SECONDS: Final = 60.0  # a worker that ended within them was of no use


class State(enum.Enum):
    """What a worker job is to us."""

    SUBMITTING = "submitting"
    IDLE = "idle"
    STARTING = "starting"  # runs, not connected yet
    NOT_CONNECTED = "not connected"  # runs for longer than connecting takes, and is not connected
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # the scheduler dropped it; its process is about to end
    NOT_ASKED = "not asked"  # runs; the scheduler could not be asked
    UNNAMED = "unnamed"  # runs; the scheduler answers, but does not tell whom it knows
    SUSPENDED = "suspended"  # HTCondor has stopped its process for a while
    HELD = "held"  # by a person
    KEPT = "kept"  # not understood: it goes with its pool at most; another identity's: not ours to touch
    REMOVED = "removed"  # its process has not ended yet
    FINISHED = "finished"
    FAILED = "failed"  # completed, held or vacated, and over

    __hash__ = object.__hash__  # Enum's own is Python, and each job is looked up in sets many times a plan


LIVE: Final = frozenset(State) - {State.REMOVED, State.FINISHED, State.FAILED}
RUNS: Final = frozenset(
    {
        State.STARTING,
        State.NOT_CONNECTED,
        State.CONNECTED,
        State.DISCONNECTED,
        State.NOT_ASKED,
        State.UNNAMED,
    }
)
OVER: Final = frozenset({State.FINISHED, State.FAILED})
_WITH_PROCESS: Final = (
    JobStatus.UNKNOWN,
    JobStatus.RUNNING,
    JobStatus.TRANSFERRING_OUTPUT,
    JobStatus.SUSPENDED,
    JobStatus.REMOVED,
)


class Worker(NamedTuple):  # a plan makes one of each job: a frozen dataclass takes four times as long
    """A worker job with its state; a job that is over has the reason and a sentence."""

    job: Job
    state: State
    reason: str | None = None
    message: str = ""
    succeeded: bool = False  # its successor's turn has come: it is no longer counted
    early: bool = False  # a successor before its turn: it is not counted yet


def judged(
    jobs: Iterable[Job], observed: Observed, dropped: Mapping[WorkerName, float], policy: Policy, now: float
) -> tuple[Worker, ...]:
    """The workers among these jobs, oldest first. `dropped`: since when their scheduler has missed whom."""
    us, runs, connected = observed.condor_identity, JobStatus.RUNNING, State.CONNECTED
    worker, anchor = Role.WORKER, Role.ANCHOR
    named = observed.connected if isinstance(observed.connected, frozenset) else frozenset()
    workers = [
        Worker(job, connected)  # nearly all of a large pool: asked here, as each call would cost
        if job.worker in named
        and job.status is runs
        and job.role is worker
        and (us is None or us == job.owner)
        else judge(job, observed, dropped, policy, now)
        for job in jobs
        if job.role is not anchor
    ]
    workers.sort(key=lambda worker: (worker.job.queued_at, worker.job.worker))
    return tuple(workers)


def judge(
    job: Job, observed: Observed, dropped: Mapping[WorkerName, float], policy: Policy, now: float
) -> Worker:
    """The state of one worker job."""
    if identity.is_foreign(job, observed.condor_identity):
        return _foreign(job)
    if not job.understood:
        return _not_understood(job)
    match job.status:
        case JobStatus.IDLE if job.vacated:
            return _vacated(job)
        case JobStatus.IDLE:
            return Worker(job, State.IDLE)
        case JobStatus.SUSPENDED:
            return _suspended(job, policy, now)
        case JobStatus.RUNNING | JobStatus.TRANSFERRING_OUTPUT:
            if _is_lost(job, observed, dropped, policy, now):
                return Worker(job, State.FAILED, reasons.CONTACT_LOST, endings.lost(job))
            return Worker(job, _running(job, observed, dropped, policy, now))
        case JobStatus.REMOVED:
            return Worker(job, State.REMOVED)
        case JobStatus.COMPLETED:
            return _completed(job)
        case JobStatus.HELD:
            return _held(job, now)
        case JobStatus.UNKNOWN:
            return _not_understood(job)
    assert_never(job.status)


def never_spooled(job: Job, now: float) -> bool:
    """Whether this job will wait for its input for ever: nobody else can spool it, only replace it."""
    return job.spooling and now > spooled_by(job)


def spooled_by(job: Job) -> float:
    """When a job that is spooled has gone on, or never will.

    A schedd that ends between StageInFinish and the release leaves it held with all of its files.
    """
    # StageInStart tells nothing: the schedd sets it a second later even if nobody sends anything.
    return max(job.queued_at, job.stage_in_finish or job.queued_at) + SPOOL_SECONDS


def live(workers: Iterable[Worker]) -> int:
    """How many are there or on their way: what counts against the number wanted."""
    # As `counts` says, without a call for each.
    return sum([not (worker.succeeded or worker.early) for worker in workers if worker.state in LIVE])


def counts(worker: Worker) -> bool:
    """Of a pair of predecessor and successor one counts, and nobody before its turn."""
    return not (worker.succeeded or worker.early)


def connected_by(job: Job, policy: Policy) -> float:
    """When a worker that runs has had the time to connect; one that cannot has ended by then."""
    return _begins_to_connect(job) + policy.connect_seconds


def slow_from(job: Job) -> float:
    """When a worker that runs, and is not connected, takes longer than most."""
    return _begins_to_connect(job) + SLOW_SECONDS


def _begins_to_connect(job: Job) -> float:
    began = job.started_at if job.started_at is not None else job.status_since
    return max(began, job.connects_at or began)


def is_leaving(job: Job) -> bool:
    """Removed, and still in the queue: its process may not have ended."""
    return job.status is JobStatus.REMOVED


def has_ended(job: Job) -> bool:
    """Its process has ended by itself; it stays in the queue until it is recorded."""
    return job.status is JobStatus.COMPLETED


def is_held(job: Job) -> bool:
    """It waits for somebody, or something, to let it go on."""
    return job.status is JobStatus.HELD


def leaving(jobs: Iterable[Job]) -> list[Job]:
    """Those of them."""
    return [job for job in jobs if job.status is JobStatus.REMOVED]


def running(jobs: Iterable[Job]) -> list[Job]:
    """Those whose process runs now, by the queue's word."""
    return [job for job in jobs if job.status is JobStatus.RUNNING]


def may_have_process(job: Job) -> bool:
    """Whether a worker process of this job may exist."""
    return job.may_be_worker and job.status in _WITH_PROCESS


def is_at_rest(job: Job) -> bool:
    """Held or running: anything else is on its way to somewhere."""
    return job.status in (JobStatus.HELD, JobStatus.RUNNING, JobStatus.SUSPENDED) and not job.spooling


def counts_as_live(job: Job) -> bool:
    """Whether a worker job of a pool that we do not look at is there, by the queue's word alone."""
    return job.may_be_worker and not (is_leaving(job) or has_ended(job) or job.vacated)


def _foreign(job: Job) -> Worker:
    """Submitted as somebody else: we cannot end it, only see it end."""
    if job.status in (JobStatus.REMOVED, JobStatus.COMPLETED):
        return Worker(job, State.REMOVED)
    return Worker(job, State.KEPT, reasons.ANOTHER_IDENTITY, f"The worker was submitted as {job.owner}.")


def _not_understood(job: Job) -> Worker:
    if job.status is JobStatus.REMOVED:
        return Worker(job, State.REMOVED)
    message = "HTCondor's queue shows something of the job that this operator does not understand."
    return Worker(job, State.KEPT, reasons.NOT_UNDERSTOOD, message)


def _running(
    job: Job, observed: Observed, dropped: Mapping[WorkerName, float], policy: Policy, now: float
) -> State:
    if isinstance(observed.connected, Unseen):
        return State.NOT_ASKED
    if isinstance(observed.connected, Unnamed):
        return State.UNNAMED
    if job.worker in observed.connected:
        return State.CONNECTED
    if job.worker in dropped:
        return State.DISCONNECTED
    return State.STARTING if now < connected_by(job, policy) else State.NOT_CONNECTED


def _is_lost(
    job: Job, observed: Observed, dropped: Mapping[WorkerName, float], policy: Policy, now: float
) -> bool:
    """Whether the scheduler has missed it for as long as a worker may take to connect, and longer to end."""
    if not isinstance(observed.connected, frozenset) or job.worker in observed.connected:
        return False  # only an answer tells that it is missing still
    missing_since = dropped.get(job.worker)
    return missing_since is not None and now - missing_since >= policy.connect_seconds


def _completed(job: Job) -> Worker:
    if job.exit_signal is not None:
        reason = reasons.WORKER_KILLED
    elif job.exit_code:
        reason = reasons.WORKER_FAILED
    elif job.ran is not None and _ended_early(job) and not job.succeeds:  # it may have come one too many
        reason = reasons.ENDED_EARLY
    else:
        return Worker(job, State.FINISHED)
    return Worker(job, State.FAILED, reason, endings.exited(job, job.ran))


def _vacated(job: Job) -> Worker:
    reason = failure_policy.of_vacate(job, early=_ended_early(job))
    return Worker(job, State.FAILED, reason, endings.vacated(job, reason))


def _ended_early(job: Job) -> bool:
    return job.ran is None or job.ran < EARLY_SECONDS


def _suspended(job: Job, policy: Policy, now: float) -> Worker:
    since = now - job.status_since
    if policy.suspended_seconds is None or since < policy.suspended_seconds:
        return Worker(job, State.SUSPENDED, reasons.SUSPENDED, endings.suspended(job))
    return Worker(job, State.FAILED, reasons.SUSPENDED, endings.suspended_too_long(job, since))


def _held(job: Job, now: float) -> Worker:
    if job.spooling and not never_spooled(job, now):
        return Worker(job, State.SUBMITTING)
    hold = failure_policy.of_hold(job, early=_ended_early(job))
    match hold.action:
        case HoldAction.WAIT:
            return Worker(job, State.HELD, hold.reason, job.hold_reason or "")
        case HoldAction.REPLACE:
            return Worker(job, State.FAILED, hold.reason, endings.held(job, hold.reason))
    assert_never(hold.action)
