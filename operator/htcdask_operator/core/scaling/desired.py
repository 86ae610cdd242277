"""How many workers each pool of a cluster should have, and how many more may be submitted in all.

Called by `pools.cluster` once for each cluster. N is what the scheduler asks for; the scheduler retires
whatever connects beyond it, so Σ live over the pools must not exceed N. Manual pools come first: the pool
that follows the gateway gets what they leave, of N and of every limit that the cluster's pools share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import limits
from htcdask_operator.core.scaling.limits import NONE, ClusterLimit, Limit
from htcdask_operator.core.size import Size


@dataclass(frozen=True, slots=True)
class Allocation:
    """One pool's part of N, and the limit that made it smaller, if one did."""

    replicas: int
    capped_by: str | None = None  # a sentence
    withheld: int = 0  # workers that the limit keeps away
    waits: bool = False  # for workers of other clusters to leave: the limit counts them too


@dataclass(frozen=True, slots=True)
class Request:
    """One pool that may have workers."""

    pool: PoolFacts
    worker: Size  # the next one's
    profile: str | None = None
    live: Sequence[Size] = ()  # those that it has, oldest first
    refused: bool = False  # it may keep those that it has, and gets no more
    alike: bool = True  # all that it has are as the next one

    def fits(self, limit: ClusterLimit) -> int:
        """How many workers it may have there: those that it has, as far as they fit, and then others."""
        if not limit.concerns(self.profile):
            return NONE
        if self.alike:
            return limit.fits(self.worker)
        for count, size in enumerate(self.live):
            if limit.left < size[limit.kind]:
                return count
            limit = limit.less(size[limit.kind])
        return min(NONE, len(self.live) + limit.fits(self.worker))

    def takes(self, limit: ClusterLimit, count: int) -> int:
        """What so many of its workers take of it."""
        if not limit.concerns(self.profile):
            return 0
        if self.alike:
            return count * self.worker[limit.kind]
        there = self.live[:count]
        return sum(size[limit.kind] for size in there) + (count - len(there)) * self.worker[limit.kind]


def gateway_pool(pools: Sequence[PoolFacts]) -> PoolUid | None:
    """The one pool that follows the gateway's scale() and adapt(): the oldest, then by uid."""
    followers = [pool for pool in pools if pool.spec.scaling == "Gateway" and not pool.deleting]
    return min(followers, key=by_age).uid if followers else None


def by_age(pool: PoolFacts) -> tuple[float, PoolUid]:
    """Oldest first; pools of one second by uid."""
    return (pool.created_at, pool.uid)


def allocations(
    requests: Sequence[Request],
    cluster: ClusterFacts,
    policy: Policy,
    cluster_limits: Sequence[ClusterLimit] = (),
) -> dict[PoolUid, Allocation]:
    """What each pool should have. Only pools that may have workers are passed, oldest first."""
    first = gateway_pool([request.pool for request in requests])
    result, manual = {request.pool.uid: Allocation(0) for request in requests}, 0
    # Stable: of each kind the oldest comes first.
    for request in sorted(requests, key=lambda each: each.pool.spec.scaling != "Manual"):
        pool = request.pool
        is_manual = pool.spec.scaling == "Manual"
        if not is_manual and pool.uid != first:
            continue
        asked = pool.spec.replicas if is_manual else max(0, cluster.replicas - manual)
        shared = (Limit(request.fits(limit), limit.name, limit.shared) for limit in cluster_limits)
        result[pool.uid] = allocation = _capped(asked, min((*limits.of_pool(pool, policy), *shared)))
        # Who gets no more workers leaves the others all but those that it has.
        takes = min(allocation.replicas, len(request.live)) if request.refused else allocation.replicas
        cluster_limits = [limit.less(request.takes(limit, takes)) for limit in cluster_limits]
        if is_manual:
            manual += max(takes, len(request.live))
    return result


def submit_budget(cluster: ClusterFacts, live: int) -> int:
    """How many workers may be added in all."""
    return max(0, cluster.replicas - live)


def _capped(count: int, limit: Limit) -> Allocation:
    if count <= limit.count:
        return Allocation(count)
    allowed = max(0, limit.count)
    sentence = f"{counted(count, 'worker', 'are')} asked for; {limit.name} allows {allowed}."
    return Allocation(allowed, sentence, count - allowed, limit.shared)
