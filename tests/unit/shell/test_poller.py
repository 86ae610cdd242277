"""One poller for all: whom it wakes, how often it asks, and what it looks after."""

import asyncio
import logging

import pytest

from htcdask_operator.core.model import Job, JobStatus, Roll, Unseen
from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile import Tended
from htcdask_operator.unexpected import LONGEST

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

    async def workers(namespace: str, cluster: str) -> Roll:
        await busy.wait()
        return await asking(namespace, cluster)

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


SECRET = "a-token-that-nobody-may-see"


async def nonsense(*_: object) -> tuple[Job, ...]:
    raise ValueError(SECRET)


async def test_an_answer_that_nobody_expected_is_no_answer_and_ends_nothing(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(site.condor, "jobs", nonsense)
        for _ in range(3):
            await site.poll()
            site.schedd.now += 1
    assert isinstance(site.view.unseen, Unseen)
    assert SECRET not in site.view.unseen.why + caplog.text
    assert caplog.text.count("a mistake of the operator: ValueError") == 1
    assert sorted(site.woken) == [KEY, OTHER]
    assert site.poller.last_tick == site.clock() - 1
    await site.poll()
    assert site.view.unseen is None
    assert len(site.woken) == 4


async def test_the_leases_are_renewed_although_the_queue_is_not_understood(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site.condor, "jobs", nonsense)
    site.schedd.now += LEASE / 3
    await site.poll()
    assert {entry.job.lease for entry in site.schedd.queue.values()} == {site.clock() + LEASE}


@pytest.mark.parametrize("what", ["renew", "remove"])
async def test_what_fails_in_looking_after_jobs_leaves_the_rest_of_it_alone(
    site: Site, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(site.condor, what, nonsense)
    before = site.condor.calls.count("renew")
    del site.kube.pool_bodies["gateway", "default-c1"]
    site.reconciler.forget(site.jobs()[0].pool_uid)
    site.schedd.now += LEASE / 3
    await site.poll()
    assert bool(site.jobs(JobStatus.REMOVED)) == (what == "renew")
    assert site.condor.calls.count("renew") == before + (what == "remove")


async def test_a_mistake_about_one_scheduler_is_no_other_clusters(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.scale(1, "c2")
    asking = site.scheduler.workers

    async def workers(namespace: str, cluster: str) -> Roll:
        if cluster == "c1":
            raise ZeroDivisionError(SECRET)
        return await asking(namespace, cluster)

    monkeypatch.setattr(site.scheduler, "workers", workers)
    site.schedd.now += 60
    for _ in range(5):
        await site.poll()
        await site.reconciler.cycle(OTHER, Tended())
        site.schedd.tick()
    assert isinstance(site.view.rolls[KEY], Unseen)
    assert isinstance(site.view.rolls[OTHER], Roll)
    assert SECRET not in caplog.text


async def test_a_mistake_that_goes_on_for_long_ends_the_poller_loudly(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(site.condor, "jobs", nonsense)
    with caplog.at_level(logging.ERROR):
        for _ in range(round(LONGEST)):
            await site.poller.tick()
            site.schedd.now += 1
        with pytest.raises(ValueError, match=SECRET):
            await site.poller.tick()
    assert len(caplog.records) < 5


async def test_a_mistake_now_and_then_ends_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        with monkeypatch.context() as patch:
            patch.setattr(site.condor, "jobs", nonsense)
            await site.poll()
        site.schedd.now += LONGEST
        await site.poll()
    assert site.view.unseen is None
