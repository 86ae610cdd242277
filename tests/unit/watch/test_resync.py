"""The slow listing: it wakes what the watch missed, and ends the operator when the watch is silent."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from htcdask_api import PoolStatus, names
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.ports import ClusterKey
from htcdask_operator.watch.resync import Resync, WatchSilent
from tests.unit.site import KEY, Site, cluster_manifest


class Watched:
    """A site, its listing, and a watch that shows things only when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.site = Site()
        self.woken: list[ClusterKey] = []
        monkeypatch.setattr(self.site.reconciler, "wake", self.woken.append)
        self.events = self.site.known.clusters.events
        self.resync = Resync(self.site.ports, self.site.known, ("gateway",), self.site.reconciler)

    async def show(self) -> None:
        """What the handlers keep of the watch's events."""
        known = self.site.known
        for pool in await self.site.kube.pools("gateway"):
            self.events[names.KIND] += 1
            known.clusters.watched_pools[pool.uid] = replace(pool, status=PoolStatus())
            known.clusters.pools[pool.uid] = ClusterKey(pool.namespace, pool.spec.cluster_ref.name)
        for cluster in await self.site.kube.clusters("gateway"):
            self.events[names.DASKCLUSTER_KIND] += 1
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


async def test_what_a_listing_showed_is_no_news_to_the_next_one(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    assert [bool(await watched.tick()) for _ in range(3)] == [True, False, False]


async def test_an_object_that_the_watch_never_shows_is_told_once_and_ends_nobody(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.site.add_cluster("c1", wanted=3)
    watched.site.add_pool("odd-c1")
    for replicas in range(6):
        watched.site.kube.edit_pool("gateway", "odd-c1", replicas=replicas, scaling="Manual")
        watched.events[names.KIND] += 1  # of another pool
        assert await watched.tick()
    assert caplog.text.count("gateway/odd-c1") == 1


async def test_a_watch_that_shows_nothing_of_a_kind_between_two_changes_ends_the_operator(
    watched: Watched,
) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    watched.site.scale(5)
    await watched.tick()
    await watched.tick()  # nothing is new
    watched.events[names.KIND] += 1  # the other kind's watch lives
    watched.site.scale(6)
    with pytest.raises(WatchSilent, match=r"no DaskCluster .* now with gateway/c1"):
        await watched.tick()


async def test_a_watch_of_pools_that_shows_nothing_at_all_ends_the_operator(watched: Watched) -> None:
    watched.site.add_cluster("c1")
    await watched.tick()
    watched.site.add_pool("more-c1")
    with pytest.raises(WatchSilent, match="gateway/more-c1"):
        await watched.tick()


async def test_a_watch_that_is_only_late_is_let_live(watched: Watched) -> None:
    watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    for wanted in (5, 3, 5, 3):  # to and fro: each listing finds it behind, and each time with another event
        watched.site.scale(wanted)
        assert await watched.tick() == [KEY]
        await watched.show()


def shown_meanwhile(watched: Watched, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    """The next listing's second namespace is answered after this change, which the watch shows at once."""
    site = watched.site
    listed, changed = site.kube.pools, False

    async def pools(namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        nonlocal changed
        if namespace == "other" and not changed:
            changed = True
            change()
            await watched.show()
        return await listed(namespace, cluster)

    monkeypatch.setattr(site.kube, "pools", pools)
    watched.resync = Resync(site.ports, site.known, ("gateway", "other"), site.reconciler)


@pytest.mark.parametrize("wanted", [(5,), (5, 3)], ids=["another number", "another, and back"])
async def test_what_the_watch_shows_during_a_listing_is_newer_than_the_listing(
    watched: Watched,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    wanted: tuple[int, ...],
) -> None:
    uid = watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    watched.site.scale(wanted[0] if len(wanted) > 1 else 3)  # as it is listed

    def change() -> None:
        watched.site.scale(wanted[-1])
        watched.site.kube.edit_pool("gateway", "default-c1", maxReplicas=wanted[-1])

    shown_meanwhile(watched, monkeypatch, change)
    assert await watched.tick() == []
    assert watched.site.known.clusters.watched_clusters[KEY].replicas == wanted[-1]
    assert watched.site.known.clusters.watched_pools[uid].spec.max_replicas == wanted[-1]
    assert await watched.tick() == []  # and the watch is not silent, though it has shown no more
    assert "the watch has not shown it" not in caplog.text


async def test_who_ends_during_a_listing_does_not_come_back_with_it(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = watched.site.add_cluster("c1", wanted=3)
    await watched.show()
    known = watched.site.known

    def ends() -> None:
        watched.site.kube.pool_bodies.clear()
        watched.site.kube.cluster_bodies.clear()
        known.clusters.gone(KEY)
        known.clusters.watched_pools.pop(uid)
        known.forget(uid)

    shown_meanwhile(watched, monkeypatch, ends)
    assert await watched.tick() == []
    assert not known.clusters.watched_clusters and not known.clusters.watched_pools


async def test_what_went_while_the_watch_was_interrupted_is_forgotten_without_an_alarm(
    watched: Watched,
) -> None:
    uid = watched.site.add_cluster("c1")
    await watched.show()
    watched.site.kube.pool_bodies.clear()
    watched.site.kube.cluster_bodies.clear()
    assert KEY in await watched.tick()
    assert uid not in watched.site.known.clusters.pools
    assert await watched.tick() == []


async def test_an_outage_of_the_api_server_is_no_silence_of_the_watch(watched: Watched) -> None:
    watched.site.add_cluster("c1")
    for wanted, failing in ((1, None), (2, "the API server cannot be reached"), (3, None)):
        watched.site.scale(wanted)
        watched.site.kube.failing = failing
        await watched.tick()
    watched.site.scale(4)
    with pytest.raises(WatchSilent):
        await watched.tick()
