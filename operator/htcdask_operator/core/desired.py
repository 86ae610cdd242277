"""How many workers each pool of a cluster should have, and how many more may be submitted in all.

Called by `plan` once for each cluster. N is what the scheduler asks for; the scheduler retires whatever
connects beyond it, so Σ live over the pools must not exceed N.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from htcdask_api import Template
from htcdask_operator.core.model import ClusterFacts, Policy, PoolFacts, PoolUid


@dataclass(frozen=True, slots=True)
class Share:
    """One pool's part of N, and the limit that made it smaller, if one did."""

    desired: int
    capped_by: str | None = None  # a sentence
    withheld: int = 0  # workers that the limit keeps away


def leader(pools: Sequence[PoolFacts]) -> PoolUid | None:
    """The one pool that follows the gateway's scale() and adapt(): the oldest, then by uid."""
    followers = [pool for pool in pools if pool.spec.scaling == "Gateway" and not pool.deleting]
    return min(followers, key=by_age).uid if followers else None


def by_age(pool: PoolFacts) -> tuple[float, PoolUid]:
    """Oldest first; pools of one second by uid."""
    return (pool.created_at, pool.uid)


def shares(
    pools: Sequence[PoolFacts],
    cluster: ClusterFacts,
    live: Mapping[PoolUid, int],
    templates: Mapping[PoolUid, Template],
    policy: Policy,
) -> dict[PoolUid, Share]:
    """What each pool should have. Only pools that may have workers are passed."""
    first = leader(pools)
    result = {
        pool.uid: _capped(pool.spec.replicas, pool, cluster, templates[pool.uid], policy)
        for pool in pools
        if pool.spec.scaling == "Manual"
    }
    manual = sum(max(share.desired, live.get(uid, 0)) for uid, share in result.items())
    for pool in pools:
        if pool.uid == first:
            rest = max(0, cluster.wanted - manual)
            result[pool.uid] = _capped(rest, pool, cluster, templates[pool.uid], policy)
    return {pool.uid: result.get(pool.uid, Share(0)) for pool in pools}


def budget(cluster: ClusterFacts, live: int) -> int:
    """How many workers may be added in all."""
    # A cluster with Manual pools whose total exceeds N, or without a Gateway pool, has to tell its scheduler
    # (POST /api/comm {"op": "scale"}); until an action for that exists, such pools get what N allows.
    return max(0, cluster.wanted - live)


def _capped(count: int, pool: PoolFacts, cluster: ClusterFacts, template: Template, policy: Policy) -> Share:
    """The smallest limit wins and is named."""
    limits = [
        (pool.spec.max_replicas, "the pool's maxReplicas"),
        (policy.max_replicas_per_pool, "the site's limit for one pool"),
    ]
    profile = policy.profiles.get(template.profile or "")
    if profile is not None and profile.max_replicas is not None:
        limits.append((profile.max_replicas, f"the limit of profile {profile.name}"))
    limits += _gateway_limits(cluster, template)
    limit, name = min(limits)
    if count <= limit:
        return Share(count)
    limit = max(0, limit)
    return Share(limit, f"{count} workers are asked for; {name} allows {limit}.", count - limit)


def _gateway_limits(cluster: ClusterFacts, template: Template) -> list[tuple[int, str]]:
    """The gateway's limits for one cluster, less its scheduler, for workers of this size."""
    limits = []
    workers = _number(cluster.config.get("cluster_max_workers"))
    cores = _number(cluster.config.get("cluster_max_cores"))
    memory = _number(cluster.config.get("cluster_max_memory"))
    if workers is not None:
        limits.append((int(workers), "the gateway's cluster_max_workers"))
    if cores is not None:
        left = cores - (_number(cluster.config.get("scheduler_cores")) or 0)
        limits.append((int(left // template.cores), "the gateway's cluster_max_cores"))
    if memory is not None:
        left = memory - (_number(cluster.config.get("scheduler_memory")) or 0)
        limits.append((int(left // template.memory_bytes), "the gateway's cluster_max_memory"))
    return limits


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e18 else None  # infinite is no limit
