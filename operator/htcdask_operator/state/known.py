"""All that was seen last, of the queue and of the clusters: what each cycle and the poller start from."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from htcdask_operator.core.model import Job, PoolFacts, PoolUid, SharedUsage
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.status.events import Event
from htcdask_operator.ports import ClusterKey
from htcdask_operator.state.clusters import ClusterState
from htcdask_operator.state.log_budget import LogBudget
from htcdask_operator.state.queue import QueueState
from htcdask_operator.state.withheld import Withheld


@dataclass(frozen=True, slots=True)
class Known:
    """The two, what takes both to tell, Events of pools that wait, and what all may write of logs."""

    queue: QueueState = field(default_factory=QueueState)
    clusters: ClusterState = field(default_factory=ClusterState)
    withheld: Withheld = field(default_factory=Withheld)
    log_budget: LogBudget = field(default_factory=LogBudget)

    def orphans(self) -> tuple[Job, ...]:
        """The jobs of pools that are gone, as far as we know."""
        return self.queue.of_others(self.clusters.pools)

    def usage(self, user: str, own: Collection[PoolUid], policy: Policy) -> SharedUsage:
        """What counts for the limits that the clusters share, as the cluster of these pools sees it."""
        self.queue.usages.count(self.queue.jobs, self.queue.identity, self.clusters.submitted_as)
        return self.queue.usages.of(user, own, policy)

    def orphans_of(self, jobs: Iterable[Job]) -> tuple[Job, ...]:
        """The jobs of pools that are gone, of the cluster whose jobs these are."""
        clusters = {job.cluster_uid for job in jobs}
        return tuple(job for job in self.orphans() if job.cluster_uid in clusters)

    def cluster_jobs(self, key: ClusterKey) -> tuple[Job, ...]:
        """The jobs of the cluster's pools, and what is left of its pools that are gone."""
        jobs = [job for pool in self.clusters.pools_of(key) for job in self.queue.jobs.get(pool, ())]
        return (*jobs, *self.orphans_of(jobs))

    def keep_back(self, pool: PoolFacts, event: Event, now: float) -> bool:
        """Whether this Event waits until it is known if the trouble is everybody's."""
        return self.withheld.keep(pool, event, self.clusters.pools, now)

    def forget(self, pool: PoolUid) -> None:
        """The pool is gone; what is left of its jobs are orphans."""
        self.clusters.forget(pool)
        self.queue.pool_asked_at.pop(pool, None)
