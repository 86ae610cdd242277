"""All pools of a cluster, seen before anything is decided about one of them.

Called by `plan`: what each pool's jobs are, what the pools share among them, which names are taken. A pool at
which this fails by a mistake of ours is marked, and counts with the workers that it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import ValidationError

from htcdask_operator.core import mistake, size
from htcdask_operator.core.actions import Action, Remove
from htcdask_operator.core.checks import chains
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import (
    ClusterFacts,
    Gone,
    Job,
    Observed,
    PoolFacts,
    PoolUid,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.pool_state import Finding, Sight
from htcdask_operator.core.pools import memory_request
from htcdask_operator.core.scaling import desired, limits, scale_scheduler, stabilization
from htcdask_operator.core.scaling.desired import Allocation, Request
from htcdask_operator.core.scaling.limits import ClusterLimit, SubmitBudget
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.size import Kind, Size
from htcdask_operator.core.submit import template
from htcdask_operator.core.workers import ledger, machines, states, succession


def seen(
    pools: Sequence[PoolFacts], observed: Observed, memory: ClusterMemory, policy: Policy, now: float
) -> list[Sight]:
    """The pools, oldest first, with their jobs."""
    jobs: dict[PoolUid, list[Job]] = {pool.uid: [] for pool in pools}
    for job in () if isinstance(observed.jobs, Unseen) else observed.jobs:
        if job.pool_uid in jobs:
            jobs[job.pool_uid].append(job)
    gateway_pool = desired.gateway_pool([pool for pool in pools if pool.invalid is None])
    sights = []
    for pool in sorted(pools, key=desired.by_age):
        sight = Sight(
            pool=pool,
            observed=observed,
            memory=memory,
            policy=policy,
            now=now,
            gateway_pool=gateway_pool,
            template=pool.spec.template,
            jobs=tuple(jobs[pool.uid]),
        )
        try:
            sights.append(_doubting(_judged(sight)))
        except Exception as error:
            # Whatever it is, the other pools go on, and this one can still end.
            over = _over(sight)
            sights.append(replace(sight, over=over, mistake=mistake.of(error)))
    return sights


def with_avoided(sights: Sequence[Sight], memory: ClusterMemory, policy: Policy, now: float) -> ClusterMemory:
    """With the machines that eat workers, by what the pools have seen."""
    failures = [ledger.known(sight.remembered.ledger, sight.pool.status).failures for sight in sights]
    if not any(failures) and not memory.avoided:
        return memory
    seen_by = [
        machines.Seen(its, machines.useful(sight.workers, policy, now))
        for sight, its in zip(sights, failures, strict=True)
    ]
    return replace(memory, avoided=machines.avoided(memory.avoided, seen_by, now))


def _judged(sight: Sight) -> Sight:
    """With what its jobs are."""
    pool, worker = sight.pool, sight.template
    try:
        worker = template.resolve(pool, sight.cluster, sight.policy)
    except ValueError as error:
        pool = replace(pool, invalid=f"with the site's defaults it breaks a rule: {_rule(error)}")
    dropped = sight.memory.contact.dropped
    workers = states.judged(sight.jobs, sight.observed, dropped, sight.policy, sight.now)
    if worker.max_runtime_seconds is not None:
        workers = succession.judged(workers, sight.now)
    sight = replace(sight, pool=pool, template=worker, workers=workers, over=chains.cluster_is_over(sight))
    sight = memory_request.with_memory(sight)
    return replace(sight, refused=chains.first(chains.SPEC, sight), made_from=sight.current_hash)


def _rule(error: ValueError) -> str:
    """Which one, without the values: the environment may be among them."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join((*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")))


def _over(sight: Sight) -> Finding | None:
    try:
        return chains.cluster_is_over(sight)
    except Exception:
        return None


def _doubting(sight: Sight) -> Sight:
    """After HTCondor failed for a pool, nobody knows what it has done of what was asked."""
    if sight.waits is None or not sight.waits.condor:
        return sight
    return replace(sight, observed=replace(sight.observed, jobs=Unseen(sight.waits.why)))


def blame(sights: Sequence[Sight], observed: Observed, policy: Policy, error: Exception) -> list[Sight]:
    """Mark the pools with which alone what all share fails; every pool if it fails with all of them only."""
    marked = [_blamed(sight, observed, policy) for sight in sights]
    try:
        allocations(marked, observed, policy)
        submit_budget(marked, observed, policy)
    except Exception:
        return [replace(sight, mistake=mistake.of(error)) for sight in sights]
    return marked


def _blamed(sight: Sight, observed: Observed, policy: Policy) -> Sight:
    try:
        allocations([sight], observed, policy)
        submit_budget([sight], observed, policy)
    except Exception as error:
        return replace(sight, mistake=mistake.of(error))
    return sight


def demand(observed: Observed, memory: ClusterMemory, now: float) -> Demand | None:
    """N, as it is acted on."""
    if not isinstance(observed.cluster, ClusterFacts):
        return memory.demand
    return stabilization.follow(memory.demand, observed.cluster.replicas, now)


def asked_for(observed: Observed, demand: Demand | None) -> Observed:
    """What is seen, as if the scheduler asked for what is acted on."""
    cluster = observed.cluster
    if demand is None or not isinstance(cluster, ClusterFacts) or cluster.replicas == demand.acted_on:
        return observed
    return replace(observed, cluster=replace(cluster, replicas=demand.acted_on))


def allocations(sights: Sequence[Sight], observed: Observed, policy: Policy) -> dict[PoolUid, Allocation]:
    """How many workers each pool should have; nothing for a pool of which that cannot be said."""
    if isinstance(observed.cluster, Gone):
        return {sight.uid: Allocation(0) for sight in sights}
    if isinstance(observed.cluster, Unseen):
        return {}
    own = {sight.uid: sight.live for sight in sights}
    understood = [sight for sight in sights if sight.understood]
    if not observed.cluster.htcondor:
        return {sight.uid: Allocation(0) for sight in understood}
    cluster_limits = _cluster_limits(sights, own, observed.cluster, observed, policy)
    # What a pool has that cannot be planned, the others do not get.
    alone = [sight for sight in sights if sight.settled and sight.mistake is not None]
    for sight in alone:
        cluster_limits = _without(cluster_limits, sight, own[sight.uid])
    left = max(0, observed.cluster.replicas - (kept(sights) or 0))
    last = sights[0].memory.last_scale if sights else None
    own_number = scale_scheduler.own_number(last, observed.cluster)
    cluster = replace(observed.cluster, replicas=min(left, own_number))
    requests = [_request(sight, own[sight.uid], cluster_limits) for sight in understood]
    return desired.allocations(requests, cluster, policy, cluster_limits)


def _request(sight: Sight, live: Sequence[Job], cluster_limits: Sequence[ClusterLimit]) -> Request:
    worker = sight.worker
    refused = sight.refused is not None
    unasked = all(limit.kind is Kind.WORKERS for limit in cluster_limits)  # how large they are
    if unasked or sight.sizes(live).keys() <= {worker}:
        return Request(sight.pool, worker, sight.template.profile, [worker] * len(live), refused)
    return Request(sight.pool, worker, sight.template.profile, [job.size for job in live], refused, False)


def submit_budget(sights: Sequence[Sight], observed: Observed, policy: Policy) -> SubmitBudget:
    """How many workers the cluster may get in all: some pools may have more than their part, for now."""
    if not isinstance(observed.cluster, ClusterFacts):
        return SubmitBudget()
    own = {sight.uid: sight.there for sight in sights}
    cluster_limits = _cluster_limits(sights, own, observed.cluster, observed, policy)
    there = len(orphans(observed))
    for sight in sights:
        there += len(sight.live) + sight.expected
        cluster_limits = _without(cluster_limits, sight, own[sight.uid])
    return SubmitBudget(desired.submit_budget(observed.cluster, there), cluster_limits)


def _cluster_limits(
    sights: Sequence[Sight],
    own: Mapping[PoolUid, Sequence[Job]],
    cluster: ClusterFacts,
    observed: Observed,
    policy: Policy,
) -> tuple[ClusterLimit, ...]:
    """What the pools of this cluster share, less what is left of its pools that are gone."""
    by_profile: dict[str | None, list[Job]] = {}
    for sight in sights:
        by_profile.setdefault(sight.template.profile, []).extend(own[sight.uid])
    cluster_limits = limits.of_cluster(cluster, observed, by_profile, policy)
    gone = limits.requested(orphans(observed))
    return tuple(limit if limit.shared else limit.less(gone[limit.kind]) for limit in cluster_limits)


def _without(
    cluster_limits: Sequence[ClusterLimit], sight: Sight, live: Sequence[Job]
) -> tuple[ClusterLimit, ...]:
    """What a pool's workers leave, with those that no answer has shown yet."""
    unasked = all(limit.kind is Kind.WORKERS for limit in cluster_limits)  # how large they are
    taken = Size(len(live)) if unasked else limits.total(sight.sizes(live))
    taken = size.plus(taken, sight.worker, sight.expected)
    profile = sight.template.profile
    return tuple(
        limit.less(taken[limit.kind]) if limit.concerns(profile) else limit for limit in cluster_limits
    )


def orphans(observed: Observed) -> list[Job]:
    """Live workers of this cluster whose pool is gone: the scheduler counts them until they are swept."""
    if not isinstance(observed.cluster, ClusterFacts):
        return []
    uid = observed.cluster.uid
    return [job for job in observed.orphans if job.cluster_uid == uid and states.counts_as_live(job)]


def kept(sights: Sequence[Sight]) -> int | None:
    """The live workers of pools that cannot be planned: they stay as they are. None: no such pool."""
    left_alone = [len(sight.live) for sight in sights if sight.settled and sight.mistake is not None]
    return sum(left_alone) if left_alone else None


def wants_fewer(sights: Sequence[Sight], observed: Observed) -> bool:
    """Whether the scheduler asks, or has asked meanwhile, for fewer workers than there are.

    It then lets some go, of whichever pool.
    """
    if not isinstance(observed.cluster, ClusterFacts):
        return False
    asked = (observed.cluster.replicas, observed.least_asked)
    there = len(orphans(observed)) + sum(len(sight.live) for sight in sights)
    return min(each for each in asked if each is not None) < there


def all_there(sights: Sequence[Sight], allocations: Mapping[PoolUid, Allocation]) -> bool:
    """Whether no pool lacks a worker: those come before anybody's successor."""
    known = [sight for sight in sights if sight.uid in allocations and sight.refused is None]
    return all(allocations[each.uid].replicas <= len(each.live) + each.expected for each in known)


def unasked(sights: Sequence[Sight], allocations: Mapping[PoolUid, Allocation], seen: Observed) -> int:
    """How many workers the pools should have beyond what is asked for; those that get none keep theirs."""
    asked = seen.cluster.replicas if isinstance(seen.cluster, ClusterFacts) else limits.NONE
    known = [sight for sight in sights if sight.uid in allocations]
    wanted = [len(its.live) if its.refused else allocations[its.uid].replicas for its in known]
    return max(0, sum(wanted) - asked)


def scheduler_retires(observed: Observed) -> bool:
    """Whether the scheduler has more workers than it wants, and so retires some by itself."""
    if not isinstance(observed.cluster, ClusterFacts) or not isinstance(observed.connected, frozenset):
        return True  # who can tell
    return len(observed.connected) + observed.strangers > observed.cluster.replicas


def leaving(sights: Sequence[Sight], observed: Observed, actions: Sequence[Action]) -> frozenset[WorkerName]:
    """Connected workers whose jobs are removed, by these actions or before: the scheduler will lose them."""
    connected = observed.connected if isinstance(observed.connected, frozenset) else frozenset()
    removed = {job for action in actions if isinstance(action, Remove) for job in action.jobs}
    return connected.intersection(
        worker.job.worker
        for sight in sights
        for worker in sight.workers
        if worker.state is states.State.REMOVED or worker.job.id in removed
    )


def names_taken(sights: Sequence[Sight], observed: Observed, memory: ClusterMemory) -> set[WorkerName]:
    """Names that no new worker may get."""
    taken: set[WorkerName] = {*memory.logs, *memory.contact.missing}
    if isinstance(observed.connected, frozenset):
        taken |= observed.connected
    for sight in sights:
        taken.update(sight.remembered.logs.names)
        taken.update(job.worker for job in sight.jobs)
        taken.update(failure.worker for failure in sight.pool.status.recent_failures)
    return taken
