"""Successors through the shell: each once, also while no answer shows them."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_operator.condor.errors import SubmitRefused
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import succession
from tests.unit.site import Site

WORKERS = 30


async def a_site() -> Site:
    """A pool of thirty workers that may run for an hour, two minutes before the first retires."""
    site = Site()
    site.use_policy(max_runtime_seconds=3600)
    site.add_cluster(wanted=WORKERS)
    await site.settle(8)
    retires = [at for job in site.jobs(JobStatus.RUNNING) if (at := succession.retires_at(job)) is not None]
    assert len(retires) == WORKERS
    site.schedd.now = min(retires) - 120
    await site.settle()
    assert len(site.jobs()) == WORKERS
    return site


def successors(site: Site) -> list[str]:
    return [job.succeeds for job in site.jobs() if job.succeeds]


async def test_several_successors_of_one_round_are_all_remembered_until_they_are_shown() -> None:
    site = await a_site()
    site.schedd.hides = True
    site.schedd.now += 90  # three are about to retire by now
    await site.settle(20)
    assert len(successors(site)) == len(set(successors(site))) == 3


async def test_a_pool_changes_its_workers_without_ever_being_one_short() -> None:
    site = await a_site()
    for _ in range(600):
        for job in site.jobs(JobStatus.RUNNING):
            retires = succession.retires_at(job)
            if retires is not None and site.clock() >= retires:
                site.schedd.end(job.id, 0)
        await site.settle(1)
        soon = site.clock() + succession.AFTER_SECONDS + 5
        ready = [job for job in site.jobs(JobStatus.RUNNING) if (job.connects_at or 0) <= soon]
        assert len(ready) >= WORKERS - 1, "one may wait for its slot"
    (pool,) = await site.kube.pools("gateway")
    assert WORKERS <= pool.status.finished <= WORKERS + 2, "each has been replaced, and once"
    assert pool.status.failed == 0


async def test_a_successor_that_the_access_point_refuses_is_no_failure_of_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = await a_site()
    tried: list[Any] = []

    async def full(*submit: Any) -> tuple[str, ...]:
        tried.append(submit)
        raise SubmitRefused("MAX_JOBS_PER_OWNER is reached")

    with monkeypatch.context() as patch:
        patch.setattr(site.condor, "submit_workers", full)
        site.schedd.now += 90
        await site.settle(100)
    assert len(tried) == len({description["My.HTCDaskSucceeds"] for description, *_ in tried}), "once each"
    assert await site.condition("Ready") == ("True", "WorkersConnected", f"{WORKERS} workers are connected.")
    site.schedd.vacate(next(job.id for job in site.jobs(JobStatus.RUNNING)))
    await site.settle(14)
    assert len(site.jobs(JobStatus.RUNNING)) >= WORKERS, "a real one comes after the usual pause"


async def test_in_the_place_of_one_that_goes_before_its_time_another_comes_at_once() -> None:
    site = await a_site()
    site.schedd.now += 65

    async def settle(seconds: int) -> None:
        for _ in range(seconds):
            await site.settle(1)
            waiting = {job.worker for job in site.jobs() if (job.connects_at or 0) > site.clock()}
            site.scheduler.connected["gateway", "c1"] -= waiting

    await settle(3)
    predecessor = next(job for job in site.jobs() if job.worker in successors(site))
    (heir,) = (job for job in site.jobs() if job.succeeds == predecessor.worker)
    site.schedd.vacate(predecessor.id)
    await settle(14)  # the usual pause after an eviction
    at_work = [job for job in site.jobs(JobStatus.RUNNING) if (job.connects_at or 0) <= site.clock()]
    assert len(at_work) == WORKERS
    assert heir.id in {job.id for job in site.jobs(JobStatus.RUNNING)}, "it holds a slot, and has its turn"
