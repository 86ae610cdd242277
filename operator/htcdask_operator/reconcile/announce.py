"""What many pools would say at once, said once: on the operator's own Lease, where who runs the site looks.

Run by `__main__` as a supervised task, beside the clusters' own cycles, none of which waits for it. The
core's `site_wide` decides. A look waits for no API server: what it found is posted beside it, and what a busy
or silent one did not take is tried again.
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
_UNKNOWN_TO_IT: Final = 401  # the operator's own token, while it is renewed
_MAY_NOT: Final = 403
_TOO_MANY: Final = 429
_FAILS: Final = 500
_UNPOSTED: Final = 20  # announcements that wait for the API server, the newest


def _is_for_all(error: KubeError) -> bool:
    """Whether it would be the same with any other Event: the API server is busy, silent, or out of order."""
    return error.status is None or error.status in (_UNKNOWN_TO_IT, _TOO_MANY) or error.status >= _FAILS


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
        self._alone: list[Kept] = []  # by the last look
        self._said: str | None = None
        self._busy = False  # the API server, as was said
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Look, and post what was found, again and again until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._posting(), name="Events of the whole site")
            while True:
                with self._survived.attempt("Looking for trouble of the whole site"):
                    self.look()
                await asyncio.sleep(_INTERVAL)

    async def _posting(self) -> None:
        while True:
            with self._survived.attempt("Posting Events about the whole site"):
                await self.post()
            await asyncio.sleep(_INTERVAL)

    def look(self) -> None:
        """What began, what is over, and which Events are one pool's alone: all for the next `post`."""
        now, before = self._clock(), self._standing
        statuses = self._known.clusters.statuses
        self._standing, told = site_wide.look(before, tuple(self._pools()), now)
        self._count(statuses)
        for event in told:
            _log.log(logging.WARNING if event.kind == "Warning" else logging.INFO, "%s", event.message)
        self._unposted = [*self._unposted, *told][-_UNPOSTED:]
        self._alone = self._released(before, statuses, now)

    async def post(self) -> None:
        """What the last look found, for as long as the API server takes it; the rest is found again."""
        await self._announce()
        while self._alone:
            one = self._alone[0]
            pool, event, _ = one
            try:
                await self._kube.post_event(pool, event.kind, event.reason, event.message)
                self._busy = False
            except KubeError as error:
                if _is_for_all(error):
                    self._known.withheld.last(pool.uid)
                    if not self._busy:
                        _log.warning("Events of pools are not taken, and are kept: %s", error)
                    self._busy = True
                    return
                _log.warning("Pool %s: Event %s could not be posted: %s", pool.name, event.reason, error)
            self._known.withheld.let_go(one)
            self._alone = [other for other in self._alone if other is not one]  # there may have been a look

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
        """Those that are to be posted now. They stay until they are; others stay, or are dropped."""
        withheld, alone = self._known.withheld, []
        withheld.keep_only(statuses)
        for pool, kept in withheld.kept.items():
            says = site_wide.said_by(statuses[pool], now)
            fates = [site_wide.fate(one.event, one.at, before, self._standing, says, now) for one in kept]
            alone += [one for one, fate in zip(kept, fates, strict=True) if fate is Fate.POST]
            kept[:] = [one for one, fate in zip(kept, fates, strict=True) if fate is not Fate.DROP]
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
                if _is_for_all(error) or error.status == _MAY_NOT:  # as a right can still be given
                    return
            else:
                self._said = None
            self._unposted = [other for other in self._unposted if other is not event]

    def _count(self, statuses: Mapping[str, PoolStatus]) -> None:
        found = (one.condition(status.READY) for one in statuses.values())
        counts = Counter(ready.reason for ready in found if ready is not None)
        self._shown |= counts.keys()
        for reason in self._shown:
            metrics.POOLS_BY_REASON.labels(reason).set(counts[reason])
        for reason in site_wide.REASONS:
            metrics.SITE_TROUBLE.labels(reason).set(reason in self._standing)
