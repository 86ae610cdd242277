"""The table of contents of the core: from what is seen of one cluster's pools to what to do about it.

Called by `reconcile` with all pools of one cluster, after `observe` and before `perform`. Pure and total: no
clock, no I/O, no exception. After its actions have taken effect, planning again yields none. `Unseen` never
leads to a submit or a remove.

    triage      what each job is                          checks       what keeps workers away
    failures    what ended, counted once                  backoff      when the next may come
    desired     how many each pool should have            scaledown    who goes
    limits      the most it may have                      telling      what the scheduler has to be told
    fallback    a pool where there is none
    anchor      the job that keeps the files              submission   what is submitted
    explain, summary                                      what is published
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from htcdask_api import PoolStatus
from htcdask_operator.core import (
    anchor,
    backoff,
    checks,
    desired,
    failures,
    fallback,
    look,
    naming,
    scaledown,
    submission,
    summary,
    triage,
)
from htcdask_operator.core.actions import (
    Action,
    Adopt,
    Hold,
    Plan,
    ReadLogs,
    Release,
    Remove,
    SubmitAnchor,
    SubmitWorkers,
)
from htcdask_operator.core.case import Case, Finding
from htcdask_operator.core.desired import Share
from htcdask_operator.core.failures import Record
from htcdask_operator.core.look import Pool
from htcdask_operator.core.model import (
    ClusterFacts,
    Job,
    Observed,
    Policy,
    PoolFacts,
    PoolUid,
    Role,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.scaledown import Surplus
from htcdask_operator.core.telling import Telling, telling
from htcdask_operator.core.triage import State, Worker

BUSY_SECONDS: Final = 2.0
"""How often it is looked whether a worker that should go has finished its task."""


@dataclass(frozen=True, slots=True)
class _Decision:
    """One pool, decided."""

    actions: tuple[Action, ...]
    status: PoolStatus
    submitted: int = 0
    wake: tuple[float, ...] = ()


def plan(pools: Sequence[PoolFacts], observed: Observed, policy: Policy, now: float) -> Plan:
    """What to do for these pools, all of one cluster, now."""
    if not pools:
        missing = fallback.pool(observed, policy)
        return Plan((missing,) if missing is not None else ())
    looked = look.look(sorted(pools, key=desired.by_age), observed, policy, now)
    shares = look.shares(looked, observed, policy)
    room = look.room(looked, observed, policy)
    taken = look.names_seen(looked, observed)
    told = _tell(looked, shares, observed, now)
    decisions: dict[PoolUid, _Decision] = {}
    for pool in looked:  # the oldest first: it is served first
        if pool.case.pool.deleting:
            decision = _end_of_pool(pool)
        elif pool.over is not None:
            decision = _end_of_cluster(pool)
        else:
            knows = look.scheduler_retires(looked, observed)
            decision = _life(pool, shares.get(pool.uid), room, taken, scheduler_knows=knows)
        room -= decision.submitted
        decisions[pool.uid] = decision
    actions = [action for decision in decisions.values() for action in decision.actions]
    wake = [at for decision in decisions.values() for at in decision.wake]
    if look.strays(observed):
        wake.append(now + BUSY_SECONDS)  # nobody wakes us when they have left
    return Plan(
        actions=(*actions, *([told.action] if told.action is not None else [])),
        statuses={uid: decision.status for uid, decision in decisions.items()},
        wake_at=min((at for at in (*wake, told.wake) if at is not None and at > now), default=None),
    )


def _tell(looked: Sequence[Pool], shares: Mapping[PoolUid, Share], observed: Observed, now: float) -> Telling:
    """What the scheduler has to hear; a pool that cannot have workers asks for none."""
    if not isinstance(observed.cluster, ClusterFacts) or isinstance(observed.jobs, Unseen):
        return Telling()
    pools = [pool.case.pool for pool in looked if pool.understood and pool.spec is None]
    leaving = look.leaving(looked, observed)
    return telling(pools, shares, observed.cluster, observed.told, leaving, now)


def _end_of_pool(pool: Pool) -> _Decision:
    """The pool is being deleted: its workers go, then its anchor, then our finalizer."""
    facts = pool.case.pool
    actions = _remove_all(pool, "its pool is being deleted")
    seen = not isinstance(pool.case.observed.jobs, Unseen)
    if facts.finalized and ((seen and not pool.jobs) or facts.release):
        actions.append(Release(facts.uid))
    return _Decision(tuple(actions), _publish(pool, Share(0)))


def _end_of_cluster(pool: Pool) -> _Decision:
    """The cluster has ended: the same, but the pool stays until the cluster's owner reference takes it."""
    return _Decision((*_adopt(pool), *_remove_all(pool, "its cluster has ended")), _publish(pool, Share(0)))


def _remove_all(pool: Pool, why: str) -> list[Action]:
    """All workers; the anchor when none of them is in the queue any more."""
    workers = [worker.job for worker in scaledown.everything(pool.workers)]
    if workers:
        return [_remove(workers, why)]
    anchors = anchor.sort(pool.jobs, None, pool.case.now).all
    others = any(job.role is Role.WORKER for job in pool.jobs)
    return [_remove(anchors, why)] if anchors and not others else []


def _life(
    pool: Pool, share: Share | None, room: int, taken: set[WorkerName], *, scheduler_knows: bool
) -> _Decision:
    """The pool is in the middle of its life."""
    case, cluster = pool.case, pool.case.cluster
    if cluster is None or share is None or isinstance(case.observed.jobs, Unseen):
        # Not known what is wanted, or not what is there: nothing is touched.
        return _Decision(_adopt(pool), _publish(pool, share, checks.first(checks.ALL, case)))

    workers = tuple(worker for worker in pool.workers if worker.state not in triage.OVER)
    missing = max(0, share.desired - triage.live(workers))
    over = tuple(worker for worker in pool.workers if worker.state in triage.OVER)
    if not missing:
        over = tuple(triage.excuse(worker) for worker in over)
    record = failures.record(case.pool.status, over, case.observed.logs, case.now)
    mark = None
    if pool.spec is None:
        mark = submission.fingerprint(case.pool, cluster, case.template, case.policy)
    case = replace(
        case,
        missing=missing,
        anchors=anchor.sort(pool.jobs, mark, case.now),
        outlook=backoff.outlook(record.recent, workers, case.policy, case.now),
    )
    busy = case.observed.busy
    surplus = scaledown.surplus(workers, share.desired, busy, scheduler_knows=scheduler_knows)
    actions: list[Action] = [
        *_adopt(pool),
        *_keep_anchor(case, cluster, mark),
        *_forget(over),
        *([_remove((worker.job for worker in surplus.go), "fewer workers are wanted")] if surplus.go else []),
    ]
    submit = _submit(case, cluster, mark, min(missing, room), taken)
    if submit is not None:
        actions.append(submit)
    actions += _read_logs(case, record)
    submitted = len(submit.names) if submit is not None else 0
    finding = pool.spec or checks.first((*checks.MOMENT, *checks.WORKERS), case)
    picture = replace(pool, case=case, workers=workers)
    status = _publish(picture, share, finding, record, max(0, missing - room), surplus.busy)
    return _Decision(tuple(actions), status, submitted, _wake(case, workers, finding, surplus))


def _adopt(pool: Pool) -> tuple[Action, ...]:
    cluster, facts = pool.case.cluster, pool.case.pool
    if cluster is None or facts.owner_uid is not None:
        return ()
    return (Adopt(facts.uid, cluster.uid),)


def _keep_anchor(case: Case, cluster: ClusterFacts, mark: str | None) -> list[Action]:
    """Bring the pool's anchor one step further on its road."""
    anchors = case.anchors
    actions: list[Action] = []
    if anchors.hold:
        actions.append(Hold(tuple(job.id for job in anchors.hold), anchor.hold_reason(case.pool)))
    if anchors.remove:
        actions.append(_remove(anchors.remove, "no worker needs its files"))
    wanted = anchors.usable is None and anchors.pending is None
    if mark is not None and wanted and checks.first(checks.MOMENT, case) is None:
        description = submission.anchor(case.pool, cluster, mark, case.policy, case.now)
        bundle = submission.bundle(cluster, case.template, case.policy)
        actions.append(SubmitAnchor(case.pool.uid, description, bundle))
    return actions


def _submit(
    case: Case, cluster: ClusterFacts, mark: str | None, count: int, taken: set[WorkerName]
) -> SubmitWorkers | None:
    """The workers that are missing, as many as may come now."""
    kept = case.anchors.usable
    if mark is None or kept is None or kept.iwd is None or isinstance(case.observed.connected, Unseen):
        return None
    if checks.first(checks.MOMENT, case) is not None:
        return None
    if case.outlook.allowed is not None:
        count = min(count, case.outlook.allowed)
    if count <= 0:
        return None
    names = naming.new_names(case.pool.uid, count, taken, case.now)
    taken.update(names)
    description = submission.workers(case.pool, cluster, case.template, mark, kept.iwd, case.policy, case.now)
    return SubmitWorkers(case.pool.uid, description, names)


def _forget(over: Sequence[Worker]) -> list[Action]:
    return [_remove([worker.job for worker in over], "it is over and recorded")] if over else []


def _read_logs(case: Case, record: Record) -> list[Action]:
    """The last words of workers that failed; they lie in the anchor's directory."""
    asked = failures.missing_logs(record.recent, case.now)
    if case.anchors.usable is None or not asked:
        return []
    return [ReadLogs(case.pool.uid, case.anchors.usable.id, asked)]


def _remove(jobs: Iterable[Job], why: str) -> Remove:
    return Remove(tuple(job.id for job in jobs), f"HTCDask: {why}")


def _publish(
    pool: Pool,
    share: Share | None,
    finding: Finding | None = None,
    record: Record | None = None,
    unaffordable: int = 0,
    busy: int = 0,
) -> PoolStatus:
    before = pool.case.pool.status
    if record is None:
        record = Record(before.finished, before.failed, tuple(before.recent_failures))
    return summary.summarize(
        summary.Picture(
            case=pool.case,
            workers=pool.workers,
            jobs=len(pool.jobs),
            share=share,
            over=pool.over,
            finding=finding,
            record=record,
            unaffordable=unaffordable,
            busy=busy,
        )
    )


def _wake(
    case: Case, workers: Sequence[Worker], finding: Finding | None, surplus: Surplus
) -> tuple[float, ...]:
    """When something changes by time alone."""
    times = [] if finding is None or finding.until is None else [finding.until]
    if surplus.busy:
        times.append(case.now + BUSY_SECONDS)
    if case.outlook.until is not None and case.missing:
        times.append(case.outlook.until)
    pending = case.anchors.pending
    if pending is not None:
        waiting = triage.SPOOL_SECONDS if pending.stage_in_start is None else triage.SPOOLED_SECONDS
        times.append(pending.queued_at + waiting + 1)
    starting = [worker.job for worker in workers if worker.state is State.STARTING]
    times += [(job.started_at or job.status_since) + case.policy.connect_seconds for job in starting]
    return tuple(times)
