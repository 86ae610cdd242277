"""The end of a pool, or of its cluster: its workers go, then its anchor, then our finalizer.

Called by `plan` for each pool that is being deleted, or whose cluster has ended. What has to be done is
told by the queue alone: a pool that cannot be planned otherwise can still end.
"""

from __future__ import annotations

from htcdask_operator.core.actions import Action, RemoveFinalizer
from htcdask_operator.core.model import Unseen
from htcdask_operator.core.pools.cluster import Pool
from htcdask_operator.core.pools.decision import Decision, adopt, publish, remove, stuck
from htcdask_operator.core.scaling import scale_down
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.submit import anchor


def of_pool(pool: Pool) -> Decision:
    """The pool is being deleted: its workers go, then its anchor, then our finalizer."""
    actions, wake = deeds(pool)
    return Decision(actions, publish(pool, Allocation(0)), wake=wake)


def of_cluster(pool: Pool) -> Decision:
    """The cluster has ended: the same, but the pool stays until the cluster's owner reference takes it."""
    actions, wake = deeds(pool)
    failed = pool.case.observed.setbacks.get(pool.uid)
    owner = adopt(pool) if failed is None or not failed.waits else ()
    return Decision((*owner, *actions), publish(pool, Allocation(0)), wake=wake)


def deeds(pool: Pool) -> tuple[tuple[Action, ...], tuple[float, ...]]:
    """What has to be done, and when to look again."""
    if pool.waits is not None:
        return release(pool), ()
    deleting = pool.case.pool.deleting
    forced, wake = stuck(pool)
    left = _remove_all(pool, "its pool is being deleted" if deleting else "its cluster has ended")
    return (*release(pool), *forced, *left), wake


def release(pool: Pool) -> tuple[Action, ...]:
    """Let a deleted pool go when nothing of it is left; whatever is left and whatever fails, if so asked."""
    facts = pool.case.pool
    nothing_left = not isinstance(pool.case.observed.jobs, Unseen) and not pool.jobs
    if facts.deleting and facts.finalized and (nothing_left or facts.release):
        return (RemoveFinalizer(facts.uid),)
    return ()


def _remove_all(pool: Pool, why: str) -> list[Action]:
    """All workers; the anchor when none of them is in the queue any more."""
    if workers := scale_down.everything(pool.ours):
        return [remove(workers, why)]
    anchors = anchor.sort(pool.ours, None, pool.case.now).all
    others = any(job.may_be_worker for job in pool.ours)
    return [remove(anchors, why)] if anchors and not others else []
