"""A scheduler that changes its mind without end: the jobs, statuses and Events that it costs are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from htcdask_operator.core.model import JobStatus, SchedulerWorkers, WorkerName
from htcdask_operator.core.token_bucket import EVENTS, STATUSES
from htcdask_operator.ports import ClusterKey
from htcdask_operator.scheduler.port import SchedulerError
from tests.unit.site import KEY, Site


@pytest.fixture
async def site() -> Site:
    site = Site()
    site.add_cluster("c1")
    await site.settle()
    return site


async def test_a_flood_of_heartbeats(site: Site) -> None:
    calls = {name: site.condor.calls.count(name) for name in ("submit_workers", "remove")}
    events, writes = len(site.kube.events), site.kube.status_writes
    for second in range(600):
        site.scale(100 if second % 2 else 0)
        site.schedd.now += 1
        await site.cycle()
    made = {name: site.condor.calls.count(name) - before for name, before in calls.items()}
    assert made["submit_workers"] <= 4 and made["remove"] <= 4
    assert len(site.kube.events) - events <= EVENTS.burst + 600 / EVENTS.seconds
    assert site.kube.status_writes - writes <= STATUSES.burst + 600 / STATUSES.seconds
    site.scale(7)
    site.schedd.now += 1
    wake_at = await site.cycle()
    assert wake_at is not None and wake_at <= site.schedd.now + 5
    site.schedd.now += 5
    await site.cycle()
    assert len(site.jobs()) == 7


@pytest.mark.parametrize(
    ("spec", "word"),
    [({"scaling": "Manual", "replicas": 0}, "replicas"), ({"maxReplicas": 0}, "maxReplicas")],
    ids=["replicas", "maxReplicas"],
)
async def test_a_flood_of_changes_of_a_pool(site: Site, spec: dict[str, Any], word: str) -> None:
    """What people ask of a pool costs no more than what a scheduler asks for."""
    site.scale(100)
    site.kube.edit_pool("gateway", "default-c1", **spec)
    await site.settle()
    calls = {name: site.condor.calls.count(name) for name in ("submit_workers", "remove")}
    for second in range(600):
        site.kube.edit_pool("gateway", "default-c1", **{word: 100 if second % 2 else 0})
        site.scale(100)  # whatever it is told
        site.schedd.now += 1
        await site.cycle()
    made = {name: site.condor.calls.count(name) - before for name, before in calls.items()}
    assert made["submit_workers"] <= 4 and made["remove"] <= 4
    site.kube.edit_pool("gateway", "default-c1", **{word: 7})
    site.schedd.now += 1
    wake_at = await site.cycle()
    assert wake_at is not None and wake_at <= site.schedd.now + 5
    site.schedd.now += 5
    await site.cycle()
    assert len([job for job in site.jobs() if job.status is not JobStatus.REMOVED]) == 7


async def test_three_numbers_are_followed_at_once(site: Site) -> None:
    for count in (10, 0, 10):
        site.scale(count)
        site.schedd.now += 1
        await site.cycle()
        assert len([job for job in site.jobs() if job.status is not JobStatus.REMOVED]) == count


async def test_workers_that_come_and_go_on_its_page_write_no_more_than_they_may(site: Site) -> None:
    site.scale(3)
    await site.settle()
    there = set(site.scheduler.connected["gateway", "c1"])
    writes, events = site.kube.status_writes, len(site.kube.events)
    for second in range(600):
        site.scheduler.connected["gateway", "c1"] = there if second % 2 else set()
        site.schedd.now += 1
        await site.poll()
        await site.cycle()
    assert site.kube.status_writes - writes <= STATUSES.burst + 600 / STATUSES.seconds + 1
    assert len(site.kube.events) - events <= EVENTS.burst + 600 / EVENTS.seconds
    assert "More Events of this pool are withheld until" in site.kube.events[-1][3]
    site.scheduler.connected["gateway", "c1"] = there
    site.schedd.now += 1
    await site.poll()
    await site.cycle()
    site.schedd.now += STATUSES.seconds
    await site.cycle()
    assert (await site.pool()).status.connected == 3, "the last word is written"


async def test_a_silent_scheduler_is_asked_less_and_less_and_makes_nobody_hurry(site: Site) -> None:
    site.scale(2)
    await site.settle()
    site.schedd.now += 60
    site.scheduler.failing = "no answer"
    site.scheduler.asked.clear()
    for _ in range(120):
        await site.poll()
        site.schedd.now += 1
    assert 8 <= len(site.scheduler.asked) <= 16
    site.schedd.now += 60
    await site.poll()
    site.schedd.now += 11  # it was new once more
    assert site.poller.interval() == 5.0
    site.scheduler.failing = None
    site.schedd.now += 15
    site.woken.clear()
    await site.poll()
    assert site.woken == [KEY]


async def test_who_gave_trouble_waits_for_others_like_it_and_nobody_for_them(site: Site) -> None:
    site.scale(1)
    await site.settle()
    (job,) = site.jobs()
    hang = asyncio.Event()
    asked: list[str] = []

    async def workers(namespace: str, cluster: str, ours: Collection[WorkerName]) -> SchedulerWorkers:
        asked.append(cluster)
        if cluster.startswith("bad"):
            await hang.wait()
            raise SchedulerError("no answer")
        return SchedulerWorkers(frozenset(ours))

    site.scheduler.workers = workers  # type: ignore[method-assign]
    for number in range(100):
        uid = f"pool-{number}"
        site.known.clusters.pools[uid] = ClusterKey("gateway", f"bad{number}")
        site.known.queue.jobs[uid] = (job,)
    site.poller._schedulers.ask()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(asked) == 101, "at first everybody is trusted"
    hang.set()
    await site.poller.answers()
    hang.clear()
    asked.clear()
    site.schedd.now += 30
    site.poller._schedulers.ask()
    for _ in range(5):
        await asyncio.sleep(0)
    assert len([cluster for cluster in asked if cluster.startswith("bad")]) == 20
    assert "c1" in asked and isinstance(site.known.clusters.scheduler_workers[KEY], SchedulerWorkers)
    hang.set()
    await site.poller.answers()
