"""One pool, decided."""

from __future__ import annotations

from dataclasses import dataclass

from htcdask_api import PoolStatus
from htcdask_operator.core.actions import Action
from htcdask_operator.core.memory import PoolMemory
from htcdask_operator.core.mistake import Mistake


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one pool, what to publish of it, and what to remember."""

    actions: tuple[Action, ...]
    status: PoolStatus
    memory: PoolMemory
    recheck_at: float | None = None
    ask_first: bool = False  # as `Plan`
    sound: bool = False  # what is asked for makes sense, so the scheduler may hear of it
    mistake: Mistake | None = None  # why nothing else could be decided
