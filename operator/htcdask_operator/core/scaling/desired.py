"""How many workers each pool of a cluster should have, and how many more may be submitted in all.

Called by `plan` once for each cluster. N is what the scheduler asks for; the scheduler retires whatever
connects beyond it, so Σ live over the pools must not exceed N. Manual pools come first: the pool that follows
the gateway gets what they leave.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from htcdask_api import Template
from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import limits
from htcdask_operator.core.scaling.limits import Limit


@dataclass(frozen=True, slots=True)
class Allocation:
    """One pool's part of N, and the limit that made it smaller, if one did."""

    replicas: int
    capped_by: str | None = None  # a sentence
    withheld: int = 0  # workers that the limit keeps away
    waits: bool = False  # for workers of other clusters to leave: the limit counts them too


def gateway_pool(pools: Sequence[PoolFacts]) -> PoolUid | None:
    """The one pool that follows the gateway's scale() and adapt(): the oldest, then by uid."""
    followers = [pool for pool in pools if pool.spec.scaling == "Gateway" and not pool.deleting]
    return min(followers, key=by_age).uid if followers else None


def by_age(pool: PoolFacts) -> tuple[float, PoolUid]:
    """Oldest first; pools of one second by uid."""
    return (pool.created_at, pool.uid)


def allocations(
    pools: Sequence[PoolFacts],
    cluster: ClusterFacts,
    live: Mapping[PoolUid, int],
    templates: Mapping[PoolUid, Template],
    policy: Policy,
    cluster_limit: Limit | None = None,
) -> dict[PoolUid, Allocation]:
    """What each pool should have. Only pools that may have workers are passed, oldest first."""
    first = gateway_pool(pools)
    result = {}
    for pool in pools:
        if pool.spec.scaling == "Manual":
            allocation = _capped(
                pool.spec.replicas, limits.of_pool(pool, cluster, templates[pool.uid], policy)
            )
            result[pool.uid], cluster_limit = _within(allocation, cluster_limit)
    manual = sum(max(allocation.replicas, live.get(uid, 0)) for uid, allocation in result.items())
    for pool in pools:
        if pool.uid == first:
            rest = max(0, cluster.replicas - manual)
            allocation = _capped(rest, limits.of_pool(pool, cluster, templates[pool.uid], policy))
            result[pool.uid], cluster_limit = _within(allocation, cluster_limit)
    return {pool.uid: result.get(pool.uid, Allocation(0)) for pool in pools}


def submit_budget(cluster: ClusterFacts, live: int) -> int:
    """How many workers may be added in all."""
    return max(0, cluster.replicas - live)


def _capped(count: int, limit: Limit) -> Allocation:
    if count <= limit.count:
        return Allocation(count)
    allowed = max(0, limit.count)
    return Allocation(
        allowed, f"{count} workers are asked for; {limit.name} allows {allowed}.", count - allowed
    )


def _within(allocation: Allocation, cluster_limit: Limit | None) -> tuple[Allocation, Limit | None]:
    """The part of it that the cluster may have in all, and what is left of that for its other pools."""
    if cluster_limit is None:
        return allocation, None
    inside = allocation
    if allocation.replicas > cluster_limit.count:
        inside = replace(_capped(allocation.replicas, cluster_limit), waits=True)
    return inside, Limit(cluster_limit.count - inside.replicas, cluster_limit.name)
