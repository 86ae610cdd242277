"""What is done for a pool in the middle of its life, one step after the other.

Each is `step(state) -> Step`: the actions, and when time alone would make it decide otherwise. A new policy
is one function and one line in `STEPS`. Used by `active`; `finalize` has the ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
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
    SubmitWorkers,
    WriteLogs,
)
from htcdask_operator.core.checks import chains
from htcdask_operator.core.model import Job, JobId, Unseen, WorkerName
from htcdask_operator.core.pool_state import PoolState, Sight
from htcdask_operator.core.pools import kept_logs
from htcdask_operator.core.submit import anchor, descriptions, worker_names
from htcdask_operator.core.workers import contact, failures, ledger, states, succession
from htcdask_operator.core.workers.states import State
from htcdask_operator.core.workers.succession import Succession

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


@dataclass(frozen=True, slots=True)
class Step:
    """What one step comes to."""

    actions: tuple[Action, ...] = ()
    recheck_at: float | None = None


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
    leaving = [job for job in state.ours if states.is_leaving(job)]
    late = tuple(job.id for job in leaving if state.now - job.status_since >= most)
    reason = "HTCDask: its execute node does not answer"
    actions = (ForceRemove(state.uid, late, reason),) if late else ()
    return Step(actions, _first(job.status_since + most for job in leaving))


def keep_anchor(state: PoolState) -> Step:
    """The pool's anchor comes one step further on its road."""
    actions: list[Action] = []
    if state.anchors.hold:
        ids = tuple(job.id for job in state.anchors.hold)
        actions.append(HoldAnchor(state.uid, ids, anchor.hold_reason(state.pool)))
    if state.anchors.remove and not state.expected:
        actions.append(remove(state.anchors.remove, "no worker needs its files"))
    needed = state.anchors.usable is None and state.anchors.pending is None and not _unseen_anchors(state)
    if (
        needed
        and state.more_at is None
        and state.template_hash
        and state.cluster is not None
        and _may_submit(state)
    ):
        description = descriptions.anchor(
            state.pool, state.cluster, state.template, state.template_hash, state.policy, state.now
        )
        bundle = descriptions.bundle(state.cluster, state.template, state.policy)
        actions.append(SubmitAnchor(state.uid, description, bundle))
    pending = state.anchors.pending
    recheck = None if pending is None else pending.queued_at + states.SPOOL_SECONDS + 1
    return Step(tuple(actions), recheck)


def _unseen_anchors(state: PoolState) -> list[JobId]:
    """Those that the access point accepted: another one would be as little seen."""
    return [job for job, its in state.not_yet_shown.items() if its.anchor]


def remove_ended(state: PoolState) -> Step:
    """What is over, and recorded in this plan's status, leaves the queue."""
    return _removal((worker.job for worker in state.ended), "it is over and recorded")


def remove_outdated(state: PoolState) -> Step:
    """A job that waits and can never start rightly makes room for one that can."""
    outdated = state.outdated
    if not _may_submit(state):  # nothing could come in its place, and without its files it would only fail
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
    return Step((*gone.actions, *late.actions), _first((busy, state.surplus.until)))


def submit(state: PoolState) -> Step:
    """The workers that are missing come, as many as may come now."""
    until = _first((state.backoff.until, state.more_at))
    recheck = until if state.missing else None
    count = state.may_come
    if count <= 0 or not _may_submit_workers(state):
        return Step((), recheck)
    names = worker_names.new_names(state.uid, count, state.taken, state.now)
    if not names:  # as many are in sight as there are files for them
        return Step((), recheck)
    return Step((_submission(state, names),), recheck)


def submit_successors(state: PoolState) -> Step:
    """Who is about to retire gets a successor, if nothing else is to be done about the pool's number."""
    if state.template.max_runtime_seconds is None or state.allocation is None or state.missing:
        return Step()
    if states.live(state.workers) != state.allocation.replicas or state.backoff.allowed is not None:
        return Step()
    due = succession.due(state.workers, state.now, state.expected)
    count = min(len(due.now), state.successors, state.ledger.left(state.pace, state.now))
    if count <= 0 or not _may_submit_workers(state):
        return Step((), due.recheck_at)
    names = worker_names.new_names(state.uid, count, state.taken, state.now)
    pairs = zip(names, due.now, strict=False)
    return Step(tuple(_submission(state, (name,), successor) for name, successor in pairs), due.recheck_at)


def _may_submit_workers(state: PoolState) -> bool:
    kept = state.anchors.usable
    described = (
        state.template_hash and kept is not None and kept.iwd is not None and state.cluster is not None
    )
    return bool(described) and not isinstance(state.observed.connected, Unseen) and _may_submit(state)


def _submission(
    state: PoolState, names: tuple[WorkerName, ...], successor: Succession | None = None
) -> SubmitWorkers:
    kept = state.anchors.usable
    assert state.cluster is not None and state.template_hash and kept is not None and kept.iwd is not None
    description = descriptions.workers(
        state.pool,
        state.cluster,
        state.template,
        state.template_hash,
        kept.iwd,
        state.policy,
        state.now,
        kept.id,
        state.avoided,
        successor,
    )
    return SubmitWorkers(state.uid, description, names, state.worker, state.template.profile)


def read_logs(state: PoolState) -> Step:
    """What workers that ended have printed; it lies in the anchor's directory."""
    asked = (*failures.missing_logs(state.record.recent, state.now), *kept_logs.reads(state))
    until = failures.logs_until(state.record.recent)
    if state.anchors.usable is None or not asked:
        return Step((), until)
    return Step((ReadLogs(state.uid, state.anchors.usable.id, tuple(dict.fromkeys(asked))),), until)


def write_logs(state: PoolState) -> Step:
    """The pool's HTCWorkerLog gets what was read; what is being read just now is waited for."""
    logs = kept_logs.writes(state)
    actions = (WriteLogs(state.uid, logs),) if logs else ()
    return Step(actions, kept_logs.after(state).until(state.memory.logs, state.now))


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
    """It is looked again when one has had the time to connect, to end, or to go on."""
    times: list[float] = []
    for worker in state.workers:
        job = worker.job
        if worker.state in (State.STARTING, State.UNNAMED):
            at = states.connected_by(job, state.policy)
            times += [at] if at > state.now else []
        elif worker.state is State.DISCONNECTED:  # lost only by answers that were asked for
            times.append(state.now + min(contact.MOST_SECONDS, state.policy.connect_seconds / 4))
        elif worker.state is State.SUSPENDED and state.policy.suspended_seconds is not None:
            times.append(job.status_since + state.policy.suspended_seconds)
    if state.allocation is not None and state.allocation.waits:
        times.append(state.now + NEIGHBOUR_SECONDS)
    times += state.avoided.values()  # the status says so no longer than that
    return Step((), _first(times))


def wait_until_shown(state: PoolState) -> Step:
    """It is told when a job that was accepted has had the time to be seen."""
    due = (its.at + ledger.SHOWN_SECONDS for its in state.not_yet_shown.values())
    return Step((), _first(at for at in due if at > state.now))


STEPS: Final[tuple[Callable[[PoolState], Step], ...]] = (
    add_finalizer,
    adopt,
    record_identity,
    force_remove,
    keep_anchor,
    remove_ended,
    remove_outdated,
    scale_down,
    submit,
    submit_successors,
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


def _may_submit(state: PoolState) -> bool:
    return state.refused is None and chains.first(chains.MOMENT, state) is None


def _first(times: Iterable[float | None]) -> float | None:
    return min((at for at in times if at is not None), default=None)
