"""A scheduler is told a number only instead of the one that this was decided on."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from htcdask_operator.core.model import ClusterFacts, Gone, WorkerName
from htcdask_operator.kube.errors import KubeError
from tests.unit.site import KEY, Site


async def manual(site: Site) -> None:
    """A pool of two replicas, of which the scheduler will be told once its workers are asked after."""
    site.add_cluster(wanted=1)
    await site.settle(8)
    spec = site.kube.pool_bodies["gateway", "default-c1"]["spec"]
    spec |= {"scaling": "Manual", "replicas": 2}
    await site.cycle()
    site.schedd.now += 2


def while_asked(site: Site, monkeypatch: pytest.MonkeyPatch, deed: Callable[[], None]) -> None:
    """`deed` happens while the scheduler is asked for its workers: after its cluster was."""
    workers = site.scheduler.workers

    async def slow(namespace: str, cluster: str, ours: Collection[WorkerName]) -> object:
        found = await workers(namespace, cluster, ours)
        if (namespace, cluster) == KEY:
            deed()
        return found

    monkeypatch.setattr(site.scheduler, "workers", slow)


async def test_the_number_that_this_was_decided_on_is_replaced() -> None:
    site = Site()
    await manual(site)
    await site.cycle()
    assert site.scheduler.told == [(*KEY, 2)]


async def test_a_number_that_came_meanwhile_is_not_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    await manual(site)
    while_asked(site, monkeypatch, lambda: site.scale(2))
    await site.cycle()
    assert site.scheduler.told == [], "it wants just that by itself now"
    assert not [reason for _, _, reason, _ in site.kube.events if reason == "SchedulerTold"]


async def test_it_is_decided_anew_by_the_number_that_came(monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site()
    await manual(site)
    while_asked(site, monkeypatch, lambda: site.scale(5))
    await site.cycle()
    assert site.scheduler.told == []
    await site.settle(8)
    assert site.scheduler.told == [(*KEY, 2)], "a Manual pool alone has what its people wrote"


@pytest.mark.parametrize("meanwhile", ["gone", "unanswered"])
async def test_who_cannot_be_asked_again_is_told_nothing(
    monkeypatch: pytest.MonkeyPatch, meanwhile: str
) -> None:
    site = Site()
    await manual(site)
    asked = 0
    cluster = site.kube.cluster

    async def once(namespace: str, name: str) -> ClusterFacts | Gone:
        nonlocal asked
        asked += 1
        if asked > 1 and meanwhile == "gone":
            return Gone()
        if asked > 1:
            raise KubeError("cluster", "no answer")
        return await cluster(namespace, name)

    monkeypatch.setattr(site.kube, "cluster", once)
    await site.cycle()
    assert asked > 1
    assert site.scheduler.told == []
