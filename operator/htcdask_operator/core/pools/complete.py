"""All that follows from what is seen of a pool, remembered, and wanted: a `Sight` becomes a `PoolState`.

Called by `plan` for each pool, before it is decided what to do.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job, Role, Unseen, WorkerName
from htcdask_operator.core.pool_state import PoolState, Sight
from htcdask_operator.core.scaling import drain, limits, scale_down
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.limits import SubmitBudget
from htcdask_operator.core.size import Size
from htcdask_operator.core.submit import anchor
from htcdask_operator.core.workers import backoff, failures, ledger, let_go, states
from htcdask_operator.core.workers.ledger import Ledger


def state_of(
    sight: Sight,
    allocation: Allocation | None,
    budget: SubmitBudget,
    taken: Collection[WorkerName],
    *,
    scheduler_retires: bool,
    wants_fewer: bool,
    all_there: bool,
    unasked: int,
) -> PoolState:
    """All that follows from what is seen, remembered, and wanted. The rest is what `plan.Common` has."""
    worker = sight.worker
    state = PoolState(
        **{field.name: getattr(sight, field.name) for field in fields(sight)},
        allocation=allocation,
        asked_for=budget.workers,
        submit_budget=_submit_budget(sight, budget, worker),
        unasked=unasked,
        all_there=all_there,
        wants_fewer=wants_fewer,
        taken=taken,
        standing=sight.remembered.standing,
        ledger=ledger.known(sight.remembered.ledger, sight.pool.status),
        record=failures.remembered(sight.pool.status),
    )
    if state.cluster is None or allocation is None or isinstance(state.observed.jobs, Unseen):
        return state
    if state.waits is not None:
        return state
    if state.ends:
        return replace(state, ledger=_after_answer(state)[0])
    return _with_workers(_with_ends(state, allocation), allocation, scheduler_retires)


def _submit_budget(sight: Sight, budget: SubmitBudget, worker: Size) -> int:
    own = min(limits.of_pool(sight.pool, sight.policy)).count - len(sight.there) - sight.expected
    return max(0, min(own, budget.beyond(worker, sight.template.profile)))


def _with_ends(state: PoolState, allocation: Allocation) -> PoolState:
    """With those that have ended, recorded."""
    now, (known, lost) = state.now, _after_answer(state)
    workers = tuple([worker for worker in state.workers if worker.state not in states.OVER])
    ended = tuple([worker for worker in state.workers if worker.state in states.OVER])
    lacks = allocation.replicas - states.live(workers) - known.expected()
    recorded = {failure.worker for failure in state.record.recent}
    known, ended = let_go.excused(
        known, workers, ended, recorded, now, wants_fewer=state.wants_fewer, lacks=lacks > 0
    )
    gone = tuple(ledger.removed_by_others(job) for job in lost if job.may_be_worker)
    record, new = failures.record(
        state.record,
        (*ended, *gone),
        [job for job in lost if job.role is Role.ANCHOR],
        state.memory.logs,
        now,
    )
    known = known.settled(ledger.pace(allocation.replicas), now)
    known = known.failed(new, now).told(record.recent).succeeded(workers, state.policy, now)
    return replace(
        state, workers=workers, ended=ended, lost=lost, ledger=known, record=record, missing=max(0, lacks)
    )


def _after_answer(state: PoolState) -> tuple[Ledger, tuple[Job, ...]]:
    gap, expiry = state.policy.ended_seconds / 2, state.policy.job_expiry_seconds
    return ledger.after_answer(state.ledger, state.jobs, gap, expiry, state.now)


def _with_workers(state: PoolState, allocation: Allocation, scheduler_retires: bool) -> PoolState:
    """With what may come and what has to go."""
    workers, policy, now, cluster = state.workers, state.policy, state.now, state.cluster
    assert cluster is not None
    template_hash = state.current_hash
    surplus = scale_down.surplus(
        workers, allocation.replicas, state.observed.busy, scheduler_knows=scheduler_retires
    )
    standing = drain.standing(state.standing, drain.too_many(workers, allocation.replicas), now)
    told = {failure.worker: failure for failure in state.record.recent}
    events = [told.get(failure.worker, failure) for failure in state.ledger.failures]
    since = state.ledger.succeeded_at
    return replace(
        state,
        template_hash=template_hash,
        anchors=anchor.sort(
            state.ours,
            template_hash,
            now,
            state.remembered.refused_anchor,
            failures.last_at(events, reasons.ACCESS_POINT_FILES),
        ),
        backoff=backoff.after(backoff.of_workers(events), workers, policy, now, since),
        anchor_backoff=backoff.after(backoff.of_anchors(events), (), policy, now),
        surplus=drain.limited(surplus, workers, standing, now, policy.drain_seconds),
        standing=standing,
    )
