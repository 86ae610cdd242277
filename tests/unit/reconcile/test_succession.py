"""Successors through the shell: each once, also while no answer shows them."""

from __future__ import annotations

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
        ready = [job for job in site.jobs(JobStatus.RUNNING) if (job.connects_at or 0) <= site.clock() + 10]
        assert len(ready) >= WORKERS - 2, "some connect in a few seconds"
    (pool,) = await site.kube.pools("gateway")
    assert pool.status.finished >= WORKERS
    assert pool.status.failed == 0
