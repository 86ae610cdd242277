"""Not asked is not empty: whatever becomes of a cluster's phase and answers, its busy workers stay."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import pytest

from htcdask_operator.core.model import JobStatus, SchedulerWorkers, Unnamed, Unseen, WorkerName
from htcdask_operator.reconcile.observe import observe, with_usage
from tests.builders import make_policy
from tests.unit.site import KEY, Site

MINUTES = 10


@pytest.fixture
async def site() -> Site:
    """Five busy workers."""
    site = Site()
    site.add_cluster(wanted=5)
    await site.settle(8)
    assert len(site.jobs(JobStatus.RUNNING)) == 5
    return site


def status(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.kube.cluster_bodies["gateway", "c1"]["status"]
    return found


def phase(name: object) -> Callable[[Site, int], None]:
    def change(site: Site, minute: int) -> None:
        status(site)["phase"] = name

    return change


def wiped(site: Site, minute: int) -> None:
    status(site).clear()


def flipping(site: Site, minute: int) -> None:
    status(site)["phase"] = ("Unknown", "Running")[minute % 2]
    site.scheduler.failing = "no route" if minute % 4 else None


def now_and_then_without_names(site: Site, minute: int) -> None:
    site.scheduler.unnamed = minute % 3 > 0


def one_empty_page(site: Site, minute: int) -> None:
    """The scheduler's web server starts anew, then it is busy for long."""
    everybody = {job.worker for job in site.jobs()}
    site.scheduler.connected["gateway", "c1"] = everybody if minute else set()
    site.scheduler.failing = None if minute in (0, MINUTES - 1) else "no answer in 3 s"


@pytest.mark.parametrize(
    "happens",
    [
        phase("Pending"),
        phase("Unknown"),
        phase(None),
        phase(7),
        wiped,
        flipping,
        now_and_then_without_names,
        one_empty_page,
    ],
)
@pytest.mark.parametrize("empty", [True, False])
async def test_busy_workers_outlive_it(site: Site, happens: Callable[[Site, int], None], empty: bool) -> None:
    for minute in range(MINUTES):
        happens(site, minute)
        if empty and minute % 2 == 0 and happens is not one_empty_page:
            site.scheduler.connected["gateway", "c1"] = set()  # it would say so, if it were asked
        for _ in range(2):
            await site.poll()
            await site.cycle()
            site.schedd.now += 30
        site.scheduler.connected["gateway", "c1"] = {job.worker for job in site.jobs()}
    assert len(site.jobs(JobStatus.RUNNING)) == 5


async def test_a_scheduler_that_says_for_long_that_it_has_nobody_is_believed(site: Site) -> None:
    site.scheduler.connected["gateway", "c1"] = set()
    for _ in range(5):
        assert len(site.jobs(JobStatus.RUNNING)) == 5
        site.schedd.now += 30
        await site.poll()
        await site.cycle()
    assert len(site.jobs(JobStatus.REMOVED)) == 5


@pytest.mark.parametrize("phase", ["Pending", "Unknown"])
async def test_a_scheduler_that_is_not_asked_is_unseen_and_says_why(site: Site, phase: str) -> None:
    status(site)["phase"] = phase
    site.scheduler.asked.clear()
    seen = await observe(site.ports, site.known, KEY, [await site.pool()], site.clock(), fresh=True)
    assert isinstance(seen.connected, Unseen)
    assert phase in seen.connected.why
    assert site.scheduler.asked == []


async def test_a_cluster_whose_scheduler_is_not_asked_is_not_woken_again_and_again(site: Site) -> None:
    status(site)["phase"] = "Pending"
    site.schedd.now += 60
    await site.poll()
    site.woken.clear()
    for _ in range(5):
        await site.cycle()
        await site.poll()
        site.schedd.now += 1
    assert site.woken == []


async def test_where_no_job_can_have_a_process_nobody_needs_to_be_asked(site: Site) -> None:
    site.schedd.queue.clear()
    site.scheduler.asked.clear()
    seen = await observe(site.ports, site.known, KEY, [await site.pool()], site.clock(), fresh=True)
    assert (seen.connected, site.scheduler.asked) == (frozenset(), [])


async def test_a_scheduler_is_asked_for_workers_that_only_the_second_answer_showed(site: Site) -> None:
    uid = (await site.pool()).uid
    connected = {job.worker for job in site.jobs()}
    site.schedd.now += 1
    site.known.queue.jobs[uid] = tuple(
        entry.job for entry in site.schedd.queue.values() if not entry.job.worker
    )
    site.known.queue.pool_asked_at[uid] = site.known.queue.asked_at = site.clock()
    site.task.stale = False  # the poller showed the anchor alone
    site.scale(7)
    asked: list[SchedulerWorkers | Unnamed] = []
    workers = site.scheduler.workers

    async def noted(namespace: str, cluster: str, ours: Collection[WorkerName]) -> SchedulerWorkers | Unnamed:
        asked.append(await workers(namespace, cluster, ours))
        return asked[-1]

    site.scheduler.workers = noted  # type: ignore[method-assign]
    await site.cycle()
    assert asked and asked[0] == SchedulerWorkers(frozenset(connected))
    assert len(site.jobs()) == 7


async def test_what_an_older_identity_of_another_pool_wrote_counts_against_nobodys_limit(site: Site) -> None:
    site.known.queue.identity = "dask@htcdask.test"
    site.known.clusters.submitted_as = {"theirs": "mallory@htcdask.test"}
    (job, *_) = site.jobs()
    forged = replace(job, pool_uid="elsewhere", owner="mallory@htcdask.test")
    older = replace(job, pool_uid="theirs", owner="mallory@htcdask.test")
    site.known.queue.saw_all([job, forged, older], site.clock() + 1)
    seen = await observe(site.ports, site.known, KEY, [await site.pool()], site.clock(), fresh=False)
    assert seen.orphans == (older,)
    used = with_usage(site.known, seen, [job.pool_uid], make_policy(max_replicas=5)).usage
    assert used.everybody.others.workers == 1
