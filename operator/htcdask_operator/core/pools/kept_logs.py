"""Which workers' words are read and written in this plan, for the pool's HTCWorkerLog. Used by `steps`.

What is read just now is waited for: it is written with the rest.
"""

from __future__ import annotations

from dataclasses import replace

from htcdask_api import WorkerLog
from htcdask_operator.core.model import WorkerName
from htcdask_operator.core.pool_state import PoolState
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


def _pending(state: PoolState) -> Pending:
    return state.remembered.logs.seen(state.ended, state.now)
