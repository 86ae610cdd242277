"""A scheduler that answers and names none of its workers: they are known by the queue alone."""

from __future__ import annotations

import pytest

from htcdask_api import PoolStatus
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.polling import PollIntervals
from tests.unit.site import KEY, Site


@pytest.fixture
async def site() -> Site:
    """Five workers run, as many as the heartbeat asks for."""
    site = Site()
    site.scheduler.unnamed = True
    site.add_cluster(wanted=5)
    await site.settle(8)
    return site


async def status(site: Site) -> PoolStatus:
    return (await site.pool()).status


async def test_workers_come_as_the_heartbeat_says_and_the_pool_says_how_they_are_counted(site: Site) -> None:
    assert len(site.jobs(JobStatus.RUNNING)) == 5
    said = await status(site)
    ready = said.condition("Ready")
    assert ready is not None and (ready.status, ready.reason) == ("True", "WorkersRunning")
    assert ready.message == (
        "5 workers run. The scheduler answers and has no page that names its workers, so those that run "
        "count as connected: distributed.scheduler.http.routes of its image lacks "
        "distributed.http.scheduler.info."
    )
    assert (said.running, said.connected, said.explanation) == (5, 5, ())
    site.scale(7)
    await site.settle(8)
    assert len(site.jobs(JobStatus.RUNNING)) == 7


async def test_nobody_is_removed_when_fewer_are_wanted(site: Site) -> None:
    site.scale(1)
    for _ in range(10):
        site.schedd.now += 60
        await site.poll()
        await site.cycle()
    assert len(site.jobs(JobStatus.RUNNING)) == 5, "whom to retire is the scheduler's to say"
    (worker, *_) = site.jobs()
    site.schedd.end(worker.id, 0)
    await site.settle(4)
    assert len(site.jobs(JobStatus.RUNNING)) == 4, "it has retired one"
    said = (await status(site)).condition("Ready")
    assert said is not None and (said.status, said.reason) == ("False", "ScalingDown")


async def test_it_is_asked_at_leisure_once_its_workers_run(site: Site) -> None:
    site.scheduler.asked.clear()
    for _ in range(60):
        site.schedd.now += 1
        await site.poll()
    every = PollIntervals().attentive_seconds
    assert 0 < len(site.scheduler.asked) <= 60 / every + 1
    assert set(site.scheduler.asked) == {KEY}
