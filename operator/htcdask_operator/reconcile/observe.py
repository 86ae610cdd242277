"""Ask the three ports about one cluster and its pools: one frozen `Observed`.

Called by `cycle` at the start of a cycle and after every round of actions. A question that failed is
`Unseen` with a sentence; nothing here raises for an outside system's failure.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from htcdask_operator.condor.errors import CondorError
from htcdask_operator.core import mistake
from htcdask_operator.core.model import (
    ClusterFacts,
    Gone,
    Job,
    Observed,
    PoolFacts,
    PoolUid,
    SchedulerWorkers,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers import identity, machines, states
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.scheduler.port import SchedulerError
from htcdask_operator.state.clusters import Answer
from htcdask_operator.state.known import Known

_log = logging.getLogger(__name__)


async def observe(
    ports: Ports,
    known: Known,
    key: ClusterKey,
    pools: Sequence[PoolFacts],
    now: float,
    *,
    fresh: bool,
) -> Observed:
    """What is true now. Not `fresh`: the queue as the poller saw it last."""
    asking = ask_queue(ports, known, pools, now, fresh=fresh)
    cluster, jobs = await asyncio.gather(_cluster(ports, key), asking)
    answer = await _scheduler_workers(ports, known, key, cluster, jobs)
    return Observed(
        cluster=cluster,
        jobs=jobs,
        connected=answer.connected if isinstance(answer, SchedulerWorkers) else answer,
        busy=answer.busy if isinstance(answer, SchedulerWorkers) else frozenset(),
        strangers=answer.strangers if isinstance(answer, SchedulerWorkers) else 0,
        orphans=_believed(known, known.orphans()),
        condor_identity=known.queue.identity,
        least_asked=known.clusters.least.pop(key, None),
        had_pools=key in known.clusters.had_pools,
        avoided=machines.shared(known.clusters.avoided.values()),
    )


async def with_jobs(
    ports: Ports, known: Known, key: ClusterKey, seen: Observed, jobs: tuple[Job, ...] | Unseen
) -> Observed:
    """`seen`, with a later answer of the queue: it may show the first workers to ask the scheduler for."""
    if not _nobody_to_ask_for(seen.jobs) or _nobody_to_ask_for(jobs):
        return replace(seen, jobs=jobs)
    answer = await _scheduler_workers(ports, known, key, seen.cluster, jobs)
    if not isinstance(answer, SchedulerWorkers):
        return replace(seen, jobs=jobs, connected=answer, busy=frozenset())
    return replace(seen, jobs=jobs, connected=answer.connected, busy=answer.busy, strangers=answer.strangers)


def with_usage(known: Known, seen: Observed, pools: Collection[PoolUid], policy: Policy) -> Observed:
    """`seen`, with what the other clusters take, by all that is known now: right before it is planned."""
    if not isinstance(seen.cluster, ClusterFacts) or not policy.has_shared_limits:
        return seen
    return replace(seen, usage=known.usage(seen.cluster.username, pools, policy))


async def _cluster(ports: Ports, key: ClusterKey) -> ClusterFacts | Gone | Unseen:
    try:
        return await ports.kube.cluster(*key)
    except KubeError as error:
        return Unseen(str(error))
    except Exception as error:
        return _mistaken("the DaskCluster", key, error)


async def ask_queue(
    ports: Ports, known: Known, pools: Sequence[PoolFacts], now: float, *, fresh: bool
) -> tuple[Job, ...] | Unseen:
    """The jobs of these pools, ended ones that linger too."""
    if known.queue.unseen is not None:
        # The poller retries for everybody; asking beside it would only wait for the same deadline.
        return known.queue.unseen
    if fresh:
        found = []
        try:
            for pool in pools:  # one after the other, as they are answered: else all others wait behind them
                found.append(await ports.condor.jobs_of(pool.uid, _also(pool)))
        except CondorError as error:
            return Unseen(str(error))
        except Exception as error:
            return _mistaken("the queue", None, error)
        for pool, jobs in zip(pools, found, strict=True):
            known.queue.saw_pool(pool.uid, tuple(jobs), now)
    return tuple(
        job
        for pool in pools
        for job in identity.believed(known.queue.jobs.get(pool.uid, ()), pool, known.queue.identity)
    )


def _believed(known: Known, jobs: Iterable[Job]) -> tuple[Job, ...]:
    """Jobs of other pools: nobody's limit is used up by what somebody else wrote our id into."""
    return tuple(
        job
        for job in jobs
        if not identity.is_foreign(job, known.queue.identity)
        or job.owner == known.clusters.submitted_as.get(job.pool_uid)
    )


def _also(pool: PoolFacts) -> tuple[str, ...]:
    return () if pool.submitted_as is None else (pool.submitted_as,)


async def _scheduler_workers(
    ports: Ports,
    known: Known,
    key: ClusterKey,
    cluster: ClusterFacts | Gone | Unseen,
    jobs: tuple[Job, ...] | Unseen,
) -> Answer:
    """The scheduler's answer. Where it is not asked nothing is known, unless there can be no worker."""
    if _nobody_to_ask_for(jobs):  # the queue's own word, and it saves the first submit a round trip
        known.clusters.scheduler_workers.pop(key, None)
        return SchedulerWorkers()
    if isinstance(cluster, Gone):
        return Unseen("there is no cluster any more, so its scheduler is not asked")
    if isinstance(cluster, ClusterFacts) and not cluster.running:
        return Unseen(f"it is not asked while the cluster's phase is {cluster.phase}")
    ours = known.cluster_jobs(key) if isinstance(jobs, Unseen) else (*jobs, *known.orphans_of(jobs))
    known.clusters.scheduler_workers[key] = answer = await ask_scheduler(ports, key, names(ours))
    return answer


def _nobody_to_ask_for(jobs: tuple[Job, ...] | Unseen) -> bool:
    """Whether no job of these pools can have a process, so that no worker can be connected."""
    return not isinstance(jobs, Unseen) and not any(states.may_have_process(job) for job in jobs)


def _mistaken(what: str, key: ClusterKey | None, error: Exception) -> Unseen:
    """An answer that nobody expected is no answer."""
    found = mistake.of(error)
    _log.error("%s%s could not be understood: %s", what, "" if key is None else f" {key}", found)
    return Unseen(f"{what} could not be understood: a mistake of the operator ({found.kind})")


async def ask_scheduler(ports: Ports, key: ClusterKey, ours: Collection[WorkerName]) -> Answer:
    """Which of our workers the cluster's scheduler knows. Whatever goes wrong is this cluster's alone."""
    try:
        return await ports.scheduler.workers(*key, ours)
    except SchedulerError as error:
        return Unseen(str(error))
    except Exception as error:
        return _mistaken("the scheduler's answer", key, error)


def names(jobs: Iterable[Job]) -> frozenset[WorkerName]:
    """The workers that may be connected."""
    return frozenset(job.worker for job in jobs if states.may_have_process(job))
