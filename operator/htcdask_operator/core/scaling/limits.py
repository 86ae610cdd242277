"""How many workers a pool may have at the most: the smallest limit wins and is named.

Called by `desired`. A limit for one user or for the site counts workers of other clusters too; when such a
limit is lowered below what is there, the jobs that were queued last are over it, whosever they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htcdask_api import Template
from htcdask_operator.core.model import ClusterFacts, Job, Observed, PoolFacts
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers.states import counts_as_live


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """So many workers, and whose word that is: the subject of a sentence."""

    count: int
    name: str


def of_pool(pool: PoolFacts, cluster: ClusterFacts, template: Template, policy: Policy) -> Limit:
    """What this pool may have by itself."""
    limits = [
        Limit(pool.spec.max_replicas, "the pool's maxReplicas"),
        Limit(policy.max_replicas_per_pool, "the site's limit for one pool"),
        *_of_gateway(cluster, template),
    ]
    profile = policy.profiles.get(template.profile or "")
    if profile is not None and profile.max_replicas is not None:
        limits.append(Limit(profile.max_replicas, f"the limit of profile {profile.name}"))
    return min(limits)


def of_cluster(cluster: ClusterFacts, observed: Observed, own: Sequence[Job], policy: Policy) -> Limit | None:
    """What the pools of this cluster may have together; `own` are their live workers."""
    limits = []
    if policy.max_replicas_per_user is not None:
        others = [job for job in observed.neighbours if job.user == cluster.username]
        limits.append(_of_all(policy.max_replicas_per_user, "the site's limit for one user", own, others))
    if policy.max_replicas is not None:
        name = "the site's limit for all users"
        limits.append(_of_all(policy.max_replicas, name, own, observed.neighbours))
    return min(limits, default=None)


def max_workers(cluster: ClusterFacts) -> int | None:
    """The gateway's own limit for the number of workers of this cluster."""
    workers = _number(cluster.config.get("cluster_max_workers"))
    return None if workers is None else int(workers)


def _of_all(limit: int, name: str, own: Sequence[Job], others: Sequence[Job]) -> Limit:
    """Our part of a limit, after the others': what is free, or what of ours was there first."""
    others = [job for job in others if counts_as_live(job)]
    if len(own) + len(others) <= limit:
        return Limit(limit - len(others), name)
    first = sorted((*own, *others), key=lambda job: (job.queued_at, job.id))[:limit]
    ours = {job.id for job in own}
    return Limit(sum(job.id in ours for job in first), name)


def _of_gateway(cluster: ClusterFacts, template: Template) -> list[Limit]:
    """The gateway's limits for one cluster, less its scheduler, for workers of this size."""
    limits = []
    workers = max_workers(cluster)
    cores = _number(cluster.config.get("cluster_max_cores"))
    memory = _number(cluster.config.get("cluster_max_memory"))
    if workers is not None:
        limits.append(Limit(workers, "the gateway's cluster_max_workers"))
    if cores is not None:
        left = cores - (_number(cluster.config.get("scheduler_cores")) or 0)
        limits.append(Limit(int(left // template.cores), "the gateway's cluster_max_cores"))
    if memory is not None:
        left = memory - (_number(cluster.config.get("scheduler_memory")) or 0)
        limits.append(Limit(int(left // template.memory_bytes), "the gateway's cluster_max_memory"))
    return limits


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e18 else None  # infinite is no limit
