"""The pools, clusters and schedulers as they were seen last: by kopf's watch, by listings, by questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from htcdask_api import PoolStatus
from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid, SchedulerWorkers, Unnamed, Unseen
from htcdask_operator.ports import ClusterKey

Answer = SchedulerWorkers | Unnamed | Unseen


@dataclass(slots=True)
class ClusterState:
    """Which pools name which cluster, and what each scheduler said last."""

    pools: dict[PoolUid, ClusterKey] = field(default_factory=dict)  # every pool that the API server showed
    knew: set[PoolUid] = field(default_factory=set)  # those, and any that have gone since we began
    had_pools: set[ClusterKey] = field(default_factory=set)  # clusters that have or had one
    statuses: dict[PoolUid, PoolStatus] = field(default_factory=dict)  # as they were decided last
    submitted_as: dict[PoolUid, str] = field(default_factory=dict)  # whose jobs to ask for, besides ours
    scheduler_workers: dict[ClusterKey, Answer] = field(default_factory=dict)
    avoided: dict[ClusterKey, tuple[str, Mapping[str, float]]] = field(default_factory=dict)  # by whose
    # As the watch showed them last, or a listing; and how many events of each kind it has shown in all.
    watched_pools: dict[PoolUid, PoolFacts] = field(default_factory=dict)
    watched_clusters: dict[ClusterKey, ClusterFacts] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    least: dict[ClusterKey, int] = field(
        default_factory=dict
    )  # N that the watch has shown since the last look

    def pools_of(self, key: ClusterKey) -> list[PoolUid]:
        """The pools that name this cluster."""
        return [pool for pool, named in self.pools.items() if named == key]

    def has_ended(self, key: ClusterKey) -> bool:
        """Whether the watch has shown this cluster as one that ends, or has ended."""
        facts = self.watched_clusters.get(key)
        return facts is not None and not facts.active

    def works(self, key: ClusterKey) -> bool:
        """Whether the watch shows this cluster, and as one that has not ended."""
        facts = self.watched_clusters.get(key)
        return facts is not None and facts.active

    def heard(self, facts: ClusterFacts) -> None:
        """The watch shows this cluster, perhaps as it was for a moment only."""
        key = ClusterKey(facts.namespace, facts.name)
        self.watched_clusters[key] = facts
        if facts.htcondor:
            self.least[key] = min(self.least.get(key, facts.replicas), facts.replicas)

    def gone(self, key: ClusterKey) -> None:
        """The watch, or a listing, shows it no more."""
        self.watched_clusters.pop(key, None)
        self.least.pop(key, None)
        self.had_pools.discard(key)

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

    def decided(self, statuses: Mapping[PoolUid, PoolStatus]) -> None:
        """What these pools say now, but for those that have gone meanwhile."""
        self.statuses |= {pool: status for pool, status in statuses.items() if pool in self.pools}

    def avoids(self, key: ClusterKey, user: str, machines: Mapping[str, float]) -> None:
        """This user's cluster avoids these machines, each until then."""
        self.avoided.pop(key, None)
        if machines:
            self.avoided[key] = (user, machines)

    def avoided_machines(self) -> set[str]:
        """Those that some cluster avoids."""
        return {machine for _, known in self.avoided.values() for machine in known}

    def forget(self, pool: PoolUid) -> None:
        """The pool is gone."""
        self.pools.pop(pool, None)
        self.statuses.pop(pool, None)
        self.submitted_as.pop(pool, None)
