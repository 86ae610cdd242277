"""What each of a pool's steps comes to, and what several of them ask. Used by `steps` and `submit`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from htcdask_operator.core.actions import Action
from htcdask_operator.core.checks import chains
from htcdask_operator.core.pool_state import PoolState


@dataclass(frozen=True, slots=True)
class Step:
    """What one step comes to."""

    actions: tuple[Action, ...] = ()
    recheck_at: float | None = None


def may_submit(state: PoolState) -> bool:
    """Whether nothing speaks against new jobs of this pool now."""
    return state.refused is None and chains.first(chains.MOMENT, state) is None


def first(times: Iterable[float | None]) -> float | None:
    """The earliest of them, if there is one."""
    return min((at for at in times if at is not None), default=None)
