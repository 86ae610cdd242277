"""Many pools with one trouble write one Event, and one when it is over; a pool's own is told as ever."""

from __future__ import annotations

import asyncio

import pytest
from prometheus_client import REGISTRY

from htcdask_operator.core.model import JobStatus, PoolFacts
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.announce import Announcer
from htcdask_operator.reconcile.cycle import ClusterTask
from tests.unit.site import Site

LEASE = ("htcdask", "operator")


class Clusters:
    """So many clusters of as many users, each with one pool of one worker, and who announces."""

    def __init__(self, count: int) -> None:
        self.site = Site()
        self.tasks = {ClusterKey("gateway", f"c{number}"): ClusterTask() for number in range(count)}
        for key in self.tasks:
            self.site.add_cluster(key.cluster, wanted=1)
            self.site.kube.cluster_bodies[key]["spec"]["username"] = f"user-{key.cluster}"
        self.announcer = Announcer(self.site.kube, self.site.known, LEASE, self.site.clock)

    async def work(self) -> None:
        """A poll, and a cycle of each cluster."""
        await self.site.poll()
        for key, task in self.tasks.items():
            await self.site.reconciler.cycle.run(key, task)

    async def look(self) -> None:
        """Where the API server takes what was found."""
        self.announcer.look()
        await self.announcer.post()

    async def pass_time(self, seconds: int) -> None:
        """All that, and a look, each second."""
        for facts in await self.site.kube.clusters("gateway"):
            self.site.known.clusters.heard(facts)
        for _ in range(seconds):
            await self.work()
            await self.look()
            self.site.schedd.tick()
            running = {job.worker for job in self.site.jobs(JobStatus.RUNNING)}
            for key in self.tasks:
                self.site.scheduler.connected[key] = running

    def uid(self, cluster: str) -> str:
        """Of the cluster's pool."""
        return str(self.site.kube.pool_bodies["gateway", f"default-{cluster}"]["metadata"]["uid"])

    def told(self) -> list[str]:
        """The reasons of the pools' own Events since it was asked last."""
        found = [reason for _, _, reason, _ in self.site.kube.events]
        self.site.kube.events.clear()
        return found


async def working(count: int) -> Clusters:
    clusters = Clusters(count)
    await clusters.pass_time(40)
    assert clusters.told().count("WorkersConnected") == count
    assert clusters.site.kube.announced == []
    return clusters


async def test_an_access_point_that_is_silent_for_all_is_two_events_and_no_pools_own() -> None:
    clusters = await working(8)
    clusters.site.condor_fails()
    await clusters.pass_time(60)
    ((lease, kind, reason, message),) = clusters.site.kube.announced
    assert (lease, kind, reason) == ("operator", "Warning", "CondorUnreachable")
    assert message.startswith("8 of 8 pools, of 8 users, ")
    assert "no route to the schedd" in message
    assert "user-" not in message
    assert clusters.told() == []
    for key in clusters.tasks:
        (pool,) = await clusters.site.kube.pools("gateway", key.cluster)
        found = pool.status.condition("CondorReachable")
        assert found is not None
        assert (found.status, found.reason) == ("False", "CondorUnreachable")
    assert REGISTRY.get_sample_value("htcdask_site_trouble", {"reason": "CondorUnreachable"}) == 1
    assert REGISTRY.get_sample_value("htcdask_pools_by_reason", {"reason": "CondorUnreachable"}) == 8
    clusters.site.condor.failing = None
    await clusters.pass_time(200)
    _, (_, kind, reason, message) = clusters.site.kube.announced
    assert (kind, reason) == ("Normal", "SiteTroubleOver")
    assert message.startswith("CondorUnreachable is over. It was seen for ")
    assert clusters.told() == []
    assert clusters.site.known.withheld.kept == {} or not any(clusters.site.known.withheld.kept.values())
    assert REGISTRY.get_sample_value("htcdask_site_trouble", {"reason": "CondorUnreachable"}) == 0
    assert REGISTRY.get_sample_value("htcdask_pools_by_reason", {"reason": "CondorUnreachable"}) == 0


async def test_a_moment_that_nobody_saw_is_two_events_and_no_pools_own() -> None:
    clusters = await working(8)
    clusters.site.condor_fails()
    await clusters.work()
    clusters.site.condor.failing = None
    await clusters.work()
    await clusters.pass_time(200)
    assert [reason for _, _, reason, _ in clusters.site.kube.announced] == [
        "CondorUnreachable",
        "SiteTroubleOver",
    ]
    assert clusters.told() == []


async def test_a_small_site_is_told_at_once_pool_by_pool() -> None:
    clusters = await working(4)
    clusters.site.condor_fails()
    await clusters.pass_time(2)
    assert clusters.told() == ["CondorUnreachable"] * 4
    assert clusters.site.kube.announced == []


async def test_what_one_pool_has_alone_is_told_half_a_minute_later() -> None:
    clusters = await working(6)
    clusters.site.kube.edit_pool("gateway", "default-c1", template={"profile": "none"})
    (job, *_) = clusters.site.jobs_of(clusters.uid("c2"), JobStatus.RUNNING)
    clusters.site.schedd.end(job.id, exit_code=1)
    await clusters.pass_time(20)
    at_once = clusters.told()
    assert "UnknownProfile" in at_once  # cannot be everybody's
    assert "WorkerFailed" not in at_once
    await clusters.pass_time(25)
    assert clusters.told() == ["WorkerFailed"]
    assert clusters.site.kube.announced == []


async def test_a_pool_that_has_it_still_when_it_is_over_is_told_then() -> None:
    clusters = await working(8)
    clusters.site.condor_fails()
    await clusters.pass_time(20)
    alone = clusters.site.known.clusters.statuses[clusters.uid("c3")]
    clusters.site.condor.failing = None
    del clusters.tasks[ClusterKey("gateway", "c3")]  # its cycle hangs, so it says what it said
    await clusters.pass_time(200)
    assert clusters.site.known.clusters.statuses[clusters.uid("c3")] is alone
    assert [reason for _, _, reason, _ in clusters.site.kube.announced] == [
        "CondorUnreachable",
        "SiteTroubleOver",
    ]
    assert [(name, reason) for name, _, reason, _ in clusters.site.kube.events] == [
        ("default-c3", "CondorUnreachable")
    ]


async def test_an_announcement_is_tried_again_and_what_is_of_pools_that_are_gone_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clusters = await working(8)
    clusters.site.condor_fails()
    with monkeypatch.context() as patch:
        patch.setattr(clusters.site.kube, "announce", refuse)
        await clusters.pass_time(5)
        assert clusters.site.kube.announced == []
    await clusters.pass_time(1)
    assert len(clusters.site.kube.announced) == 1
    clusters.site.known.forget(gone := clusters.uid("c3"))
    await clusters.look()
    assert gone not in clusters.site.known.withheld.kept


@pytest.mark.parametrize("status", [401, 429, 503, None])
async def test_a_busy_api_server_is_asked_once_a_round_by_turns_and_what_it_did_not_take_is_posted_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int | None
) -> None:
    clusters = await working(8)
    for number in (1, 2, 3):
        (job, *_) = clusters.site.jobs_of(clusters.uid(f"c{number}"), JobStatus.RUNNING)
        clusters.site.schedd.end(job.id, exit_code=1)
    asked = []

    async def busy(pool: PoolFacts, *_: object) -> None:
        asked.append(pool.name)
        raise KubeError("POST events", "too many requests", status)

    await clusters.pass_time(20)
    clusters.told()
    with monkeypatch.context() as patch:
        patch.setattr(clusters.site.kube, "post_event", busy)
        await clusters.pass_time(15)
        asked.clear()
        for _ in range(3):
            await clusters.look()
        assert sorted(asked) == ["default-c1", "default-c2", "default-c3"]
    assert caplog.text.count("are not taken") == 1
    await clusters.look()
    assert clusters.told() == ["WorkerFailed"] * 3
    await clusters.look()
    assert clusters.told() == []


async def test_trouble_is_seen_while_an_api_server_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters = await working(8)
    (job, *_) = clusters.site.jobs_of(clusters.uid("c1"), JobStatus.RUNNING)
    clusters.site.schedd.end(job.id, exit_code=1)
    reached = asyncio.Event()

    async def silent(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    await clusters.pass_time(15)
    monkeypatch.setattr("htcdask_operator.reconcile.announce._INTERVAL", 0.0)
    monkeypatch.setattr(clusters.site.kube, "post_event", silent)
    clusters.site.schedd.now += 30
    running = asyncio.create_task(clusters.announcer.run())
    async with asyncio.timeout(5):
        await reached.wait()
        clusters.site.condor_fails()
        await clusters.work()
        trouble = {"reason": "CondorUnreachable"}
        for _ in range(10):
            await asyncio.sleep(0)
        assert REGISTRY.get_sample_value("htcdask_site_trouble", trouble) == 1
    running.cancel()


async def refuse(*_: object) -> None:
    raise KubeError("POST events", "forbidden", 403)
