"""The end of a pool, or of its cluster: its workers go, then its anchor, then our finalizer.

Called by `plan` for each pool that is being deleted, or whose cluster has ended.
"""

from __future__ import annotations

from htcdask_operator.core import anchor, scaledown
from htcdask_operator.core.actions import Action, Release
from htcdask_operator.core.decision import Decision, adopt, publish, remove, stuck
from htcdask_operator.core.desired import Share
from htcdask_operator.core.look import Pool
from htcdask_operator.core.model import Unseen


def of_pool(pool: Pool) -> Decision:
    """The pool is being deleted: its workers go, then its anchor, then our finalizer."""
    facts = pool.case.pool
    forced, wake = stuck(pool)
    actions = [*forced, *_remove_all(pool, "its pool is being deleted")]
    seen = not isinstance(pool.case.observed.jobs, Unseen)
    if facts.finalized and ((seen and not pool.jobs) or facts.release):
        actions.append(Release(facts.uid))
    return Decision(tuple(actions), publish(pool, Share(0)), wake=wake)


def of_cluster(pool: Pool) -> Decision:
    """The cluster has ended: the same, but the pool stays until the cluster's owner reference takes it."""
    forced, wake = stuck(pool)
    actions = (*adopt(pool), *forced, *_remove_all(pool, "its cluster has ended"))
    return Decision(actions, publish(pool, Share(0)), wake=wake)


def _remove_all(pool: Pool, why: str) -> list[Action]:
    """All workers; the anchor when none of them is in the queue any more."""
    ours = {job.id for job in pool.ours}
    workers = [worker.job for worker in scaledown.everything(pool.workers) if worker.job.id in ours]
    if workers:
        return [remove(workers, why)]
    anchors = anchor.sort(pool.ours, None, pool.case.now).all
    others = any(job.may_be_worker for job in pool.ours)
    return [remove(anchors, why)] if anchors and not others else []
