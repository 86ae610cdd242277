"""Which workers' words are read and written in this plan, for the pool's HTCWorkerLog.

Used by `steps`, and by `finalize` for a cluster that has ended. What is read just now is waited for: it is
written with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from htcdask_api import WorkerLog
from htcdask_operator.core.actions import ReadLogs, WriteLogs
from htcdask_operator.core.model import WorkerName
from htcdask_operator.core.pool_state import PoolState
from htcdask_operator.core.pools.step import Step, first
from htcdask_operator.core.submit import anchor
from htcdask_operator.core.workers import states
from htcdask_operator.core.workers.worker_logs import Pending


def reads(state: PoolState) -> tuple[WorkerName, ...]:
    """Whom to ask; what they printed lies in the anchor's directory."""
    if state.anchors.usable is None:
        return ()
    return _pending(state).reads(state.now)


def writes(state: PoolState) -> tuple[WorkerLog, ...]:
    """What to write."""
    return () if reads(state) else _pending(state).writes(state.now)


def after(state: PoolState) -> Pending:
    """What is left to do after this plan; done or not, neither is tried again before its pause is over."""
    pending, now = _pending(state), state.now
    if asked := reads(state):
        return pending.asking(asked, now)
    return replace(pending, written_at=now) if writes(state) else pending


@dataclass(frozen=True, slots=True)
class Last:
    """What is done for the last words of a cluster that has ended."""

    step: Step
    pending: Pending
    keeps_anchor: bool  # an answer is waited for, for a few seconds


def last(state: PoolState) -> Last:
    """Nobody asks after the anchor is gone, so those who wait for their turn are asked now."""
    over = [worker for worker in state.workers if worker.state in states.OVER]
    pending, keeper, now = state.remembered.logs.seen(over, state.now), anchor.keeper(state.ours), state.now
    if not pending.ended or state.waits is not None:
        return Last(Step(), pending, keeps_anchor=False)
    until = None
    if keeper is not None:
        pending = pending.closing(now)
        until = pending.last_until(now)
    if keeper is not None and until is not None:
        asked = pending.reads(now)
        actions = (ReadLogs(state.uid, keeper.id, asked),) if asked else ()
        return Last(Step(actions, until), pending.asking(asked, now) if asked else pending, keeps_anchor=True)
    logs = pending.writes(now)
    after = replace(pending, written_at=now) if logs else pending
    due = first((after.until(now), after.given_up_at()))
    return Last(Step((WriteLogs(state.uid, logs),) if logs else (), due), after, keeps_anchor=False)


def _pending(state: PoolState) -> Pending:
    return state.remembered.logs.seen(state.ended, state.now)
