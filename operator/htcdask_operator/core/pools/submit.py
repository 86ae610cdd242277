"""Who comes: workers that are missing, and successors of those that are about to retire. For `steps`."""

from __future__ import annotations

import math

from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.model import Unseen, WorkerName
from htcdask_operator.core.pool_state import PoolState
from htcdask_operator.core.pools.step import Step, first, may_submit
from htcdask_operator.core.submit import descriptions, spooled, worker_names
from htcdask_operator.core.workers import states, succession
from htcdask_operator.core.workers.states import Worker
from htcdask_operator.core.workers.succession import Succession


def missing(state: PoolState) -> Step:
    """The workers that are missing come, as many as may come now."""
    recheck = first((state.pause_ends_at, state.more_at)) if state.missing else None
    count = state.may_come if state.anchors.refused is None else min(state.may_come, spooled.LARGEST_SUBMIT)
    if count <= 0 or not _may_submit_workers(state):
        return Step((), recheck)
    names = worker_names.new_names(state.uid, count, state.taken, state.now)
    if not names:  # as many are in sight as there are files for them
        return Step((), recheck)
    return Step((_submission(state, names),), recheck)


def in_the_way(state: PoolState) -> tuple[Worker, ...]:
    """Who is given up, as a limit has no room for both of a pair and for workers that are missing."""
    lacks = state.lacks_room
    return succession.giving_way(state.workers, lacks) if lacks and _may_submit_workers(state) else ()


def successors(state: PoolState) -> Step:
    """Who is about to retire gets a successor, if nothing else is to be done about the pool's number."""
    if state.template.max_runtime_seconds is None or state.allocation is None:
        return Step()
    given = {worker: at for worker, at in state.remembered.successors.items() if at > state.now}
    due = succession.due(state.workers, given, state.now)
    paused = (state.pause_ends_at, state.more_at) if due.now else ()
    recheck = first((due.recheck_at, *paused, *(at for at in given.values() if at < math.inf)))
    lacks = state.missing or not state.all_there or state.backoff.allowed is not None
    # Its number is about to change, here or by another pool's, or the queue will show for whom they are.
    changes = states.live(state.workers) != state.allocation.replicas or state.wants_fewer or state.expected
    if lacks or changes:
        return Step((), recheck)
    count = min(len(due.now), state.submit_budget, state.ledger.left(state.pace, state.now))
    if state.anchors.refused is not None:
        count = min(count, 1)  # its files take a second
    if count <= 0 or not _may_submit_workers(state):
        return Step((), recheck)
    names = worker_names.new_names(state.uid, count, state.taken, state.now)
    pairs = zip(names, due.now, strict=False)
    return Step(tuple(_submission(state, (name,), successor) for name, successor in pairs), recheck)


def _may_submit_workers(state: PoolState) -> bool:
    kept = state.anchors.usable
    files = state.anchors.refused is not None or (kept is not None and kept.iwd is not None)
    described = files and state.template_hash and state.cluster is not None
    return bool(described) and not isinstance(state.observed.connected, Unseen) and may_submit(state)


def _submission(
    state: PoolState, names: tuple[WorkerName, ...], successor: Succession | None = None
) -> SubmitWorkers:
    kept = state.anchors.usable
    assert state.cluster is not None
    assert state.template_hash
    description = descriptions.workers(
        state.pool,
        state.cluster,
        state.template,
        state.template_hash,
        "" if kept is None else kept.iwd or "",
        state.policy,
        state.now,
        "" if kept is None else kept.id,
        state.avoided,
        successor,
    )
    bundle = None
    if kept is None:
        description = spooled.described(description)
        bundle = descriptions.bundle(state.cluster, state.template, state.policy)
    profile, of = state.template.profile, "" if successor is None else successor.of
    return SubmitWorkers(state.uid, description, names, state.worker, profile, bundle, of)
