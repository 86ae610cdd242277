"""What was decided about a cluster's pools and is not written yet, and how much was written lately.

One for each cluster, kept by its task; `publish` empties it. Losing it costs nothing: it is decided again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from htcdask_api import PoolStatus
from htcdask_operator.core.model import PoolUid
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.status.events import Event
from htcdask_operator.core.token_bucket import Publicity


@dataclass(slots=True)
class Unpublished:
    """Of one cluster."""

    statuses: dict[PoolUid, PoolStatus] = field(default_factory=dict)
    events: dict[PoolUid, list[Event]] = field(default_factory=dict)
    refused: dict[PoolUid, Setback] = field(default_factory=dict)  # statuses that could not be written
    publicity: dict[PoolUid, Publicity] = field(default_factory=dict)

    def spent(self, pool: PoolUid) -> Publicity:
        """What was written of this pool lately."""
        return self.publicity.get(pool, Publicity())

    def recorded(self, pool: PoolUid, identity: str) -> None:
        """It was written as whom the pool's jobs are submitted: what was decided before must not undo it."""
        if pool in self.statuses:
            self.statuses[pool] = self.statuses[pool].model_copy(update={"submitted_as": identity})

    def uncount(self, finished: Mapping[PoolUid, int]) -> None:
        """Put back how many workers had finished (a failed one is known by name and never counted twice)."""
        for pool, count in finished.items():
            if pool in self.statuses:
                self.statuses[pool] = self.statuses[pool].model_copy(update={"finished": count})

    def keep_only(self, pools: Collection[PoolUid]) -> None:
        """Forget the pools that are gone."""
        self.statuses = {pool: status for pool, status in self.statuses.items() if pool in pools}
        self.events = {pool: events for pool, events in self.events.items() if pool in pools}
        self.refused = {pool: last for pool, last in self.refused.items() if pool in pools}
        self.publicity = {pool: spent for pool, spent in self.publicity.items() if pool in pools}
