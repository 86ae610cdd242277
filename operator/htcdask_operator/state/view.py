"""What was seen last in the queue and at the schedulers: written by the poller, read by `observe`.

One answer for everybody, so that the number of questions does not grow with the number of pools. It is only a
memory of answers: a cycle that is about to submit asks again (`reconcile`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from htcdask_operator.core.model import ClusterFacts, Job, PoolFacts, PoolUid, SchedulerWorkers, Unseen
from htcdask_operator.ports import ClusterKey

NOT_ASKED = Unseen("the access point has not answered yet")

Answer = SchedulerWorkers | Unseen


@dataclass(slots=True)
class View:
    """The last answers, and when they were asked for."""

    unseen: Unseen | None = NOT_ASKED  # the last poll failed
    jobs: dict[PoolUid, tuple[Job, ...]] = field(default_factory=dict)
    asked_at: float = 0.0
    pool_asked_at: dict[PoolUid, float] = field(default_factory=dict)
    identity: str | None = None
    scheduler_workers: dict[ClusterKey, Answer] = field(default_factory=dict)
    pools: dict[PoolUid, ClusterKey] = field(default_factory=dict)  # every pool that the API server showed
    submitted_as: dict[PoolUid, str] = field(default_factory=dict)  # whose jobs to ask for, besides ours
    knew: set[PoolUid] = field(default_factory=set)  # those, and any that have gone since we began
    had_pools: set[ClusterKey] = field(default_factory=set)  # clusters that have or had one
    watched_pools: dict[PoolUid, PoolFacts] = field(default_factory=dict)  # as kopf's watch showed them last
    watched_clusters: dict[ClusterKey, ClusterFacts] = field(default_factory=dict)

    def pools_of(self, key: ClusterKey) -> list[PoolUid]:
        """The pools that name this cluster."""
        return [pool for pool, named in self.pools.items() if named == key]

    def saw_pools(self, key: ClusterKey, pools: Iterable[PoolUid]) -> None:
        """These pools name this cluster."""
        for pool in pools:
            self.pools[pool] = key
            self.knew.add(pool)
            self.had_pools.add(key)

    def remember(self, pools: Iterable[PoolFacts]) -> None:
        """The identities of these pools' jobs, as the API server shows them."""
        for pool in pools:
            if pool.submitted_as is None:
                self.submitted_as.pop(pool.uid, None)
            else:
                self.submitted_as[pool.uid] = pool.submitted_as

    def others(self, pools: Collection[PoolUid]) -> tuple[Job, ...]:
        """The jobs of all pools but these."""
        return tuple(job for pool, jobs in self.jobs.items() if pool not in pools for job in jobs)

    def orphans(self) -> tuple[Job, ...]:
        """The jobs of pools that are gone, as far as we know."""
        return tuple(job for pool, jobs in self.jobs.items() if pool not in self.pools for job in jobs)

    def orphans_of(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """The jobs of pools that are gone, of the cluster whose jobs these are."""
        clusters = {job.cluster_uid for job in jobs}
        return tuple(job for job in self.orphans() if job.cluster_uid in clusters)

    def cluster_jobs(self, key: ClusterKey) -> tuple[Job, ...]:
        """The jobs of the cluster's pools, and what is left of its pools that are gone."""
        jobs = [job for pool in self.pools_of(key) for job in self.jobs.get(pool, ())]
        return (*jobs, *self.orphans_of(jobs))

    def forget(self, pool: PoolUid) -> None:
        """The pool is gone."""
        self.pools.pop(pool, None)
        self.pool_asked_at.pop(pool, None)
        self.submitted_as.pop(pool, None)

    def saw_pool(self, pool: PoolUid, jobs: tuple[Job, ...], asked_at: float) -> None:
        """One pool's jobs, asked for by its own cycle."""
        self.jobs[pool] = jobs
        self.pool_asked_at[pool] = asked_at

    def saw_all(self, jobs: Iterable[Job], asked_at: float) -> set[PoolUid]:
        """All jobs, asked for by the poller. Returns the pools whose jobs changed in a way that matters."""
        grouped: dict[PoolUid, list[Job]] = defaultdict(list)
        for job in jobs:
            grouped[job.pool_uid].append(job)
        changed = set()
        for pool in grouped.keys() | self.jobs.keys():
            if self.pool_asked_at.get(pool, 0.0) >= asked_at:
                continue  # the pool's own cycle asked later than this poll did, and knows better
            now, before = tuple(grouped.get(pool, ())), self.jobs.get(pool, ())
            if now != before and _essence(now) != _essence(before):  # the second is dear, and rarely needed
                changed.add(pool)
            if now:
                self.jobs[pool] = now
            else:
                self.jobs.pop(pool, None)
        self.unseen = None
        self.asked_at = asked_at
        return changed


def _essence(jobs: Iterable[Job]) -> frozenset[Job]:
    """The jobs without what changes all the time and decides nothing."""
    return frozenset(replace(job, lease=None, memory_mib=None) for job in jobs)
