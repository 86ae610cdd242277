"""The slow listing: it wakes what the watch missed, and ends the operator when the watch is silent."""

from dataclasses import replace

import pytest

from htcdask_api import PoolStatus
from htcdask_operator.ports import ClusterKey
from htcdask_operator.watch.resync import Resync, WatchSilent
from tests.unit.site import KEY, Site, cluster_manifest


class Watched:
    """A site, its listing, and a watch that shows things only when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = Site()
        self.woken: list[ClusterKey] = []
        monkeypatch.setattr(self.site.reconciler, "wake", self.woken.append)
        self.resync = Resync(self.site.ports, self.site.known, ("gateway",), self.site.reconciler)

    async def show(self) -> None:
        """What the handlers keep of the watch's events."""
        known = self.site.known
        for pool in await self.site.kube.pools("gateway"):
            known.clusters.watched_pools[pool.uid] = replace(pool, status=PoolStatus())
            known.clusters.pools[pool.uid] = ClusterKey(pool.namespace, pool.spec.cluster_ref.name)
        for cluster in await self.site.kube.clusters("gateway"):
            known.clusters.watched_clusters[ClusterKey(cluster.namespace, cluster.name)] = cluster

    async def tick(self) -> list[ClusterKey]:
        """One listing; whom it woke."""
        self.woken.clear()
        await self.resync.tick()
        return self.woken


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


async def test_nobody_is_woken_for_what_the_watch_has_shown(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    assert [await watched.tick() for _ in range(3)] == [[], [], []]


async def test_a_pool_that_the_watch_missed_wakes_its_cluster(watched: Watched) -> None:
    uid = watched.site.add_cluster("c1")
    watched.site.known.clusters.pools.clear()
    assert KEY in await watched.tick()
    assert watched.site.known.clusters.pools == {uid: KEY}


async def test_a_number_that_the_watch_missed_wakes_its_cluster(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    watched.site.scale(5)
    assert await watched.tick() == [KEY]


@pytest.mark.parametrize(("backend", "woken"), [("kubernetes", []), ("htcondor", [KEY])])
async def test_a_cluster_without_pools_is_our_concern_if_it_wants_htcondor(
    watched: Watched, backend: str, woken: list[ClusterKey]
) -> None:
    watched.site.kube.make_cluster(cluster_manifest("c1", options={"worker_backend": backend}))
    assert await watched.tick() == woken


async def test_our_own_status_is_no_news(watched: Watched) -> None:
    watched.site.add_cluster("c1")
    await watched.show()
    await watched.site.kube.publish(await watched.site.pool(), PoolStatus(idle=3))
    assert await watched.tick() == []


async def test_a_watch_that_shows_nothing_of_a_new_pool_ends_the_operator(watched: Watched) -> None:
    uid = watched.site.add_cluster("c1")
    await watched.tick()
    with pytest.raises(WatchSilent, match=uid):
        await watched.tick()


async def test_a_watch_that_shows_nothing_of_a_change_ends_the_operator(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    for wanted in (5, 6):
        watched.site.scale(wanted)
        if wanted == 5:
            await watched.tick()
    with pytest.raises(WatchSilent, match="c1"):
        await watched.tick()


async def test_a_watch_that_is_only_late_is_let_live(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    for wanted in (5, 3, 5, 3):  # to and fro: each listing finds it behind, and each time with another event
        watched.site.scale(wanted)
        assert await watched.tick() == [KEY]
        await watched.show()


async def test_what_went_while_the_watch_was_interrupted_is_forgotten_without_an_alarm(
    watched: Watched,
) -> None:
    uid = watched.site.add_cluster("c1")
    await watched.show()
    released = watched.site.reconciler.cycle.finalizer_may_go(uid)
    watched.site.kube.pool_bodies.clear()
    watched.site.kube.cluster_bodies.clear()
    assert KEY in await watched.tick()
    assert uid not in watched.site.known.clusters.pools
    assert watched.site.reconciler.cycle.finalizer_may_go(uid) is not released
    assert await watched.tick() == []


async def test_an_outage_of_the_api_server_is_no_silence_of_the_watch(watched: Watched) -> None:
    watched.site.add_cluster("c1")
    for failing in (None, "the API server cannot be reached", None):
        watched.site.kube.failing = failing
        await watched.tick()
    with pytest.raises(WatchSilent):
        await watched.tick()
