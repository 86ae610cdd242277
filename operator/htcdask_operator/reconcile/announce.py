"""What many pools would say at once, said once: on the operator's own Lease, where who runs the site looks.

Run by `__main__` as a supervised task, beside the clusters' own cycles, none of which waits for it. The
core's `site_wide` decides. An announcement that could not be posted is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from htcdask_api import PoolStatus, status
from htcdask_operator import metrics
from htcdask_operator.core.status import site_wide
from htcdask_operator.core.status.events import Event
from htcdask_operator.core.status.site_wide import Fate, Seen, Trouble
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube
from htcdask_operator.process.unexpected import Survived
from htcdask_operator.state.known import Known
from htcdask_operator.state.withheld import Kept

_log = logging.getLogger(__name__)

_INTERVAL: Final = 5.0
_UNPOSTED: Final = 20  # announcements that wait for the API server, the newest


class Announcer:
    """Of one operator."""

    def __init__(self, kube: Kube, known: Known, lease: tuple[str, str], clock: Callable[[], float]) -> None:
        """`lease`: namespace and name of the operator's own."""
        self._kube = kube
        self._known = known
        self._lease = lease
        self._clock = clock
        self._survived = Survived(clock)
        self._standing: Mapping[str, Trouble] = {}
        self._unposted: list[Event] = []
        self._said: str | None = None
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            with self._survived.attempt("Looking for trouble of the whole site"):
                await self.tick()
            await asyncio.sleep(_INTERVAL)

    async def tick(self) -> None:
        """One look: announce what began and what is over, and post Events that are one pool's alone."""
        now, before = self._clock(), self._standing
        statuses = self._known.clusters.statuses
        self._standing, told = site_wide.look(before, tuple(self._pools()), now)
        self._count(statuses)
        for event in told:
            _log.log(logging.WARNING if event.kind == "Warning" else logging.INFO, "%s", event.message)
        self._unposted = [*self._unposted, *told][-_UNPOSTED:]
        alone = self._released(before, statuses, now)
        await self._announce()
        for pool, event, _ in alone:
            try:
                await self._kube.post_event(pool, event.kind, event.reason, event.message)
            except KubeError as error:
                _log.warning("Pool %s: Event %s could not be posted: %s", pool.name, event.reason, error)

    def _pools(self) -> Iterator[Seen]:
        clusters = self._known.clusters
        for pool, key in clusters.pools.items():
            if (found := clusters.statuses.get(pool)) is not None:
                facts = clusters.watched_clusters.get(key)
                kept = self._known.withheld.kept.get(pool, ())
                lately = site_wide.lately(one.event for one in kept)
                yield Seen(str(key), "" if facts is None else facts.username, found, lately)

    def _released(
        self, before: Mapping[str, Trouble], statuses: Mapping[str, PoolStatus], now: float
    ) -> list[Kept]:
        """Those that are to be posted now; the others stay, or are dropped."""
        withheld, alone = self._known.withheld, []
        withheld.keep_only(statuses)
        for pool, kept in withheld.kept.items():
            says = site_wide.said_by(statuses[pool], now)
            fates = [site_wide.fate(one.event, one.at, before, self._standing, says, now) for one in kept]
            alone += [one for one, fate in zip(kept, fates, strict=True) if fate is Fate.POST]
            kept[:] = [one for one, fate in zip(kept, fates, strict=True) if fate is Fate.WAIT]
        return alone

    async def _announce(self) -> None:
        while self._unposted:
            event = self._unposted[0]
            try:
                await self._kube.announce(*self._lease, event.kind, event.reason, event.message)
            except KubeError as error:
                if self._said != str(error):
                    self._said = str(error)
                    _log.warning("Trouble of the whole site could not be announced: %s", error)
                return
            self._said = None
            del self._unposted[:1]

    def _count(self, statuses: Mapping[str, PoolStatus]) -> None:
        found = (one.condition(status.READY) for one in statuses.values())
        counts = Counter(ready.reason for ready in found if ready is not None)
        self._shown |= counts.keys()
        for reason in self._shown:
            metrics.POOLS_BY_REASON.labels(reason).set(counts[reason])
        for reason in site_wide.REASONS:
            metrics.SITE_TROUBLE.labels(reason).set(reason in self._standing)
