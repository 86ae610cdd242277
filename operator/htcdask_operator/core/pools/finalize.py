"""The end of a pool, or of its cluster: its workers go, then its anchor, then our finalizer.

Called by `plan` for each pool that is being deleted, or whose cluster has ended. What has to be done is
told by the queue alone: a pool that cannot be planned otherwise can still end.
What the workers of a cluster that ended have printed is asked for before its anchor goes.
"""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.actions import Action, RemoveFinalizer
from htcdask_operator.core.model import Unseen
from htcdask_operator.core.pool_state import PoolState, Sight
from htcdask_operator.core.pools import kept_logs, steps
from htcdask_operator.core.pools.decision import Decision
from htcdask_operator.core.pools.step import Step, first
from htcdask_operator.core.scaling import scale_down
from htcdask_operator.core.status import summary
from htcdask_operator.core.submit import anchor
from htcdask_operator.core.workers.worker_logs import Pending


def of_pool(state: PoolState) -> Decision:
    """The pool is being deleted, and its HTCWorkerLog with it."""
    return _decided(state, end(state), Pending())


def of_cluster(state: PoolState) -> Decision:
    """The cluster has ended: the same, but the pool stays until the cluster's owner reference takes it."""
    failed = state.remembered.setback
    adopted = steps.adopt(state).actions if failed is None or not failed.waits else ()
    words = kept_logs.last(state)
    ended = end(state, keep_anchors=words.keeps_anchor)
    actions = (*adopted, *ended.actions, *words.step.actions)
    return _decided(state, Step(actions, first((ended.recheck_at, words.step.recheck_at))), words.pending)


def _decided(state: PoolState, step: Step, logs: Pending) -> Decision:
    status = summary.summarize(state, None)
    memory = replace(state.remembered, ledger=state.ledger, logs=logs)
    return Decision(step.actions, status, memory, step.recheck_at)


def end(state: Sight, *, keep_anchors: bool = False) -> Step:
    """What has to be done, and when to look again."""
    if state.waits is not None:
        return Step(remove_finalizer(state))
    forced = steps.force_remove(state)
    why = "its pool is being deleted" if state.pool.deleting else "its cluster has ended"
    left = _remove_all(state, why, keep_anchors=keep_anchors)
    return Step((*remove_finalizer(state), *forced.actions, *left), forced.recheck_at)


def remove_finalizer(state: Sight) -> tuple[Action, ...]:
    """Let a deleted pool go when nothing of it is left; whatever is left and whatever fails, if so asked."""
    pool = state.pool
    nothing_left = not isinstance(state.observed.jobs, Unseen) and not state.jobs and not state.not_yet_shown
    if state.waits is not None and state.waits.finalizer:
        return ()  # the API server refused
    if pool.deleting and pool.finalized and (nothing_left or pool.release_without_cleanup):
        return (RemoveFinalizer(pool.uid),)
    return ()


def _remove_all(state: Sight, why: str, *, keep_anchors: bool) -> list[Action]:
    """All workers; the anchor when none of them is in the queue any more."""
    if workers := scale_down.everything(state.ours):
        return [steps.remove(workers, why)]
    if keep_anchors:
        return []
    anchors = anchor.sort(state.ours, None, state.now).all
    # A worker that the queue does not show (yet) reads the anchor's files, too.
    others = state.expected or any(job.may_be_worker for job in state.ours)
    return [steps.remove(anchors, why)] if anchors and not others else []
