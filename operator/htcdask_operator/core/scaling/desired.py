"""How many workers each pool of a cluster should have, and how many more may be submitted in all.

Called by `plan` once for each cluster. N is what the scheduler asks for; the scheduler retires whatever
connects beyond it, so Σ live over the pools must not exceed N. Manual pools come first: the pool that follows
the gateway gets what they leave, of N and of every limit that the cluster's pools share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import limits
from htcdask_operator.core.scaling.limits import NONE, Limit, Room
from htcdask_operator.core.size import Size


@dataclass(frozen=True, slots=True)
class Allocation:
    """One pool's part of N, and the limit that made it smaller, if one did."""

    replicas: int
    capped_by: str | None = None  # a sentence
    withheld: int = 0  # workers that the limit keeps away
    waits: bool = False  # for workers of other clusters to leave: the limit counts them too


@dataclass(frozen=True, slots=True)
class Claim:
    """One pool that may have workers."""

    pool: PoolFacts
    worker: Size  # the next one's
    profile: str | None = None
    live: Sequence[Size] = ()  # those that it has, oldest first
    refused: bool = False  # it may keep those that it has, and gets no more
    alike: bool = True  # all that it has are as the next one

    def fits(self, room: Room) -> int:
        """How many workers it may have there: those that it has, as far as they fit, and then others."""
        if not room.concerns(self.profile):
            return NONE
        if self.alike:
            return room.fits(self.worker)
        for count, size in enumerate(self.live):
            if room.left < size[room.kind]:
                return count
            room = room.less(size[room.kind])
        return min(NONE, len(self.live) + room.fits(self.worker))

    def takes(self, room: Room, count: int) -> int:
        """What so many of its workers take of it."""
        if not room.concerns(self.profile):
            return 0
        if self.alike:
            return count * self.worker[room.kind]
        there = self.live[:count]
        return sum(size[room.kind] for size in there) + (count - len(there)) * self.worker[room.kind]


def gateway_pool(pools: Sequence[PoolFacts]) -> PoolUid | None:
    """The one pool that follows the gateway's scale() and adapt(): the oldest, then by uid."""
    followers = [pool for pool in pools if pool.spec.scaling == "Gateway" and not pool.deleting]
    return min(followers, key=by_age).uid if followers else None


def by_age(pool: PoolFacts) -> tuple[float, PoolUid]:
    """Oldest first; pools of one second by uid."""
    return (pool.created_at, pool.uid)


def allocations(
    claims: Sequence[Claim], cluster: ClusterFacts, policy: Policy, rooms: Sequence[Room] = ()
) -> dict[PoolUid, Allocation]:
    """What each pool should have. Only pools that may have workers are passed, oldest first."""
    first = gateway_pool([claim.pool for claim in claims])
    result, manual = {claim.pool.uid: Allocation(0) for claim in claims}, 0
    for claim in sorted(
        claims, key=lambda claim: claim.pool.spec.scaling != "Manual"
    ):  # which keeps the order
        pool = claim.pool
        is_manual = pool.spec.scaling == "Manual"
        if not is_manual and pool.uid != first:
            continue
        asked = pool.spec.replicas if is_manual else max(0, cluster.replicas - manual)
        shared = (Limit(claim.fits(room), room.name, room.shared) for room in rooms)
        result[pool.uid] = allocation = _capped(asked, min((*limits.of_pool(pool, policy), *shared)))
        # Who gets no more workers leaves the others all but those that it has.
        takes = min(allocation.replicas, len(claim.live)) if claim.refused else allocation.replicas
        rooms = [room.less(claim.takes(room, takes)) for room in rooms]
        if is_manual:
            manual += max(takes, len(claim.live))
    return result


def submit_budget(cluster: ClusterFacts, live: int) -> int:
    """How many workers may be added in all."""
    return max(0, cluster.replicas - live)


def _capped(count: int, limit: Limit) -> Allocation:
    if count <= limit.count:
        return Allocation(count)
    allowed = max(0, limit.count)
    sentence = f"{count} workers are asked for; {limit.name} allows {allowed}."
    return Allocation(allowed, sentence, count - allowed, limit.shared)
