"""One poller for all: whom it wakes, how often it asks, and what it looks after."""

import asyncio
import logging
from collections.abc import Collection
from dataclasses import replace

import pytest

from htcdask_api import names
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.core.model import (
    Disputed,
    Job,
    JobStatus,
    SchedulerWorkers,
    Unnamed,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.process.unexpected import LONGEST
from htcdask_operator.reconcile.cycle import ClusterTask
from htcdask_operator.watch.orphans import Orphans
from htcdask_operator.watch.poller import Poller
from tests.fakes.condor import FakeCondor
from tests.unit.site import KEY, LEASE, Site

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
    assert site.known.queue.unseen == Unseen("no route to the schedd")
    await site.poll()
    assert len(site.woken) == 2
    site.condor.failing = None
    await site.poll()
    assert len(site.woken) == 4
    assert site.known.queue.unseen is None


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
    site.poller.poll_soon()
    assert site.poller.interval() == 1.0


async def test_the_lease_of_all_jobs_is_renewed_at_a_third_of_it_in_one_edit(site: Site) -> None:
    site.schedd.now += LEASE / 3
    renewals = site.condor.calls.count("renew")
    await site.poll()
    await site.poll()
    assert site.condor.calls.count("renew") == renewals + 1
    assert {entry.job.lease for entry in site.schedd.queue.values()} == {site.schedd.now + LEASE}
    assert site.woken == []


async def test_a_job_that_no_renewal_has_reached_gets_one_soon_and_not_at_each_poll(site: Site) -> None:
    await site.poll()
    entry = next(iter(site.schedd.queue.values()))
    entry.hidden = True
    site.schedd.now += LEASE / 3
    await site.poll()
    site.schedd.now += LEASE / 4
    await site.poll()
    assert entry.job.lease is not None
    assert entry.job.lease < site.clock() + LEASE / 2, "it was not shown, and so not renewed"
    entry.hidden = False
    await site.poll()
    assert entry.job.lease == site.clock() + LEASE
    renewals = site.condor.calls.count("renew")
    for _ in range(60):  # one whose lease somebody sets back at once
        entry.job = replace(entry.job, lease=site.clock() + 1)
        await site.poll()
        site.schedd.now += LEASE / 600
    assert site.condor.calls.count("renew") - renewals <= 2


async def test_jobs_whose_pool_is_gone_are_removed_at_once(site: Site) -> None:
    del site.kube.pool_bodies["gateway", "default-c1"]
    site.known.forget(site.jobs()[0].pool_uid)
    await site.poll()
    assert site.jobs(JobStatus.RUNNING) == []
    assert site.jobs(JobStatus.REMOVED)


async def test_jobs_of_a_pool_that_was_only_overlooked_are_kept(site: Site) -> None:
    site.known.forget(site.jobs()[0].pool_uid)
    for _ in range(2):
        await site.poll()
        site.schedd.now += 61
    assert len(site.jobs(JobStatus.RUNNING)) == 2


async def test_jobs_are_kept_while_kubernetes_cannot_be_asked(site: Site) -> None:
    del site.kube.pool_bodies["gateway", "default-c1"]
    site.known.forget(site.jobs()[0].pool_uid)
    site.kube.failing = "down"
    for _ in range(2):
        await site.poll()
        site.schedd.now += 61
    assert len(site.jobs(JobStatus.RUNNING)) == 2


async def test_a_busy_scheduler_does_not_hold_up_the_poll(site: Site) -> None:
    busy, asking = asyncio.Event(), site.scheduler.workers

    async def workers(
        namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
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
        site.poller.poll_soon()
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
    assert isinstance(site.known.queue.unseen, Unseen)
    assert SECRET not in site.known.queue.unseen.why + caplog.text
    assert caplog.text.count("a mistake of the operator: ValueError") == 1
    assert sorted(site.woken) == [KEY, OTHER]
    assert site.poller.progress.at == site.clock() - 1
    await site.poll()
    assert site.known.queue.unseen is None
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
    site.known.forget(site.jobs()[0].pool_uid)
    site.schedd.now += LEASE / 3
    await site.poll()
    assert bool(site.jobs(JobStatus.REMOVED)) == (what == "renew")
    assert site.condor.calls.count("renew") == before + (what == "remove")


@pytest.mark.parametrize("what", ["renew", "remove"])
async def test_what_htcondor_refuses_is_not_asked_and_told_at_each_poll(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    asked = []

    async def refuse(*_: object) -> None:
        asked.append(site.clock())
        raise CondorError("no")

    with monkeypatch.context() as patch:
        patch.setattr(site.condor, what, refuse)
        del site.kube.pool_bodies["gateway", "default-c1"]
        site.known.forget(site.jobs()[0].pool_uid)
        site.schedd.now += LEASE / 3
        for _ in range(120):
            await site.poll()
            site.schedd.now += 1
    assert 3 <= len(asked) <= 13
    assert len([record for record in caplog.records if "could not be" in record.getMessage()]) == len(asked)
    site.schedd.now += 30
    await site.poll()
    assert (
        all(entry.job.lease == site.clock() + LEASE for entry in site.schedd.queue.values())
        or what != "renew"
    )
    assert site.jobs(JobStatus.RUNNING) == []


async def test_a_mistake_about_one_scheduler_is_no_other_clusters(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.scale(1, "c2")
    asking = site.scheduler.workers

    async def workers(
        namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        if cluster == "c1":
            raise ZeroDivisionError(SECRET)
        return await asking(namespace, cluster, ours)

    monkeypatch.setattr(site.scheduler, "workers", workers)
    site.schedd.now += 60
    for _ in range(5):
        await site.poll()
        await site.reconciler.cycle.run(OTHER, ClusterTask())
        site.schedd.tick()
    assert isinstance(site.known.clusters.scheduler_workers[KEY], Unseen)
    assert isinstance(site.known.clusters.scheduler_workers[OTHER], SchedulerWorkers)
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
    assert site.known.queue.unseen is None


async def test_jobs_of_a_pool_that_this_process_never_saw_are_kept_for_half_a_lease(site: Site) -> None:
    """Their operator may be at work elsewhere, under the same name."""
    site.known.clusters.knew.clear()
    site.known.clusters.pools.clear()
    del site.kube.pool_bodies["gateway", "default-c1"]
    for _ in range(30):
        await site.poll()
        site.schedd.now += 60
    assert len(site.jobs(JobStatus.RUNNING)) == 2
    site.schedd.now += 60
    await site.poll()
    assert site.jobs(JobStatus.RUNNING) == []


@pytest.mark.parametrize(("after", "left"), [(-100.0, 0), (300.0, 0), (400.0, 2), (None, 2)])
async def test_jobs_of_an_earlier_operators_time_are_swept_at_once(
    site: Site, after: float | None, left: int
) -> None:
    """Nobody was there when their pool went. `after`: they came so long after that operator's last sign."""
    site.known.clusters.knew.clear()
    site.known.clusters.pools.clear()
    del site.kube.pool_bodies["gateway", "default-c1"]
    queued = max(job.queued_at for job in site.jobs())
    seen = None if after is None else queued - after
    orphans = Orphans(site.ports, site.known, ("gateway",), last_seen=lambda: seen)
    await orphans.sweep(site.schedd.now)
    assert len(site.jobs(JobStatus.RUNNING)) == left


def renewed_by_another(site: Site) -> None:
    for entry in site.schedd.queue.values():
        entry.job = replace(entry.job, lease=site.schedd.now + 2 * LEASE)


async def test_while_another_operator_renews_our_leases_nothing_is_submitted_or_removed(site: Site) -> None:
    renewed_by_another(site)
    await site.poll()
    assert set(site.woken) == {KEY, OTHER}
    site.scale(0)
    pool = site.kube.pool_bodies["gateway", "default-c1"]["metadata"]
    site.known.forget(pool["uid"])
    renewals = site.condor.calls.count("renew")
    for _ in range(6):
        await site.poll()
        await site.cycle()
        site.schedd.now += LEASE / 6
        renewed_by_another(site)
    assert len(site.jobs(JobStatus.RUNNING)) == 2
    assert site.condor.calls.count("renew") > renewals, "they must not end for it"
    status, reason, message = await site.condition("Stalled", uid(site))
    assert (status, reason) == ("True", "AnotherOperator")
    assert "another operator with the same id and identity" in message
    site.schedd.now += LEASE / 2 + 1
    await site.poll()
    assert isinstance(site.known.queue.unseen, Disputed), "the last renewal is seen only now"
    site.schedd.now += LEASE / 2 + 1
    await site.poll()
    assert site.known.queue.unseen is None


async def test_a_second_installation_elsewhere_touches_nothing_of_the_first(site: Site) -> None:
    """The same names and the same token, on another Kubernetes cluster."""
    others = Site()
    others.schedd = site.schedd
    others.condor = FakeCondor(site.schedd, names.operator_identity("htcdask", "another-cluster"))
    others.ports = Ports(others.condor, others.kube, others.scheduler)
    orphans = Orphans(others.ports, others.known, ("gateway",))
    poller = Poller(
        others.ports, others.known, PollIntervals(), LEASE, orphans, others.woken.append, site.clock
    )
    for _ in range(100):
        await poller.tick()
        site.schedd.now += 60
    assert len(site.jobs(JobStatus.RUNNING)) == 2


def uid(site: Site) -> str:
    return str(site.kube.pool_bodies["gateway", "default-c1"]["metadata"]["uid"])


async def test_a_token_of_another_identity_is_noticed_by_the_next_poll_and_all_are_told(site: Site) -> None:
    site.condor.identity = "bob@htcdask.test"
    site.scale(5)
    await site.poll()
    assert set(site.woken) == {KEY, OTHER}
    assert site.known.queue.identity == "bob@htcdask.test"
    await site.cycle()
    assert len(site.jobs()) == 2
    status, reason, message = await site.condition("Stalled", uid(site))
    assert (status, reason) == ("True", "AnotherIdentity")
    assert "3 jobs of this pool, submitted as dask@htcdask.test" in message
    site.condor.identity = "dask@htcdask.test"
    await site.settle()
    assert len(site.jobs()) == 5
    assert (await site.condition("Stalled", uid(site)))[0] == "False"


async def test_a_deleted_pool_is_not_released_beside_an_older_identitys_jobs(site: Site) -> None:
    site.condor.identity = "bob@htcdask.test"
    site.kube.delete_pool("gateway", "default-c1")
    await site.settle()
    pool = await site.pool()
    assert not site.is_gone(pool.uid)
    assert pool.submitted_as == "dask@htcdask.test"
    assert len(site.jobs(JobStatus.RUNNING)) == 2
    for job in list(site.schedd.queue):
        del site.schedd.queue[job]
    await site.settle()
    assert site.is_gone(pool.uid)


async def test_a_new_process_knows_an_older_identitys_jobs_by_the_pools_status(site: Site) -> None:
    again = Site()
    again.schedd, again.kube = site.schedd, site.kube
    again.condor = FakeCondor(site.schedd, "htcdask", "bob@htcdask.test")
    again.ports = Ports(again.condor, again.kube, again.scheduler)
    again.use_policy()
    orphans = Orphans(again.ports, again.known, ("gateway",))
    again.poller = Poller(
        again.ports, again.known, PollIntervals(), LEASE, orphans, again.woken.append, again.clock
    )
    site.scale(5)
    await again.settle()
    assert len(site.jobs()) == 2
    assert {job.owner for job in site.jobs()} == {"dask@htcdask.test"}
    assert (await again.condition("Ready", uid(site)))[1] == "AnotherIdentity"
    # Whoever writes our id into a job of theirs is no older identity.
    site.schedd.queue.clear()
    made = site.schedd.foreign("mallory@htcdask.test", "htcdask")
    forged = site.schedd.queue[made]
    forged.job = replace(forged.job, pool_uid=(await site.pool()).uid, worker="w")
    await again.settle(20)  # after a pause: somebody has removed the jobs of before
    assert {job.owner for job in site.jobs()} == {"bob@htcdask.test", "mallory@htcdask.test"}
    assert len(site.jobs()) == 6


@pytest.mark.parametrize("ahead", [85.0, -85.0])
async def test_an_access_point_whose_clock_is_wrong_forces_nobody_out_early(site: Site, ahead: float) -> None:
    """A removed job may take as long as it always may, whatever HTCondor calls the time."""
    site.condor.ahead = ahead
    site.clock = lambda: site.schedd.now - ahead  # type: ignore[method-assign]
    site.use_policy()
    site.poller = Poller(
        site.ports,
        site.known,
        PollIntervals(),
        LEASE,
        Orphans(site.ports, site.known, ("gateway",)),
        site.woken.append,
        site.clock,
    )
    await site.settle()
    site.schedd.silent = True
    site.scale(1)
    site.scheduler.connected["gateway", "c1"] = {job.worker for job in site.jobs()[:1]}
    removed = site.jobs()[1]
    site.schedd.remove(removed.id)
    for _ in range(15):
        await site.poll()
        await site.cycle()
        site.schedd.now += 5
    assert removed.id in site.schedd.queue
    for _ in range(2):
        await site.poll()
        await site.cycle()
        site.schedd.now += 5
    assert removed.id not in site.schedd.queue
