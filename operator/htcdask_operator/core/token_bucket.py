"""How often something may be written for one pool: a burst, and then one in so many seconds.

Used by `publish`, so that nobody's scheduler or pool fills the API server's store. Pure: what was spent is a
value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once, and one more in each `seconds`."""

    burst: int
    seconds: float


EVENTS: Final = Rate(30, 300.0)
"""Events stay in the store for an hour: at most 42 of a pool."""
STATUSES: Final = Rate(60, 3.0)
"""A pool that grows changes each second for a minute."""


@dataclass(frozen=True, slots=True)
class Spent:
    """How much of a burst is used up, and when that was true."""

    used: float = 0.0
    at: float = 0.0

    def left(self, rate: Rate, now: float) -> int:
        """How many may be written now."""
        return int(rate.burst - self._used(rate, now) + 1e-6)

    def one_more(self, rate: Rate, now: float) -> Spent:
        """One was written."""
        return self.more(1, rate, now)

    def more(self, count: int, rate: Rate, now: float) -> Spent:
        """So many were; a negative count gives back."""
        return Spent(max(0.0, self._used(rate, now) + count), now)

    def next_at(self, rate: Rate, now: float) -> float:
        """When one may be written."""
        return now + max(0.0, self._used(rate, now) + 1 - rate.burst) * rate.seconds

    def _used(self, rate: Rate, now: float) -> float:
        return max(0.0, self.used - max(0.0, now - self.at) / rate.seconds)


@dataclass(frozen=True, slots=True)
class Publicity:
    """What was written of one pool."""

    events: Spent = field(default_factory=Spent)
    statuses: Spent = field(default_factory=Spent)
