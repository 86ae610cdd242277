"""What deciding costs, without a site: `plan` of many jobs, and the event loop under many clusters.

Beside a floor in the same run: so many jobs copied and sorted, as each plan has to look at each.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

from htcdask_api import PoolStatus
from htcdask_operator.core.actions import SubmitAnchor
from htcdask_operator.core.model import ClusterFacts, Job, JobStatus, PoolFacts, SchedulerWorkers
from htcdask_operator.core.plan import plan
from htcdask_operator.ports import ClusterKey
from htcdask_operator.process import garbage
from tests.builders import (
    NOW,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
)
from tests.unit.site import Site

Figures = dict[str, float]

_REPEATS = 20
_HEARTBEAT = 0.002
_CLUSTERS = 1000
_WORKERS = 10
_LIMITS = {
    "max_replicas_per_user": 20_000,
    "max_replicas": _CLUSTERS * _WORKERS,
    "max_cores": 2 * _CLUSTERS * _WORKERS,
}


def steady(count: int) -> Figures:
    """One plan of a pool that has what it wants: milliseconds, and how many floors that is."""
    policy = make_policy(max_replicas_per_user=2 * count, max_cores=10 * count, max_replicas_per_pool=count)
    pool, cluster = make_pool(max_replicas=count), make_cluster(count)
    jobs = [_running(number) for number in range(count)]
    names = [job.worker for job in jobs]
    first = plan([pool], make_observed(cluster, jobs, names), make_memory(cluster), policy, NOW)
    (template_hash,) = [action.template_hash for action in first.actions if isinstance(action, SubmitAnchor)]
    jobs = [replace(job, template_hash=template_hash, anchor="1.0") for job in jobs]
    observed = make_observed(cluster, [make_anchor(template_hash), *jobs], names)
    memory = plan([pool], observed, make_memory(cluster), policy, NOW).memory
    assert not plan([pool], observed, memory, policy, NOW + 1).actions, "it has all that it wants"
    ours = _fastest(lambda: plan([pool], observed, memory, policy, NOW + 1))
    floor = _fastest(lambda: _floor(jobs))
    return {
        f"plan of {count} jobs, ms": 1000 * ours,
        f"plan of {count} jobs, in copies and sorts": ours / floor,
    }


def thousand_clusters() -> Figures:
    """The longest that the event loop was kept from a timer, while a thousand clusters wait at a limit."""
    garbage.freeze()  # as the operator does at its start
    try:
        return asyncio.run(_thousand_clusters())
    finally:
        gc.unfreeze()


async def _thousand_clusters() -> Figures:
    site = Site()
    site.schedd.now = NOW
    site.use_policy(**_LIMITS)
    for number in range(_CLUSTERS):
        site.add_cluster(f"c{number}", 2 * _WORKERS)
    jobs = tuple(
        job for number, pool in enumerate(site.known.clusters.pools) for job in _queue_of(pool, number)
    )
    await _answer_at_once(site, jobs)
    keys = list(dict.fromkeys(site.known.clusters.pools.values()))
    async with _reconciling(site):
        site.known.queue.identity = site.condor.identity
        site.known.queue.saw_all(jobs, NOW)
        _wake(site, keys)
        await asyncio.sleep(5)  # the first statuses are written
        garbage.freeze()  # as the operator does a minute after its start
        stalls = asyncio.create_task(_longest_stall(4.0))
        await asyncio.sleep(0.1)
        _wake(site, keys)  # all at once, as after an answer that everybody waits for
        longest, deciding = await stalls
    floor = _fastest(lambda: _floor(jobs))
    what = f"longest stall, {_CLUSTERS} clusters at a limit"
    return {
        f"{what}, ms": 1000 * longest,
        f"{what}, in copies and sorts": longest / floor,
        f"{what}, but for Python's collector, ms": 1000 * deciding,
    }


def _wake(site: Site, keys: Sequence[ClusterKey]) -> None:
    for key in keys:
        site.reconciler.wake(key)


async def _answer_at_once(site: Site, jobs: Sequence[Job]) -> None:
    """The outside systems take no time of the loop: theirs is not what is measured."""
    pools: dict[str, list[PoolFacts]] = defaultdict(list)
    for pool in await site.kube.pools("gateway"):
        pool = replace(pool, submitted_as=site.condor.identity, owner_uid=None)
        pools[pool.spec.cluster_ref.name].append(pool)
    clusters = {cluster.name: cluster for cluster in await site.kube.clusters("gateway")}
    for name, its in pools.items():
        pools[name] = [replace(pool, owner_uid=clusters[name].uid) for pool in its]
    connected = defaultdict[str, set[str]](set)
    by_pool = defaultdict[str, list[Job]](list)
    names = {pool: key[1] for pool, key in site.known.clusters.pools.items()}
    for job in jobs:
        by_pool[job.pool_uid].append(job)
        connected[names[job.pool_uid]].add(job.worker)

    async def of_cluster(namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        return tuple(pools[cluster or ""])

    async def the_cluster(namespace: str, name: str) -> ClusterFacts:
        return clusters[name]

    async def jobs_of(pool: str, also: Collection[str] = ()) -> tuple[Job, ...]:
        return tuple(by_pool[pool])

    async def workers(namespace: str, cluster: str, ours: Collection[str]) -> SchedulerWorkers:
        return SchedulerWorkers(frozenset(connected[cluster] & set(ours)))

    async def publish(pool: PoolFacts, status: PoolStatus) -> None:
        return None

    site.kube.pools, site.kube.cluster = of_cluster, the_cluster  # type: ignore[method-assign]
    site.kube.publish = publish  # type: ignore[method-assign]
    site.condor.jobs_of = jobs_of  # type: ignore[method-assign]
    site.scheduler.workers = workers  # type: ignore[method-assign]


@contextlib.asynccontextmanager
async def _reconciling(site: Site) -> AsyncIterator[None]:
    task = asyncio.create_task(site.reconciler.run())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _longest_stall(seconds: float) -> tuple[float, float]:
    """In all, and without full passes of the garbage collector."""
    loop, longest, deciding, collected = asyncio.get_running_loop(), 0.0, 0.0, [0.0, 0.0]

    def note(phase: str, _: object) -> None:
        if phase == "start":
            collected[1] = time.process_time()
        else:
            collected[0] += time.process_time() - collected[1]

    gc.callbacks.append(note)
    end = loop.time() + seconds
    while loop.time() < end:
        began, collected[0] = time.process_time(), 0.0  # what other processes take is no stall of ours
        await asyncio.sleep(_HEARTBEAT)
        took = time.process_time() - began
        longest, deciding = max(longest, took), max(deciding, took - collected[0])
    gc.callbacks.remove(note)
    return longest, deciding


def _queue_of(pool: str, number: int) -> Sequence[Job]:
    user = f"user{number % 50}"
    anchor = make_anchor("none", pool_uid=pool, id=f"{number}.99", user=user)
    return [anchor, *(_running(n, pool, f"{number}.{n}", user) for n in range(_WORKERS))]


def _running(number: int, pool: str | None = None, id_: str | None = None, user: str = "alice") -> Job:
    worker = f"w{number}" if pool is None else f"{pool}-{number}"
    where = {} if pool is None else {"pool_uid": pool}
    return make_job(
        worker,
        JobStatus.RUNNING,
        id=id_ or f"5.{number}",
        queued_at=NOW - 5000 + number / 100,
        started_at=NOW - 4000,
        status_since=NOW - 4000,
        request_cores=1,
        request_memory_mib=2048,
        user=user,
        **where,
    )


def _floor(jobs: Sequence[Job]) -> list[Job]:
    return sorted(jobs, key=lambda job: (job.queued_at, job.id))


def _fastest(what: object) -> float:
    times = []
    for _ in range(_REPEATS):
        began = time.process_time()
        what()  # type: ignore[operator]
        times.append(time.process_time() - began)
    return min(times)
