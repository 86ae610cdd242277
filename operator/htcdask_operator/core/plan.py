"""The table of contents of the core: from what is seen of one cluster's pools to what to do about it.

Called by `reconcile` with all pools of one cluster, after `observe` and before `perform`. Pure and total: no
clock, no I/O, no exception. After its actions have taken effect, planning again yields none. Where the
queue is `Unseen` no job is touched, where the cluster is, none but a deleted pool's; where the scheduler is,
no worker is submitted. An exception about one pool is that pool's status; the others go on.

    pools/      cluster (all of them, seen), active (the middle of a pool's life), finalize (its end)
    checks/     what keeps workers away                 status/     what people are told
    scaling/    how many, and who goes                  submit/     what is submitted
    workers/    what each job is, and what became of those that ended

What is remembered from plan to plan is in `memory`; why, in words that people see, in `reasons`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_api import PoolStatus
from htcdask_operator.core import memory as memories
from htcdask_operator.core import mistake, setback
from htcdask_operator.core.actions import (
    Action,
    Analyze,
    CreatePool,
    ReadLogs,
    RemoveFinalizer,
    ScaleScheduler,
    SubmitAnchor,
    SubmitWorkers,
    WriteLogs,
    pool_of,
)
from htcdask_operator.core.memory import ClusterMemory, PoolMemory
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import ClusterFacts, Observed, PoolFacts, PoolUid, Unseen, WorkerName
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.pool_state import Sight
from htcdask_operator.core.pools import active, cluster, complete, finalize
from htcdask_operator.core.pools.decision import Decision
from htcdask_operator.core.pools.step import Step
from htcdask_operator.core.scaling import default_pool, scale_scheduler, stabilization
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.limits import SubmitBudget
from htcdask_operator.core.scaling.scale_scheduler import Verdict
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.status import summary
from htcdask_operator.core.workers import machines
from htcdask_operator.core.workers.machines import Vote

MISTAKE_SECONDS: Final = 30.0
"""How often it is tried whether a pool can be planned that could not be, by a mistake of ours."""
ORPHAN_SECONDS: Final = 2.0
"""How often it is looked whether workers of pools that are gone have left, and made room."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, what to publish then, and when to look again if nothing happens before."""

    actions: tuple[Action, ...] = ()
    statuses: Mapping[PoolUid, PoolStatus] = field(default_factory=dict)
    memory: ClusterMemory = field(default_factory=ClusterMemory)
    wake_at: float | None = None
    ask_first: bool = False  # nothing of this before the queue was asked once more, if it was not just now
    vote: Vote | None = None  # what is avoided, for the other clusters; None: as it was
    mistakes: tuple[str, ...] = ()  # of the operator, for its log; each left the other pools alone


@dataclass(slots=True)
class Common:
    """What the pools of a cluster have in common."""

    allocations: Mapping[PoolUid, Allocation] = field(default_factory=dict)
    submit_budget: SubmitBudget = field(default_factory=SubmitBudget)
    taken: set[WorkerName] = field(default_factory=set)
    scheduler_retires: bool = True
    wants_fewer: bool = False
    all_there: bool = False  # no pool lacks a worker
    unasked: int = 0  # workers that the pools should have, beyond what the scheduler asks for


def plan(
    pools: Sequence[PoolFacts], observed: Observed, memory: ClusterMemory, policy: Policy, now: float
) -> Plan:
    """What to do for these pools, all of one cluster, now."""
    memory = replace(memories.answered(memory, pools, observed, now), ended=memory.ended.after(pools))
    if not pools:
        missing = default_pool.missing(observed, memory.last_scale, policy)
        return Plan(() if missing is None else (missing,), memory=replace(memory, pools={}))
    sights = cluster.seen(pools, observed, memory, policy, now)
    if (knowing := cluster.with_avoided(sights, memory, policy, now)) is not memory:
        memory = knowing
        sights = [replace(sight, memory=memory) for sight in sights]
    demand = cluster.demand(observed, memory, now)
    sights, common = _common(sights, observed, cluster.asked_for(observed, demand), memory, policy)
    followed = {
        uid: stabilization.follow(memory.of(uid).demand, allocation.replicas, now)
        for uid, allocation in common.allocations.items()
    }
    decisions: dict[PoolUid, Decision] = {}
    for sight in sights:  # the oldest first: it is served first
        decisions[sight.uid] = decision = _decide(sight, common, followed)
        for action in decision.actions:
            if isinstance(action, SubmitWorkers):
                count, profile = len(action.names), sight.template.profile
                common.submit_budget = common.submit_budget.less(count, sight.worker, profile)
                common.taken.update(action.names)
    sights = [_with_mistake(sight, decisions[sight.uid].mistake) for sight in sights]
    actions = [action for decision in decisions.values() for action in decision.actions]
    stands = _stands_since(sights, demand, followed, now)
    verdict, failed = _scale_scheduler(sights, decisions, common.allocations, observed, stands, now)
    if verdict.action is not None:
        actions.append(verdict.action)
    wake: list[float | None] = [decision.recheck_at for decision in decisions.values()]
    wake += [setback.wake_at(sight.waits, now) for sight in sights if sight.waits is not None]
    if cluster.orphans(observed):
        wake.append(now + ORPHAN_SECONDS)  # nobody wakes us when they have left
    wake += [heard.recheck_at for heard in (demand, *followed.values()) if heard is not None]
    statuses = {uid: decision.status for uid, decision in decisions.items()}
    remembered = {uid: _remembered(uid, decision, followed) for uid, decision in decisions.items()}
    return Plan(
        actions=tuple(sorted(actions, key=_turns(sights, memory))),
        statuses=statuses,
        wake_at=min((at for at in (*wake, verdict.wake) if at is not None and at > now), default=None),
        ask_first=any(decision.ask_first for decision in decisions.values()),
        vote=machines.vote(observed.cluster, memory.avoided),
        mistakes=_mistakes(sights, failed),
        memory=replace(
            memory, demand=demand, logs=memories.wanted_logs(memory, statuses, now), pools=remembered
        ),
    )


def _with_mistake(sight: Sight, found: Mistake | None) -> Sight:
    return sight if found is None else replace(sight, mistake=found)


def _remembered(uid: PoolUid, decision: Decision, followed: Mapping[PoolUid, Demand]) -> PoolMemory:
    return replace(decision.memory, demand=followed.get(uid, decision.memory.demand))


def _common(
    sights: list[Sight], observed: Observed, asked: Observed, memory: ClusterMemory, policy: Policy
) -> tuple[list[Sight], Common]:
    """What the pools share; one that breaks this is left out of it. `asked`: with the N that is acted on."""
    try:
        return sights, _shared(sights, observed, asked, memory, policy)
    except Exception as error:
        sights = cluster.blame(sights, observed, policy, error)
    try:
        return sights, _shared(sights, observed, asked, memory, policy)
    except Exception:
        return sights, Common()


def _shared(
    sights: Sequence[Sight], observed: Observed, asked: Observed, memory: ClusterMemory, policy: Policy
) -> Common:
    allocations = cluster.allocations(sights, asked, policy)
    fewest = _fewer(observed, asked)
    return Common(
        allocations,
        cluster.submit_budget(sights, fewest, policy),
        cluster.names_taken(sights, observed, memory),
        cluster.scheduler_retires(observed),
        cluster.wants_fewer(sights, observed),
        cluster.all_there(sights, allocations),
        cluster.unasked(sights, allocations, fewest),
    )


def _fewer(one: Observed, other: Observed) -> Observed:
    """That of the two in which the scheduler asks for fewer workers."""
    if not isinstance(one.cluster, ClusterFacts) or not isinstance(other.cluster, ClusterFacts):
        return one
    return other if other.cluster.replicas < one.cluster.replicas else one


def _decide(sight: Sight, common: Common, followed: Mapping[PoolUid, Demand]) -> Decision:
    """What to do about one pool; a mistake of ours about it is no other pool's."""
    try:
        if sight.ends or sight.mistake is None:
            allocation = Allocation(0) if sight.ends else common.allocations.get(sight.uid)
            if allocation is not None and not sight.ends:
                replicas = stabilization.between(followed[sight.uid], len(sight.live))
                allocation = replace(allocation, replicas=replicas)
            state = complete.state_of(
                sight,
                allocation,
                common.submit_budget,
                common.taken,
                scheduler_retires=common.scheduler_retires,
                wants_fewer=common.wants_fewer,
                all_there=common.all_there,
                unasked=common.unasked,
            )
            if sight.pool.deleting:
                return finalize.of_pool(state)
            return finalize.of_cluster(state) if sight.ends else active.decide(state)
        found = sight.mistake
    except Exception as error:
        found = mistake.of(error)
    end = _end(sight)
    status = summary.mistaken(sight, found)
    recheck_at = min(end.recheck_at or math.inf, sight.now + MISTAKE_SECONDS)
    return Decision(end.actions, status, sight.remembered, recheck_at, mistake=found)


def _end(sight: Sight) -> Step:
    """The end, where nothing else about the pool could be decided."""
    if not sight.ends:
        return Step()
    try:
        return finalize.end(sight)
    except Exception:
        return Step(finalize.remove_finalizer(sight))


def _turns(sights: Sequence[Sight], memory: ClusterMemory) -> Callable[[Action], tuple[int, ...]]:
    """Who comes first: ends before the rest, submits after what makes room, and courtesies last of all.

    A pool of which an action failed before comes after the others, as it may make them wait.
    """
    ending = {sight.uid for sight in sights if sight.ends}
    failed = memory.setbacks.keys()

    def turn(action: Action) -> tuple[int, ...]:
        pool = pool_of(action)
        match action:
            case RemoveFinalizer():
                return (0,)
            case Analyze() | ReadLogs() | WriteLogs():
                return (3,)
            case SubmitAnchor() | SubmitWorkers():
                place = 2
            case ScaleScheduler() | CreatePool():
                place = 3
            case _:
                place = 0 if pool in ending else 1
        return (2 if pool in failed else 1, place)

    return turn


def _stands_since(
    sights: Sequence[Sight], demand: Demand | None, followed: Mapping[PoolUid, Demand], now: float
) -> float:
    """Since when neither the scheduler's number nor a Manual pool's has changed."""
    manual = {sight.uid for sight in sights if sight.pool.spec.scaling == "Manual"}
    its = [heard.since for uid, heard in followed.items() if uid in manual]
    return max((now if demand is None else demand.since, *its))


def _scale_scheduler(
    sights: Sequence[Sight],
    decisions: Mapping[PoolUid, Decision],
    allocations: Mapping[PoolUid, Allocation],
    observed: Observed,
    stands: float,
    now: float,
) -> tuple[Verdict, Mistake | None]:
    """What the scheduler has to hear; a pool that cannot have workers asks for none."""
    if not isinstance(observed.cluster, ClusterFacts) or isinstance(observed.jobs, Unseen) or not sights:
        return Verdict(), None
    memory = sights[0].memory
    sound = [
        sight.pool
        for sight in sights
        if sight.understood and decisions[sight.uid].sound and sight.uid in allocations
    ]
    manual = [sight for sight in sights if sight.pool.spec.scaling == "Manual"]
    actions = [action for decision in decisions.values() for action in decision.actions]
    try:
        return scale_scheduler.decide(
            sound,
            allocations,
            observed.cluster,
            memory.last_scale,
            stands,
            cluster.leaving(sights, observed, actions),
            now,
            cluster.kept(sights),
            any(sight.live for sight in manual if sight.pool not in sound),
        ), None
    except Exception as error:
        return Verdict(), mistake.of(error)


def _mistakes(sights: Sequence[Sight], failed: Mistake | None) -> tuple[str, ...]:
    """For the operator's log."""
    told = [] if failed is None else [f"What the scheduler has to be told cannot be planned: {failed}"]
    for sight in sights:
        if sight.mistake is not None:
            told.append(f"Pool {sight.pool.name} cannot be planned: {sight.mistake}")
    return tuple(told)
