"""What is done for a pool in the middle of its life, one step after the other.

Each is `step(state) -> Step`: the actions, and when time alone would make it decide otherwise. A new policy
is one function and one line in `STEPS`. Used by `active`; `finalize` has the ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from htcdask_operator.core.actions import (
    Action,
    AddFinalizer,
    Adopt,
    Analyze,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    RecordIdentity,
    Remove,
    SubmitAnchor,
    WriteLogs,
)
from htcdask_operator.core.model import Job, JobId, WorkerName
from htcdask_operator.core.pool_state import PoolState, Sight
from htcdask_operator.core.pools import kept_logs, submit
from htcdask_operator.core.pools.step import Step, first, may_submit
from htcdask_operator.core.submit import anchor, descriptions, spooled
from htcdask_operator.core.workers import contact, failures, ledger, states, succession
from htcdask_operator.core.workers.states import State

BUSY_SECONDS: Final = 2.0
"""How often it is looked whether a worker that should go has finished its task."""
NEIGHBOUR_SECONDS: Final = 10.0
"""How often it is looked whether other clusters have left room below a limit that they share."""
IDLE_SECONDS: Final = 20.0
"""So long may a worker wait, as most do for a negotiation cycle, before it is asked why."""
ANALYZE_FIRST_SECONDS: Final = 30.0
"""After that it is asked again, and then after as long as it has waited,"""
ANALYZE_LAST_SECONDS: Final = 300.0
"""but no less often than that: a thousand pools that wait ask three questions a second."""
LEAVE_SECONDS: Final = 60.0
"""So much longer than its process may take does a removed job stay, if its execute node is there."""


def add_finalizer(state: Sight) -> Step:
    """Make sure the pool cannot vanish without us. One that is being deleted takes no finalizer any more."""
    if state.pool.finalized or state.pool.deleting:
        return Step()
    return Step((AddFinalizer(state.uid),))


def adopt(state: Sight) -> Step:
    """The DaskCluster becomes the pool's owner, at first sight."""
    if state.cluster is None or state.pool.owner_uid is not None:
        return Step()
    return Step((Adopt(state.uid, state.cluster.uid),))


def record_identity(state: Sight) -> Step:
    """It is written down as whom jobs are going to be submitted, once no earlier identity has any."""
    us = state.observed.condor_identity
    if us is None or state.pool.submitted_as == us or len(state.ours) < len(state.jobs):
        return Step()
    return Step((RecordIdentity(state.uid, us),))


def force_remove(state: Sight) -> Step:
    """What was removed and does not leave is taken out."""
    most = state.policy.vacate_seconds + LEAVE_SECONDS
    leaving = states.leaving(state.ours)
    late = tuple(job.id for job in leaving if state.now - job.status_since >= most)
    reason = "HTCDask: its execute node does not answer"
    actions = (ForceRemove(state.uid, late, reason),) if late else ()
    return Step(actions, first(job.status_since + most for job in leaving))


def keep_anchor(state: PoolState) -> Step:
    """The pool's anchor comes one step further on its road."""
    actions: list[Action] = []
    if state.anchors.hold:
        ids = tuple(job.id for job in state.anchors.hold)
        actions.append(HoldAnchor(state.uid, ids, anchor.hold_reason(state.pool)))
    if state.anchors.remove and not state.expected:
        actions.append(remove(state.anchors.remove, "no worker needs its files"))
    refused = state.anchors.refused
    needed = state.anchors.usable is None and state.anchors.pending is None and not _unseen_anchors(state)
    if (
        needed
        and refused is None
        and state.more_at is None
        and state.template_hash
        and state.cluster is not None
        and may_submit(state)
    ):
        description = descriptions.anchor(
            state.pool, state.cluster, state.template, state.template_hash, state.policy, state.now
        )
        bundle = descriptions.bundle(state.cluster, state.template, state.policy)
        actions.append(SubmitAnchor(state.uid, description, bundle, state.template_hash))
    pending = state.anchors.pending
    recheck = None if pending is None else states.spooled_by(pending) + 1
    return Step(tuple(actions), recheck if refused is None else refused.until)


def _unseen_anchors(state: PoolState) -> list[JobId]:
    """Those that the access point accepted: another one would be as little seen."""
    return [job for job, its in state.not_yet_shown.items() if its.anchor]


def remove_ended(state: PoolState) -> Step:
    """What is over, and recorded in this plan's status, leaves the queue, once its last lines were read."""
    kept = _with_log(state).values()
    return _removal(
        (worker.job for worker in state.ended if worker.job not in kept), "it is over and recorded"
    )


def remove_outdated(state: PoolState) -> Step:
    """A job that waits and can never start rightly makes room for one that can."""
    outdated = state.outdated
    if outdated and not may_submit(state):  # nothing could come in their place, and without files they fail
        there = {job.id for job in state.anchors.all}
        outdated = tuple(job for job in outdated if job.anchor and job.anchor not in there)
    return _removal(outdated, "the pool's template or its files are others now")


def scale_down(state: PoolState) -> Step:
    """Who is too many goes, as far as that is ours to do."""
    gone = _removal((worker.job for worker in state.surplus.go), "fewer workers are wanted")
    late = _removal(
        (worker.job for worker in state.surplus.overdue),
        "fewer workers are wanted, and these had time to finish",
    )
    busy = state.now + BUSY_SECONDS if state.surplus.busy else None
    return Step((*gone.actions, *late.actions), first((busy, state.surplus.until)))


def make_room(state: PoolState) -> Step:
    """A successor, which nobody misses yet, gives way to a worker that is missing."""
    return _removal(
        (worker.job for worker in submit.in_the_way(state)), "a worker that is missing comes first"
    )


def read_logs(state: PoolState) -> Step:
    """What workers that ended have printed; it lies in the anchor's directory, or their own."""
    own = _with_log(state)
    asked = (*failures.missing_logs(state.record.recent, state.now), *kept_logs.reads(state))
    shared = tuple(worker for worker in dict.fromkeys(asked) if worker not in own)
    actions = [ReadLogs(state.uid, job.id, (worker,)) for worker, job in own.items()]
    if shared and state.anchors.usable is not None:
        actions.append(ReadLogs(state.uid, state.anchors.usable.id, shared))
    return Step(tuple(actions), failures.logs_until(state.record.recent))


def _with_log(state: PoolState) -> Mapping[WorkerName, Job]:
    """Jobs that are over, and have the last lines of a worker that are still to be told."""
    failed = [worker.job for worker in state.ended if worker.state is State.FAILED]
    return spooled.keepers(failed, failures.missing_logs(state.record.recent, state.now))


def write_logs(state: PoolState) -> Step:
    """The pool's HTCWorkerLog gets what was read; what is being read just now is waited for."""
    logs = kept_logs.writes(state)
    actions = (WriteLogs(state.uid, logs),) if logs else ()
    return Step(actions, kept_logs.after(state).until(state.now))


def analyze(state: PoolState) -> Step:
    """How slots look to the worker that has waited longest: asked ever less often."""
    idle, known = state.idle, state.remembered.analyzed
    if not idle or state.cluster is None:
        return Step()
    due = idle[0].queued_at + IDLE_SECONDS
    if known is not None:
        waited = known.at - idle[0].queued_at
        due = max(due, known.at + max(ANALYZE_FIRST_SECONDS, min(waited, ANALYZE_LAST_SECONDS)))
    return Step((Analyze(state.uid, idle[0].id),)) if state.now >= due else Step((), due)


def wait_for_workers(state: PoolState) -> Step:
    """It is looked again when one has had the time to come, to connect, to end, or to go on."""
    times: list[float] = []
    for worker in state.workers:
        if worker.state is State.CONNECTED:  # nearly all of a large pool
            continue
        job = worker.job
        if worker.state in (State.STARTING, State.UNNAMED):
            connects = job.connects_at or 0.0
            ends = (connects, states.slow_from(job), states.connected_by(job, state.policy))
            times += [at for at in ends if at > state.now]
        elif worker.state is State.SUBMITTING:
            times.append(states.spooled_by(job) + 1)
        elif worker.state is State.DISCONNECTED:  # lost only by answers that were asked for
            times.append(state.now + min(contact.MOST_SECONDS, state.policy.connect_seconds / 4))
        elif worker.state is State.SUSPENDED and state.policy.suspended_seconds is not None:
            times.append(job.status_since + state.policy.suspended_seconds)
    if state.allocation is not None and state.allocation.waits:
        times.append(state.now + NEIGHBOUR_SECONDS)
    if state.template.max_runtime_seconds is not None:
        times += succession.counts_otherwise_at(state.workers, state.now)
    times += state.avoided.values()  # the status says so no longer than that
    return Step((), first(times))


def wait_until_shown(state: PoolState) -> Step:
    """It is told when a job that was accepted has had the time to be seen."""
    due = (its.at + ledger.SHOWN_SECONDS for its in state.not_yet_shown.values())
    return Step((), first(at for at in due if at > state.now))


STEPS: Final[tuple[Callable[[PoolState], Step], ...]] = (
    add_finalizer,
    adopt,
    record_identity,
    force_remove,
    keep_anchor,
    remove_ended,
    remove_outdated,
    scale_down,
    make_room,
    submit.missing,
    submit.successors,
    read_logs,
    write_logs,
    analyze,
    wait_for_workers,
    wait_until_shown,
)


def remove(jobs: Iterable[Job], why: str) -> Remove:
    """Remove these jobs, all of one pool and one at the least, and say why."""
    its = tuple(jobs)
    return Remove(its[0].pool_uid, tuple(job.id for job in its), f"HTCDask: {why}")


def _removal(jobs: Iterable[Job], why: str) -> Step:
    its = tuple(jobs)
    return Step((remove(its, why),)) if its else Step()
