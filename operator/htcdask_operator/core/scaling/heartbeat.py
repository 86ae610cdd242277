"""How many names a scheduler's heartbeat carries: once they are too many, nobody hears what it wants.

dask-gateway's part of a scheduler sends the name of each worker that has ever left, and forgets none. The API
server reads 1 MiB: aiohttp's bound, which `htcdask_bodies` keeps. What is larger is answered by 413, so that
scale() and adapt() do nothing any more, nor are workers retired, which waits for that answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from htcdask_api import status
from htcdask_operator.core import reasons
from htcdask_operator.core.model import PoolFacts, PoolUid

NAMES: Final = 65_500
"""Of 12 characters, as ours are, 16 bytes each: 65,522 were measured, with those that are connected."""
MANY: Final = 49_000
"""Three quarters: a thousand workers that live for ten minutes take almost three hours for the rest."""

_WORDS: Final = (
    f"{MANY:,} workers of this cluster have ended, or more. Its scheduler tells the gateway the names of "
    f"them all, and the gateway reads about {NAMES:,}: from then on scale() and adapt() do nothing, and the "
    "cluster keeps the workers that it has. Start a new cluster before that, and shut this one down."
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How many workers of a cluster have ended, by the statuses of its pools; also of those that are gone."""

    pools: Mapping[PoolUid, int] = field(default_factory=dict)
    gone: int = 0

    def after(self, pools: Iterable[PoolFacts]) -> Ended:
        """With what these pools count now; one whose status was wiped counts anew, and has not fewer."""
        counts = {pool.uid: pool.status.finished + pool.status.failed for pool in pools}
        gone = sum(count for uid, count in self.pools.items() if uid not in counts)
        most = {uid: max(count, self.pools.get(uid, 0)) for uid, count in counts.items()}
        return Ended(most, self.gone + gone)

    @property
    def count(self) -> int:
        """Of all of the cluster's pools that there ever were, as far as this process has seen them."""
        return self.gone + sum(self.pools.values())

    @property
    def said(self) -> tuple[tuple[str, Literal["False"], str, str], ...]:
        """The condition of each of the pools, where it is time to think of a new cluster."""
        if self.count < MANY:
            return ()
        return ((status.HEARTBEAT_FITS, "False", reasons.TOO_MANY_NAMES, _WORDS),)
