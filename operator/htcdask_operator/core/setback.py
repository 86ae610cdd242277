"""A pool of which an action failed: what it says, and when that pool, and no other, is tried again.

Made by the shell when an action of the pool fails, and remembered until the pool gets through a cycle. The
first retry comes with the next cycle; from the second failure on the pool waits, ever longer. `plan` gives
a pool that waits no action, and does what another one needs first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from htcdask_operator.core import timestamps

FIRST: Final = 1.0
"""Seconds until the first retry, and between two cycles at the least."""
LONGEST: Final = 60.0
"""Seconds between two tries at the most."""
STALLED: Final = 5
"""So many failures in a row: somebody should look."""


@dataclass(frozen=True, slots=True)
class Setback:
    """The last failure of a pool's actions, or of what is written about it."""

    why: str
    at: float
    times: int = 1  # how often in a row; 0: nothing of this pool failed, it was not its turn
    condor: bool = False  # HTCondor said no, or nothing: what is in the queue is not known any more
    removal: bool = False  # jobs of this pool were to be removed
    finalizer: bool = False  # our finalizer was to be taken from it
    waits: bool = True  # nothing is done for the pool now

    @property
    def next_try(self) -> float:
        return self.at + timestamps.doubled(FIRST, self.times, LONGEST)


def one_more(before: Setback | None, setback: Setback) -> Setback:
    """The newest, counted after the one before."""
    return replace(setback, times=1 if before is None else before.times + 1)


def wake_at(setback: Setback, now: float) -> float:
    """When the cluster is to be looked at for this pool."""
    return max(setback.next_try, now + FIRST)


def in_next_cycle(setback: Setback, now: float) -> Setback:
    """The first retry comes whenever the cluster is looked at again, the others in their time."""
    return replace(setback, waits=setback.times > 1 and now < setback.next_try)
