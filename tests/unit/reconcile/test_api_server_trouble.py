"""An API server that fails: cycles go on ever more slowly, and catch up when it is back."""

import asyncio
import itertools
import logging

import pytest

from htcdask_api import PoolStatus
from htcdask_operator.core.model import ClusterFacts, Gone, PoolFacts
from htcdask_operator.core.plan import plan
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.reconcile.cycle import Cycle
from htcdask_operator.reconcile.loop import Reconciler
from tests.unit.site import KEY, Site
from tests.unit.virtual_time import in_virtual_time, now


class Trouble:
    """A site whose API server fails for a while, and notes when it was asked."""

    def __init__(self) -> None:
        self.site = Site()
        self.site.add_cluster(wanted=2)
        self.site.known.queue.unseen = None
        self.asked: list[float] = []
        self._pools = self.site.kube.pools
        self.site.kube.pools = self.pools  # type: ignore[method-assign]
        site = self.site
        self.reconciler = Reconciler(Cycle(site.ports, site.known, site.policy, now, plan))

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        self.asked.append(now())
        return await self._pools(namespace, cluster)


def test_a_cycle_is_tried_again_ever_more_slowly_and_at_least_once_a_minute() -> None:
    async def run() -> None:
        trouble = Trouble()
        trouble.site.kube.failing = "500"
        running = asyncio.create_task(trouble.reconciler.run())
        trouble.reconciler.wake(KEY)
        await asyncio.sleep(3600)
        pauses = [round(later - earlier) for earlier, later in itertools.pairwise(trouble.asked)]
        assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert max(pauses) == 60
        assert trouble.site.kube.status_writes == 0

        trouble.site.kube.failing = None
        await asyncio.sleep(60)
        assert trouble.site.kube.status_writes == 1
        running.cancel()

    in_virtual_time(run)


def test_after_a_conflict_everything_is_read_again_and_written() -> None:
    async def run() -> None:
        trouble = Trouble()
        kube = trouble.site.kube
        publish, refused = kube.publish, 0

        async def conflicts_twice(pool: PoolFacts, status: PoolStatus) -> None:
            nonlocal refused
            if refused < 2:
                refused += 1
                raise KubeError("PATCH", "please apply your changes to the latest version", 409)
            await publish(pool, status)

        kube.publish = conflicts_twice  # type: ignore[method-assign]
        running = asyncio.create_task(trouble.reconciler.run())
        trouble.reconciler.wake(KEY)
        await asyncio.sleep(5)
        assert refused == 2
        assert (await trouble.site.pool()).status.conditions
        running.cancel()

    in_virtual_time(run)


def test_one_question_that_failed_is_asked_again_a_second_later() -> None:
    async def run() -> None:
        trouble = Trouble()
        kube = trouble.site.kube
        cluster, failed = kube.cluster, 0

        async def fails_once(namespace: str, name: str) -> ClusterFacts | Gone:
            nonlocal failed
            failed += 1
            if failed == 1:
                raise KubeError("GET", "try again", 500)
            return await cluster(namespace, name)

        kube.cluster = fails_once  # type: ignore[method-assign]
        running = asyncio.create_task(trouble.reconciler.run())
        trouble.reconciler.wake(KEY)
        await asyncio.sleep(0.5)
        told = (await trouble.site.pool()).status.condition("ClusterActive")
        assert told is not None and told.status == "Unknown"
        await asyncio.sleep(1)
        told = (await trouble.site.pool()).status.condition("ClusterActive")
        assert told is not None and told.status == "True"
        running.cancel()

    in_virtual_time(run)


def test_another_clusters_pool_of_the_default_pools_name_is_told_once_and_slows_the_cycle(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        trouble = Trouble()
        body = trouble.site.kube.pool_bodies["gateway", "default-c1"]
        body["spec"]["clusterRef"]["name"] = "c2"
        running = asyncio.create_task(trouble.reconciler.run())
        trouble.reconciler.wake(KEY)
        await asyncio.sleep(3600)
        pauses = [round(later - earlier) for earlier, later in itertools.pairwise(trouble.asked)]
        assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
        assert caplog.text.count("pool gateway/default-c1: it is of the cluster c2 and in the way") == 1
        assert "Pool default-c1 made" not in caplog.text

        del trouble.site.kube.pool_bodies["gateway", "default-c1"]
        await asyncio.sleep(60)
        assert (await trouble.site.pool()).name == "default-c1"
        running.cancel()

    with caplog.at_level(logging.INFO):
        in_virtual_time(run)
