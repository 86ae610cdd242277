"""Events of pools that may be about everybody's trouble: kept back until it is known whether they are.

Filled by `publish`, emptied by `announce`. The budget of the pool was spent when they came here. Losing them
costs nothing: the status says the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from htcdask_operator.core.model import PoolFacts, PoolUid
from htcdask_operator.core.status import site_wide
from htcdask_operator.core.status.events import Event
from htcdask_operator.ports import ClusterKey

_MOST: Final = 4  # of one pool: the newest


class Kept(NamedTuple):
    """One Event, and since when it waits."""

    pool: PoolFacts
    event: Event
    at: float


@dataclass(slots=True)
class Withheld:
    """Of all pools."""

    kept: dict[PoolUid, list[Kept]] = field(default_factory=dict)

    def keep(self, pool: PoolFacts, event: Event, pools: Mapping[PoolUid, ClusterKey], now: float) -> bool:
        """Whether it is kept back: `pools` are enough to have a trouble of their site."""
        if site_wide.of(event.about) is None or len(pools) < site_wide.POOLS:
            return False
        if len(set(pools.values())) < site_wide.CLUSTERS:
            return False
        kept = self.kept.setdefault(pool.uid, [])
        kept.append(Kept(pool, event, now))
        del kept[:-_MOST]
        return True

    def let_go(self, posted: Kept) -> None:
        """This one waits no more."""
        kept = self.kept.get(posted.pool.uid, [])
        kept[:] = [one for one in kept if one is not posted]

    def last(self, pool: PoolUid) -> None:
        """Those of this pool come after all others: they may be what an API server does not take."""
        if pool in self.kept:
            self.kept[pool] = self.kept.pop(pool)

    def keep_only(self, pools: Collection[PoolUid]) -> None:
        """Forget the pools that are gone."""
        self.kept = {pool: kept for pool, kept in self.kept.items() if pool in pools and kept}
