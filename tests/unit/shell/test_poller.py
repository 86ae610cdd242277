"""One poller for all: whom it wakes, how often it asks, and what it looks after."""

import asyncio
from collections.abc import Collection

import pytest

from htcdask_operator.core.model import JobStatus, Roll, Unseen, WorkerName
from htcdask_operator.ports import ClusterKey

from .site import KEY, LEASE, Site

OTHER = ClusterKey("gateway", "c2")


@pytest.fixture
async def site() -> Site:
    """Two clusters; the first has two connected workers, the second has none."""
    site = Site()
    site.add_cluster("c1", wanted=2)
    await site.settle()
    site.add_cluster("c2")
    await site.poll()
    site.woken.clear()
    return site


async def test_nobody_is_woken_when_nothing_changed(site: Site) -> None:
    asked = site.condor.calls.count("jobs")
    await site.poll()
    assert site.woken == []
    assert site.condor.calls.count("jobs") == asked + 1
    assert "jobs_of" not in site.condor.calls[-2:]


async def test_only_the_cluster_whose_job_changed_is_woken(site: Site) -> None:
    site.schedd.vacate(site.jobs()[0].id)
    await site.poll()
    assert site.woken == [KEY]


async def test_a_worker_that_the_scheduler_lost_wakes_its_cluster(site: Site) -> None:
    site.schedd.now += 60
    site.scheduler.connected["gateway", "c1"].pop()
    await site.poll()
    assert site.woken == [KEY]


async def test_schedulers_are_asked_only_where_workers_are(site: Site) -> None:
    site.schedd.now += 60
    site.scheduler.asked.clear()
    await site.poll()
    assert site.scheduler.asked == [("gateway", "c1")]


async def test_all_are_woken_once_when_the_access_point_goes_and_when_it_comes_back(site: Site) -> None:
    site.condor_fails()
    await site.poll()
    assert sorted(site.woken) == [KEY, OTHER]
    assert site.view.unseen == Unseen("no route to the schedd")
    await site.poll()
    assert len(site.woken) == 2
    site.condor.failing = None
    await site.poll()
    assert len(site.woken) == 4
    assert site.view.unseen is None


async def test_it_asks_more_often_while_something_moves(site: Site) -> None:
    site.schedd.now += 60
    await site.poll()
    assert site.poller.interval() == 5.0  # workers are there, and might end by themselves
    site.scale(3)
    await site.cycle()
    await site.poll()
    assert site.poller.interval() == 1.0  # one is idle
    site.scale(0)
    for entry in list(site.schedd.queue.values()):
        if entry.job in site.jobs():
            del site.schedd.queue[entry.job.id]
    for _ in range(2):
        await site.poll()
        site.schedd.now += 60
    await site.poll()
    assert site.poller.interval() == 15.0


async def test_it_asks_more_often_after_it_was_stirred(site: Site) -> None:
    site.schedd.now += 60
    await site.poll()
    site.poller.stir()
    assert site.poller.interval() == 1.0


async def test_the_lease_of_all_jobs_is_renewed_at_a_third_of_it_in_one_edit(site: Site) -> None:
    site.schedd.now += LEASE / 3
    renewals = site.condor.calls.count("renew")
    await site.poll()
    await site.poll()
    assert site.condor.calls.count("renew") == renewals + 1
    assert {entry.job.lease for entry in site.schedd.queue.values()} == {site.schedd.now + LEASE}
    assert site.woken == []


async def test_jobs_whose_pool_is_gone_are_removed_at_once(site: Site) -> None:
    del site.kube.pool_bodies["gateway", "default-c1"]
    site.reconciler.forget(site.jobs()[0].pool_uid)
    await site.poll()
    assert site.jobs(JobStatus.RUNNING) == []
    assert site.jobs(JobStatus.REMOVED)


async def test_jobs_of_a_pool_that_was_only_overlooked_are_kept(site: Site) -> None:
    site.reconciler.forget(site.jobs()[0].pool_uid)
    for _ in range(2):
        await site.poll()
        site.schedd.now += 61
    assert len(site.jobs(JobStatus.RUNNING)) == 2


async def test_jobs_are_kept_while_kubernetes_cannot_be_asked(site: Site) -> None:
    del site.kube.pool_bodies["gateway", "default-c1"]
    site.reconciler.forget(site.jobs()[0].pool_uid)
    site.kube.failing = "down"
    for _ in range(2):
        await site.poll()
        site.schedd.now += 61
    assert len(site.jobs(JobStatus.RUNNING)) == 2


async def test_a_busy_scheduler_does_not_hold_up_the_poll(site: Site) -> None:
    busy, asking = asyncio.Event(), site.scheduler.workers

    async def workers(namespace: str, cluster: str, ours: Collection[WorkerName]) -> Roll:
        await busy.wait()
        return await asking(namespace, cluster, ours)

    site.scheduler.workers = workers  # type: ignore[method-assign]
    site.scheduler.connected["gateway", "c1"].pop()
    site.schedd.now += 60
    async with asyncio.timeout(5):
        await site.poller.tick()
        await site.poller.tick()
    assert site.woken == []
    busy.set()
    await site.poller.answers()
    assert site.woken == [KEY]


async def test_a_settled_cluster_is_looked_after_while_another_one_moves(site: Site) -> None:
    site.scheduler.connected["gateway", "c1"].pop()
    for _ in range(6):
        site.schedd.now += 1
        site.poller.stir()
        await site.poll()
    assert site.woken == [KEY]
