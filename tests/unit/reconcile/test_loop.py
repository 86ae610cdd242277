"""The cycle, on fakes of the three outside systems and with the real core."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace

import pytest

from htcdask_operator.condor.errors import CondorTimeout, SubmitRefused
from htcdask_operator.core.model import Job, JobStatus, PoolFacts, PoolUid, Role, Unseen
from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.cycle import RESYNC, Cycle
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.reconcile.observe import observe, with_jobs
from tests.fakes.condor import Life
from tests.unit.site import KEY, Site


@pytest.fixture
def site() -> Site:
    return Site()


async def ready(site: Site, wanted: int = 0) -> str:
    """A pool whose anchor lies on the access point and whose workers are connected."""
    uid = site.add_cluster(wanted=wanted)
    await site.settle()
    return uid


async def test_an_anchor_is_there_before_anybody_scales(site: Site) -> None:
    await ready(site)
    (anchor,) = site.schedd.queue.values()
    assert anchor.job.status is JobStatus.HELD
    assert "CERT" in site.schedd.files[anchor.job.id]["bundle.sh"]
    assert site.jobs() == []


async def test_scaling_submits_in_the_same_cycle_and_the_status_says_so(site: Site) -> None:
    await ready(site)
    site.scale(4)
    writes = site.kube.status_writes
    await site.cycle()
    assert len(site.jobs()) == 4
    status = (await site.pool()).status
    assert (status.desired_replicas, status.replicas, status.idle) == (4, 4, 4)
    assert site.kube.status_writes == writes + 1


async def test_workers_that_are_connected_make_the_pool_ready_and_then_nothing_is_written(site: Site) -> None:
    await ready(site, wanted=4)
    await site.settle()
    assert (await site.pool()).status.connected == 4
    assert (await site.condition("Ready"))[0] == "True"
    writes, events, calls = site.kube.status_writes, len(site.kube.events), len(site.condor.calls)
    await site.cycle()
    assert (site.kube.status_writes, len(site.kube.events)) == (writes, events)
    assert "submit_workers" not in site.condor.calls[calls:]


async def test_the_pool_is_adopted(site: Site) -> None:
    await ready(site)
    cluster = await site.kube.cluster("gateway", "c1")
    assert (await site.pool()).owner_uid == getattr(cluster, "uid", None)


async def test_before_a_submit_the_queue_is_asked_again(site: Site) -> None:
    await ready(site)
    site.scale(4)
    await site.poller.tick()
    assert await site.cycle()
    assert len(site.jobs()) == 4
    # The poller's known is emptied, as if it were older than the submit: the cycle does not believe it.
    site.known.queue.jobs.clear()
    site.task.stale = False
    site.known.queue.asked_at = site.clock()
    await site.cycle()
    assert len(site.jobs()) == 4


async def test_the_scheduler_s_whole_answer_counts_that_comes_with_the_later_look_at_the_queue(
    site: Site,
) -> None:
    """It has more than it wants, strangers included, so it retires some itself: none goes by our hand."""
    await ready(site, wanted=4)
    (pool,) = await site.kube.pools("gateway", "c1")
    seen = await observe(site.ports, site.known, KEY, [pool], site.clock(), fresh=True)
    before = await with_jobs(site.ports, site.known, KEY, replace(seen, jobs=(), strangers=0), ())
    site.scheduler.connected["gateway", "c1"] |= {"stranger-1", "stranger-2"}
    assert not isinstance(seen.jobs, Unseen)
    after = await with_jobs(site.ports, site.known, KEY, before, seen.jobs)
    assert (after.connected, after.strangers) == (seen.connected, 2)


async def test_a_cluster_of_many_pools_does_not_fill_the_line_before_the_access_point(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(site)
    for number in range(20):
        site.add_pool(f"p{number}", scaling="Manual", replicas=0)
    waiting, longest, jobs_of = 0, 0, site.condor.jobs_of

    async def slow(pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        nonlocal waiting, longest
        waiting += 1
        longest = max(longest, waiting)
        await asyncio.sleep(0)
        waiting -= 1
        return await jobs_of(pool, also)

    monkeypatch.setattr(site.condor, "jobs_of", slow)
    await site.cycle()
    assert longest == 1


async def test_what_the_poller_saw_before_a_submit_is_not_believed_after_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(site)
    site.scale(4)
    await site.poller.tick()
    jobs_of = site.condor.jobs_of

    async def fail_once(pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        if not site.jobs():
            return await jobs_of(pool, also)
        monkeypatch.undo()
        raise CondorTimeout("the deadline passed")

    monkeypatch.setattr(site.condor, "jobs_of", fail_once)
    await site.cycle()
    assert len(site.jobs()) == 4
    site.kube.cluster_bodies["gateway", "c1"]["spec"]["active"] = False
    await site.cycle()
    anchors = [entry.job for entry in site.schedd.queue.values() if entry.job.role is Role.ANCHOR]
    assert {job.status for job in site.jobs()} == {JobStatus.REMOVED}
    assert {job.status for job in anchors} == {JobStatus.HELD}, "the anchor went before its workers"


async def test_a_submit_that_was_done_although_it_failed_is_not_repeated(site: Site) -> None:
    await ready(site)
    site.scale(4)
    site.condor.losing = CondorTimeout("the deadline passed")
    await site.cycle()
    assert len(site.jobs()) == 4
    assert (await site.condition("CondorReachable")) == ("False", "CondorUnreachable", "the deadline passed")
    site.condor.losing = None
    await site.cycle()
    assert len(site.jobs()) == 4
    assert (await site.condition("CondorReachable"))[0] == "True"


async def test_an_access_point_that_does_not_answer_is_told_once_and_survived(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    await ready(site, wanted=2)
    site.condor_fails("the HTCondor token file /token does not exist")
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await site.poller.tick()
            await site.cycle()
    assert (await site.condition("CondorReachable")) == (
        "False",
        "CondorUnreachable",
        "the HTCondor token file /token does not exist",
    )
    assert caplog.text.count("/token does not exist") == 1
    assert len(site.jobs()) == 2
    site.condor.failing = None
    await site.poller.tick()
    await site.cycle()
    assert (await site.condition("CondorReachable"))[0] == "True"


async def test_a_refused_submit_is_remembered_and_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    await ready(site)

    async def refuse(*_: object) -> None:
        site.condor.calls.append("submit_workers")
        raise SubmitRefused("SUBMIT_REQUIREMENT says no")

    monkeypatch.setattr(site.condor, "submit_workers", refuse)
    site.scale(2)
    await site.cycle()
    told = (await site.condition("Ready"))[2]
    assert told.startswith("SUBMIT_REQUIREMENT says no. Refused was a worker. Next try at ")
    assert (await site.condition("CondorReachable"))[0] == "True"
    tries = site.condor.calls.count("submit_workers")
    await site.cycle()
    assert site.condor.calls.count("submit_workers") == tries


async def test_a_refused_anchor_is_said_to_be_what_it_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object) -> None:
        raise SubmitRefused("No project.")

    monkeypatch.setattr(site.condor, "submit_anchor", refuse)
    site.add_cluster()
    await site.settle(3)
    assert (await site.condition("Ready"))[2].startswith(
        "No project. Refused was the job that keeps the workers' files, and asks for what they ask for. Next"
    )


async def test_without_its_credentials_a_cluster_waits(site: Site) -> None:
    site.add_cluster()
    secrets = dict(site.kube.secrets)
    site.kube.secrets.clear()
    await site.poller.tick()
    again = await site.cycle()
    assert again is not None
    assert site.schedd.queue == {}
    site.kube.secrets.update(secrets)
    await site.cycle()
    assert len(site.schedd.queue) == 1


async def test_a_status_that_could_not_be_written_is_written_later(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(site, wanted=1)
    (job,) = site.jobs()
    site.schedd.remove(job.id)
    site.schedd.tick(3)
    await site.poller.tick()
    writing = site.kube.publish

    async def fails(*_: object) -> None:
        site.kube.failing = "down"
        await writing(*_)  # type: ignore[arg-type]

    monkeypatch.setattr(site.kube, "publish", fails)
    with pytest.raises(Exception, match="down"):
        await site.cycle()
    assert site.task.unpublished.statuses
    monkeypatch.setattr(site.kube, "publish", writing)
    site.kube.failing = None
    await site.cycle()
    assert site.task.unpublished.statuses == {}


@pytest.mark.parametrize("exit_code", [0, 1])
@pytest.mark.parametrize("done", [True, False])
async def test_a_worker_that_ended_is_counted_once_though_its_removal_fails(
    site: Site, monkeypatch: pytest.MonkeyPatch, exit_code: int, done: bool
) -> None:
    await ready(site, wanted=1)
    site.scale(0)
    site.schedd.life = lambda _: Life(exit_code=exit_code)
    site.schedd.tick()
    removing = site.condor.remove

    async def fails(jobs: Sequence[str], reason: str) -> None:
        if done:
            await removing(jobs, reason)
        raise CondorTimeout("the deadline passed")

    monkeypatch.setattr(site.condor, "remove", fails)
    for _ in range(3):
        await site.poller.tick()
        await site.cycle()
    monkeypatch.setattr(site.condor, "remove", removing)
    await site.settle()
    status = (await site.pool()).status
    assert status.failed == (1 if exit_code else 0)
    assert status.finished == (0 if exit_code or done else 1)
    assert site.jobs() == []


async def test_a_deleted_pool_is_released_when_its_jobs_are_gone(site: Site) -> None:
    uid = await ready(site, wanted=2)
    site.kube.delete_pool("gateway", "default-c1")
    await site.cycle()
    assert not site.is_gone(uid)
    await site.settle()
    assert site.schedd.queue == {}
    assert site.is_gone(uid)


async def test_a_cluster_without_pools_is_forgotten(site: Site) -> None:
    assert await site.cycle() is None


async def heard(site: Site, **spec: object) -> None:
    """The watch shows the cluster, with this changed."""
    site.kube.cluster_bodies["gateway", "c1"]["spec"] |= spec
    for facts in await site.kube.clusters("gateway"):
        site.known.clusters.heard(facts)


async def without_pools(site: Site, finished: int) -> None:
    """Its pool, of which so many workers have ended, was deleted."""
    await ready(site)
    await heard(site)
    site.kube.pool_bodies["gateway", "default-c1"]["status"]["finished"] = finished
    await site.cycle()
    site.kube.delete_pool("gateway", "default-c1")
    await site.settle()
    assert await site.kube.pools("gateway", "c1") == ()


async def test_workers_that_ended_in_a_pool_that_is_gone_count_for_the_next_pool(site: Site) -> None:
    await without_pools(site, 40_000)
    assert await site.cycle() == site.clock() + RESYNC
    uid = site.add_pool("more")
    site.kube.pool_bodies["gateway", "more"]["status"] = {"finished": 26_000}
    await site.cycle()
    assert (await site.condition("HeartbeatFits", uid))[:2] == ("False", "TooManyNames")


@pytest.mark.parametrize("how", ["gone", "stopped", "nothing ended"])
async def test_a_cluster_without_pools_is_forgotten_once_no_worker_can_come_or_none_has_ended(
    site: Site, how: str
) -> None:
    await without_pools(site, 0 if how == "nothing ended" else 40_000)
    if how == "gone":
        site.known.clusters.gone(KEY)
    elif how == "stopped":
        await heard(site, active=False)
    assert await site.cycle() is None


class Watched:
    """Tells when a cluster's cycle begins."""

    def __init__(self, site: Site) -> None:
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.blocked = asyncio.Event()
        self.blocks = ""
        self._pools = site.kube.pools
        site.kube.pools = self.pools  # type: ignore[method-assign]

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        await self.begun.put(cluster or "")
        if cluster == self.blocks:
            await self.blocked.wait()
        return await self._pools(namespace, cluster)


async def test_a_slow_cluster_does_not_hold_up_the_others(site: Site) -> None:
    for name in ("c1", "c2"):
        site.add_cluster(name)
    watched = Watched(site)
    watched.blocks = "c1"
    running = asyncio.create_task(site.reconciler.run())
    site.reconciler.wake(KEY)
    async with asyncio.timeout(5):
        assert await watched.begun.get() == "c1"
        site.reconciler.wake(ClusterKey("gateway", "c2"))
        assert await watched.begun.get() == "c2"
    site.schedd.now += 400
    assert site.reconciler.standstill() >= 400
    running.cancel()


async def test_a_mistake_about_one_cluster_ends_neither_its_task_nor_others(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def mistaken(*_: object) -> object:
        raise ZeroDivisionError("a mistake")

    site.add_cluster()
    cycle = Cycle(site.ports, site.known, site.policy, site.clock, mistaken)  # type: ignore[arg-type]
    reconciler = Reconciler(cycle)
    watched = Watched(site)
    running = asyncio.create_task(reconciler.run())
    async with asyncio.timeout(5):
        for _ in range(2):
            reconciler.wake(KEY)
            await watched.begun.get()
    assert not running.done()
    assert "a mistake" in caplog.text
    running.cancel()


async def test_a_scheduler_that_could_not_be_told_is_told_again_after_a_pause(site: Site) -> None:
    await ready(site)
    spec = site.kube.pool_bodies["gateway", "default-c1"]["spec"]
    spec |= {"scaling": "Manual", "replicas": 2}
    site.scheduler.failing = "no route to the scheduler"
    assert await site.cycle() == site.clock() + 2, "somebody's number may be on its way"
    site.schedd.now += 2
    again = await site.cycle()
    assert again == site.clock() + 10
    site.scheduler.failing = None
    await site.cycle()
    assert site.scheduler.told == [], "not before the pause is over"
    site.schedd.now += 10
    await site.cycle()
    assert site.scheduler.told == [("gateway", "c1", 2)]
    assert [reason for _, _, reason, _ in site.kube.events].count("SchedulerTold") == 1


async def test_a_limit_of_the_site_counts_what_the_poller_saw_of_others(site: Site) -> None:
    site.use_policy(max_replicas=3)
    site.schedd.add(
        "htcdask",
        site.condor.identity,
        {
            "My.HTCDaskRole": '"worker"',
            "My.HTCDaskPoolUID": '"other"',
            "My.HTCDaskPool": '"elsewhere/other"',
            "My.Requirements": "false",
        },
        ["other1", "other2"],
    )
    await ready(site, wanted=4)
    assert len([job for job in site.jobs() if job.pool_uid != "other"]) == 1
    assert "the site's limit for all users allows 1" in (await site.pool()).status.explanation[0].message
