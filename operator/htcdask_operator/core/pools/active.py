"""The middle of a pool's life: its anchor, its workers up and down, what ended, and when to look again.

Called by `plan` for each pool that is not at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Action, Hold, ReadLogs, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.checks import chains
from htcdask_operator.core.model import ClusterFacts, Unseen, WorkerName
from htcdask_operator.core.pool_state import Finding, PoolState
from htcdask_operator.core.pools.cluster import Pool
from htcdask_operator.core.pools.decision import Decision, adopt, publish, record_identity, remove, stuck
from htcdask_operator.core.scaling import drain, scale_down
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.scale_down import Surplus
from htcdask_operator.core.setback import STALLED, Setback
from htcdask_operator.core.submit import anchor, descriptions, worker_names
from htcdask_operator.core.workers import backoff, contact, failures, states
from htcdask_operator.core.workers.failures import Record
from htcdask_operator.core.workers.states import State, Worker

BUSY_SECONDS: Final = 2.0
"""How often it is looked whether a worker that should go has finished its task."""
NEIGHBOUR_SECONDS: Final = 10.0
"""How often it is looked whether other clusters have left room below a limit that they share."""


def decide(
    pool: Pool, share: Allocation | None, room: int, taken: set[WorkerName], *, scheduler_knows: bool
) -> Decision:
    """The pool is in the middle of its life."""
    case, cluster = pool.case, pool.case.cluster
    if cluster is None or share is None or isinstance(case.observed.jobs, Unseen):
        # Not known what is wanted, or not what is there: nothing is touched.
        standing = case.observed.remembered.standing.get(pool.uid, ())
        status = publish(pool, share, chains.first(chains.ALL, case))
        return Decision(adopt(pool), status, standing=standing)
    if pool.waits is not None:
        standing = case.observed.remembered.standing.get(pool.uid, ())
        return Decision((), publish(pool, share, pool.spec or _setback(pool.waits)), standing=standing)

    workers = tuple(worker for worker in pool.workers if worker.state not in states.OVER)
    missing = max(0, share.desired - states.live(workers))
    over = tuple(worker for worker in pool.workers if worker.state in states.OVER)
    if not missing:
        over = tuple(states.forgive(worker) for worker in over)
    record = failures.record(case.pool.status, over, case.observed.logs, case.now)
    template_hash = None
    if pool.spec is None:
        template_hash = descriptions.template_hash(case.pool, cluster, case.template, case.policy)
    case = replace(
        case,
        missing=missing,
        anchors=anchor.sort(pool.ours, template_hash, case.now),
        outlook=backoff.after(record.recent, workers, case.policy, case.now),
    )
    surplus = scale_down.surplus(workers, share.desired, case.observed.busy, scheduler_knows=scheduler_knows)
    before = case.observed.remembered.standing.get(pool.uid, ())
    standing = drain.standing(before, drain.too_many(workers, share.desired), case.now)
    surplus = drain.limited(surplus, workers, standing, case.now, case.policy.drain_seconds)
    forced, leaving = stuck(pool)
    actions: list[Action] = [
        *adopt(pool),
        *record_identity(pool),
        *forced,
        *_keep_anchor(case, cluster, template_hash),
        *_remove(over, "it is over and recorded"),
        *_remove(surplus.go, "fewer workers are wanted"),
        *_remove(surplus.late, "fewer workers are wanted, and these had time to finish"),
    ]
    submit = _submit(case, cluster, template_hash, min(missing, room), taken)
    if submit is not None:
        actions.append(submit)
    actions += _read_logs(case, record)
    submitted = len(submit.names) if submit is not None else 0
    finding = pool.spec or chains.first((*chains.MOMENT, *chains.WORKERS), case)
    picture = replace(pool, case=case, workers=workers)
    status = publish(picture, share, finding, record, max(0, missing - room), surplus)
    wake = (*_wake(case, workers, finding, surplus), *leaving)
    if share.waits:
        wake = (*wake, case.now + NEIGHBOUR_SECONDS)
    return Decision(tuple(actions), status, submitted, wake, standing)


def _setback(setback: Setback) -> Finding:
    """Nothing is done for this pool until its next try; HTCondor's failures the conditions tell as such."""
    return Finding(
        reasons.ACTION_FAILED,
        f"What has to be done for this pool failed: {setback.why}. It is tried again.",
        stalled=setback.times >= STALLED,
    )


def _keep_anchor(case: PoolState, cluster: ClusterFacts, template_hash: str | None) -> list[Action]:
    """Bring the pool's anchor one step further on its road."""
    anchors = case.anchors
    actions: list[Action] = []
    if anchors.hold:
        actions.append(
            Hold(case.pool.uid, tuple(job.id for job in anchors.hold), anchor.hold_reason(case.pool))
        )
    if anchors.remove:
        actions.append(remove(anchors.remove, "no worker needs its files"))
    wanted = anchors.usable is None and anchors.pending is None
    if template_hash is not None and wanted and chains.first(chains.MOMENT, case) is None:
        description = descriptions.anchor(case.pool, cluster, template_hash, case.policy, case.now)
        bundle = descriptions.bundle(cluster, case.template, case.policy)
        actions.append(SubmitAnchor(case.pool.uid, description, bundle))
    return actions


def _submit(
    case: PoolState, cluster: ClusterFacts, template_hash: str | None, count: int, taken: set[WorkerName]
) -> SubmitWorkers | None:
    """The workers that are missing, as many as may come now."""
    kept = case.anchors.usable
    if (
        template_hash is None
        or kept is None
        or kept.iwd is None
        or isinstance(case.observed.connected, Unseen)
    ):
        return None
    if chains.first(chains.MOMENT, case) is not None:
        return None
    if case.outlook.allowed is not None:
        count = min(count, case.outlook.allowed)
    if count <= 0:
        return None
    names = worker_names.new_names(case.pool.uid, count, taken, case.now)
    if not names:  # as many are in sight as there are files for them
        return None
    taken.update(names)
    description = descriptions.workers(
        case.pool, cluster, case.template, template_hash, kept.iwd, case.policy, case.now
    )
    return SubmitWorkers(case.pool.uid, description, names)


def _remove(workers: Sequence[Worker], why: str) -> list[Action]:
    return [remove([worker.job for worker in workers], why)] if workers else []


def _read_logs(case: PoolState, record: Record) -> list[Action]:
    """The last words of workers that failed; they lie in the anchor's directory."""
    asked = failures.missing_logs(record.recent, case.now)
    if case.anchors.usable is None or not asked:
        return []
    return [ReadLogs(case.pool.uid, case.anchors.usable.id, asked)]


def _wake(
    case: PoolState, workers: Sequence[Worker], finding: Finding | None, surplus: Surplus
) -> tuple[float, ...]:
    """When something changes by time alone."""
    times = [] if finding is None or finding.until is None else [finding.until]
    if surplus.busy:
        times.append(case.now + BUSY_SECONDS)
    if surplus.until is not None:
        times.append(surplus.until)
    if case.outlook.until is not None and case.missing:
        times.append(case.outlook.until)
    pending = case.anchors.pending
    if pending is not None:
        times.append(pending.queued_at + states.SPOOL_SECONDS + 1)
    starting = [worker.job for worker in workers if worker.state is State.STARTING]
    times += [(job.started_at or job.status_since) + case.policy.connect_seconds for job in starting]
    if any(
        worker.state is State.DISCONNECTED for worker in workers
    ):  # lost only by answers that were asked for
        times.append(case.now + min(contact.MOST_SECONDS, case.policy.connect_seconds / 4))
    return tuple(times)
