"""How many workers a pool may have at the most: the smallest limit wins and is named.

Called by `desired`, for what is wanted, and by `pools.cluster` and `pools.complete`, for what may be
submitted. Some limits are a pool's own (`Limit`), others hold for all pools of a cluster together and count
cores, memory or GPUs too (`ClusterLimit`). What counts is worked out where it is seen: for what is wanted a
pool's `live` workers (of a predecessor and its successor one), for a submit all that are `there`, and those
`expected` that the queue does not show yet (`pool_state`); of pools that are gone what is left
(`pools.cluster.orphans`); of other clusters what their jobs request (`state.usage`). A limit for one user or
for the site counts workers of other clusters; when such a limit is lowered below what is there, the jobs that
were queued last are over it, whosever they are.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Final

from htcdask_operator.core.model import ClusterFacts, Job, Observed, PoolFacts, Usage
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.size import NOTHING, Kind, Size, of_worker, plus

NONE: Final = sys.maxsize
"""No limit."""
_OF_USER: Final = "the site's limit for one user"
_OF_ALL: Final = "the site's limit for all users"
_ASKED: Final = attrgetter("request_cores", "request_memory_mib", "request_gpus")
_COUNTED: Final = {
    Kind.WORKERS: "",
    Kind.CORES: " in cores",
    Kind.MEMORY: " in memory",
    Kind.GPUS: " in GPUs",
}


@dataclass(frozen=True, slots=True, order=True)
class Limit:
    """So many workers, and whose word that is: the subject of a sentence."""

    count: int
    name: str
    shared: bool = False  # with workers of others: more may come when they leave


@dataclass(frozen=True, slots=True)
class ClusterLimit:
    """So much of something for the pools of a cluster together, and whose word that is."""

    left: float
    kind: Kind
    name: str
    profile: str | None = None  # for pools of this profile alone
    shared: bool = False

    def concerns(self, profile: str | None) -> bool:
        """Whether pools of this profile need it."""
        return self.profile is None or self.profile == profile

    def fits(self, worker: Size) -> int:
        """How many such workers fit."""
        each = worker[self.kind]
        return max(0, int(self.left // each)) if each else NONE

    def less(self, taken: float) -> ClusterLimit:
        """What is left when so much is taken."""
        return replace(self, left=self.left - taken) if taken else self


@dataclass(frozen=True, slots=True)
class SubmitBudget:
    """What the pools of a cluster may still submit, one after the other."""

    workers: int = 0
    limits: tuple[ClusterLimit, ...] = ()

    def beyond(self, worker: Size, profile: str | None = None) -> int:
        """How many workers of a pool, whatever the scheduler counts."""
        return min((limit.fits(worker) for limit in self.limits if limit.concerns(profile)), default=NONE)

    def less(self, count: int, worker: Size, profile: str | None = None) -> SubmitBudget:
        """When one has taken so many."""
        found = (
            limit.less(count * worker[limit.kind]) if limit.concerns(profile) else limit
            for limit in self.limits
        )
        return SubmitBudget(self.workers - count, tuple(found))


def of_pool(pool: PoolFacts, policy: Policy) -> list[Limit]:
    """What this pool may have by itself."""
    return [
        Limit(pool.spec.max_replicas, "the pool's maxReplicas"),
        Limit(policy.max_replicas_per_pool, "the site's limit for one pool"),
    ]


def of_cluster(
    cluster: ClusterFacts,
    observed: Observed,
    own: Mapping[str | None, Sequence[Job]],
    policy: Policy,
) -> tuple[ClusterLimit, ...]:
    """What the pools of this cluster may have together; `own` are their live workers, by profile."""
    usage, live = observed.usage, [job for jobs in own.values() for job in jobs]
    found = [*of_gateway(cluster)]
    for caps, used, whose in (
        (policy.caps_per_user, usage.user, _OF_USER),
        (policy.caps, usage.everybody, _OF_ALL),
    ):
        for kind, cap in caps.items():
            found.append(
                ClusterLimit(
                    _ours(kind, cap, used, live),
                    kind,
                    f"{whose}{_COUNTED[kind]}",
                    shared=used.others[kind] > 0,
                )
            )
    for profile, most in policy.profile_caps.items():
        if profile in own:
            used = usage.profiles.get(profile, Usage())
            left = _ours(Kind.WORKERS, most, used, own[profile])
            found.append(
                ClusterLimit(
                    left,
                    Kind.WORKERS,
                    f"the limit of profile {profile}",
                    profile,
                    shared=used.others[Kind.WORKERS] > 0,
                )
            )
    return tuple(found)


def of_gateway(cluster: ClusterFacts) -> list[ClusterLimit]:
    """The gateway's limits for one cluster, less its scheduler."""
    found, config = [], cluster.config
    workers, cores = max_workers(cluster), _number(config.get("cluster_max_cores"))
    memory = _number(config.get("cluster_max_memory"))
    if workers is not None:
        found.append(ClusterLimit(workers, Kind.WORKERS, "the gateway's cluster_max_workers"))
    if cores is not None:
        left = cores - (_number(config.get("scheduler_cores")) or 0)
        found.append(ClusterLimit(left, Kind.CORES, "the gateway's cluster_max_cores"))
    if memory is not None:
        left = memory - (_number(config.get("scheduler_memory")) or 0)
        found.append(ClusterLimit(left / 2**20, Kind.MEMORY, "the gateway's cluster_max_memory"))
    return found


def largest_worker(cluster: ClusterFacts, policy: Policy) -> Iterable[ClusterLimit]:
    """What may be the memory of one worker, if it is the only one."""
    found = [limit for limit in of_gateway(cluster) if limit.kind is Kind.MEMORY]
    for caps, whose in ((policy.caps_per_user, _OF_USER), (policy.caps, _OF_ALL)):
        if Kind.MEMORY in caps:
            found.append(ClusterLimit(caps[Kind.MEMORY], Kind.MEMORY, f"{whose}{_COUNTED[Kind.MEMORY]}"))
    return found


def max_workers(cluster: ClusterFacts) -> int | None:
    """The gateway's own limit for the number of workers of this cluster."""
    workers = _number(cluster.config.get("cluster_max_workers"))
    return None if workers is None else int(workers)


def requested(jobs: Iterable[Job], kinds: Collection[Kind] = tuple(Kind)) -> Size:
    """What these jobs request together, of these kinds at the least."""
    if not set(kinds) - {Kind.WORKERS}:
        return Size(sum(1 for _ in jobs))
    return total(sizes(jobs))


def total(sizes: Mapping[Size, int]) -> Size:
    """What so many of each size request together."""
    found = NOTHING
    for size, count in sizes.items():
        found = plus(found, size, count)
    return found


def sizes(jobs: Iterable[Job]) -> Mapping[Size, int]:
    """How many there are of each size; of ten thousand jobs nearly all are alike."""
    alike = Counter(map(_ASKED, jobs))
    found = Counter[Size]()
    for asked, count in alike.items():
        found[of_worker(*asked)] += count
    return found


def _ours(kind: Kind, cap: float, usage: Usage, own: Sequence[Job]) -> float:
    """Our part of a limit, after the others': what is free, or what of ours was there first."""
    first_over = usage.exceeded.get(kind)
    if first_over is None or usage.others[kind] + requested(own, (kind,))[kind] <= cap:
        return cap - usage.others[kind]
    return requested((job for job in own if job.place < first_over), (kind,))[kind]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) < 1e18 else None  # infinite is no limit
