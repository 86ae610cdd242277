"""What kopf's watch may have missed: a slow listing that wakes clusters and notices a watch gone silent.

Run by `__main__` as a supervised task. What the watch has not shown is taken as it is listed, so that no pool
waits for its event; whose event fails is told once. A watch is dead if it has shown nothing at all of a kind
since an earlier listing that found something new: that ends the operator, and the next one watches anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from htcdask_api import PoolStatus, names
from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.process.unexpected import Survived
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.state.known import Known
from htcdask_operator.uptime import uptime

K = TypeVar("K")
V = TypeVar("V")

_log = logging.getLogger(__name__)

_NAMED: Final = 5  # objects in a message
_INTERVAL: Final = 90.0  # kopf's own retries after an outage are much shorter


class WatchSilent(Exception):  # noqa: N818
    """The watch shows nothing of a kind, and goes on doing so, while there is something to show."""


class Resync:
    """Remembers how many events the watch had shown when it was last behind."""

    def __init__(self, ports: Ports, known: Known, namespaces: Sequence[str], reconciler: Reconciler) -> None:
        self._ports = ports
        self._known = known
        self._namespaces = namespaces
        self._reconciler = reconciler
        self._survived = Survived(uptime)
        self._behind: dict[str, int] = {}  # the kind, and the events of it until then
        self._told: set[PoolUid | ClusterKey] = set()

    async def run(self, interval: float = _INTERVAL) -> None:
        """List again and again until cancelled; WatchSilent when it is so."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.tick()
            except WatchSilent:
                raise
            except Exception as error:
                # One odd object must not end the operator for all: what kopf shows is enough for a while.
                if self._survived.failed("Comparing with what the watch showed", error):
                    raise
            else:
                self._survived.succeeded("Comparing with what the watch showed")

    async def tick(self) -> None:
        """One listing."""
        known = self._known.clusters
        watched_pools, watched_clusters = (
            dict(known.watched_pools),
            dict(known.watched_clusters),
        )
        try:
            pools, clusters = await self._listed()
        except KubeError as error:
            _log.warning("Cannot compare with what the watch showed: %s", error)
            self._behind = {}  # the watch has the same trouble, and may take a while to come back
            return
        # After a break kopf lists anew, and never tells who went meanwhile: no sign of silence.
        for uid in _gone(watched_pools, known.watched_pools, pools):
            known.watched_pools.pop(uid, None)
            self._known.forget(uid)
            self._reconciler.wake(_key(watched_pools[uid]))
        for key in _gone(watched_clusters, known.watched_clusters, clusters):
            known.gone(key)
            self._wake(key, watched_clusters[key])
        self._told &= pools.keys() | clusters.keys()
        new_pools = _news(watched_pools, known.watched_pools, pools)
        for uid, pool in new_pools.items():
            known.watched_pools[uid] = pool
            known.saw_pools(_key(pool), [uid])
            self._reconciler.wake(_key(pool))
        new_clusters = _news(watched_clusters, known.watched_clusters, clusters)
        for key, cluster in new_clusters.items():
            known.heard(cluster)
            self._wake(key, cluster)
        self._look(names.KIND, {uid: f"{pool.namespace}/{pool.name}" for uid, pool in new_pools.items()})
        self._look(names.DASKCLUSTER_KIND, {key: str(key) for key in new_clusters})

    def _look(self, kind: str, behind: Mapping[PoolUid | ClusterKey, str]) -> None:
        """Whether the watch of a kind lives. One that is behind with some objects does."""
        if not behind:
            return
        shown, before = self._known.clusters.events[kind], self._behind.get(kind)
        if shown == before:
            some = ", ".join(list(behind.values())[:_NAMED])
            raise WatchSilent(f"the watch has shown no {kind} since it was last behind; now with {some}")
        self._behind[kind] = shown
        for which in behind.keys() - self._told:
            _log.warning("%s %s: taken from a listing, as the watch has not shown it", kind, behind[which])
        self._told |= behind.keys()

    def _wake(self, key: ClusterKey, cluster: ClusterFacts) -> None:
        if cluster.htcondor or self._known.clusters.pools_of(key):
            self._reconciler.wake(key)

    async def _listed(self) -> tuple[dict[PoolUid, PoolFacts], dict[ClusterKey, ClusterFacts]]:
        pools, clusters = {}, {}
        for namespace in self._namespaces:
            for pool in await self._ports.kube.pools(namespace):
                # Nobody waits for what we write ourselves.
                pools[pool.uid] = replace(pool, status=PoolStatus())
            for cluster in await self._ports.kube.clusters(namespace):
                clusters[ClusterKey(cluster.namespace, cluster.name)] = cluster
        return pools, clusters


# An object that the watch shows anew while others are still being listed may be listed as it was before: that
# listing does not judge it. Its entry is another one then, even if it says what the first one said.


def _gone(before: Mapping[K, V], now: Mapping[K, V], listed: Mapping[K, V]) -> list[K]:
    """Whom the listing does not have. `before`: as the watch had shown them when the listing began."""
    return [key for key, facts in before.items() if key not in listed and now.get(key) is facts]


def _news(before: Mapping[K, V], now: Mapping[K, V], listed: Mapping[K, V]) -> dict[K, V]:
    """Whom the listing has otherwise than the watch, or alone."""
    still = {key: facts for key, facts in listed.items() if now.get(key) is before.get(key)}
    return {key: facts for key, facts in still.items() if now.get(key) != facts}


def _key(pool: PoolFacts) -> ClusterKey:
    return ClusterKey(pool.namespace, pool.spec.cluster_ref.name)
