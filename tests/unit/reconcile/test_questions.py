"""The poller's one answer serves all: how many questions the access point has to answer beside it."""

from __future__ import annotations

from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.cycle import ClusterTask
from tests.unit.site import Site

POOLS = 120


async def _cycles(site: Site, tasks: dict[ClusterKey, ClusterTask]) -> None:
    for key, task in tasks.items():
        await site.reconciler.cycle.run(key, task)


async def test_a_hundred_and_twenty_pools_ask_nothing_at_the_start_and_in_quiet() -> None:
    site = Site()
    for number in range(POOLS):
        site.add_cluster(f"c{number}", wanted=1)
    site.schedd.slots = POOLS
    tasks = {key: ClusterTask() for key in site.known.clusters.pools.values()}
    for _ in range(6):
        await site.poll()
        await _cycles(site, tasks)
        site.schedd.tick()
        for key in tasks:
            site.scheduler.connected[key] = {job.worker for job in site.jobs()}
    assert len(site.jobs()) == POOLS
    again = Site()  # a new process, and everything is there
    again.condor, again.kube, again.scheduler = site.condor, site.kube, site.scheduler
    again.schedd = site.schedd
    again.ports = type(again.ports)(site.condor, site.kube, site.scheduler)
    again.use_policy()
    again.known.clusters.pools |= site.known.clusters.pools
    again.poller._ports = again.ports
    tasks = {key: ClusterTask() for key in tasks}
    site.condor.calls.clear()
    await again.poll()
    await _cycles(again, tasks)
    assert site.condor.calls.count("jobs_of") == 0, "at the start"
    site.schedd.tick(14)
    await _cycles(again, tasks)
    assert site.condor.calls.count("jobs_of") == 0, "in quiet, with an answer that is 14 s old"
    assert site.condor.calls.count("jobs") == 1


async def test_the_queue_is_asked_once_more_before_a_job_ends_where_the_answer_is_old() -> None:
    site = Site()
    site.schedd.slots = 0
    site.add_cluster(wanted=2)
    await site.settle(8)
    site.scale(0)
    site.schedd.tick(14)
    site.condor.calls.clear()
    await site.cycle()
    assert site.condor.calls.index("jobs_of") < site.condor.calls.index("remove")
