"""The table of contents of the core: from what is seen of one cluster's pools to what to do about it.

Called by `reconcile` with all pools of one cluster, after `observe` and before `perform`. Pure and total: no
clock, no I/O, no exception. After its actions have taken effect, planning again yields none. `Unseen` never
leads to a submit or a remove. An exception about one pool is that pool's status; the others go on.

    fallback    a pool where there is none                look         at all pools before any is decided
    life        the middle of a pool's life               ending       its end, or its cluster's

    triage      what each job is                          checks       what keeps workers away
    failures    what ended, counted once                  backoff      when the next may come
    steady      which N is acted on                       limits       the most a pool may have
    desired     how many each pool should have            telling      what the scheduler has to be told
    scaledown   who goes                                  drain        and who had time enough
    anchor      the job that keeps the files              submission   what is submitted
    setback     a pool of which an action failed          mistake      a pool at which we failed
    explain, summary                                      what is published
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_operator.core import mistake, setback
from htcdask_operator.core.actions import (
    Action,
    CreatePool,
    Plan,
    ReadLogs,
    RemoveFinalizer,
    ScaleScheduler,
    SubmitAnchor,
    SubmitWorkers,
    pool_of,
)
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import (
    ClusterFacts,
    Observed,
    Policy,
    PoolFacts,
    PoolUid,
    Remembered,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.pools import active, cluster, finalize
from htcdask_operator.core.pools.cluster import Pool
from htcdask_operator.core.pools.decision import Decision
from htcdask_operator.core.scaling import default_pool, desired, scale_scheduler, stabilization
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.scale_scheduler import Verdict
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.status import summary

ORPHAN_SECONDS: Final = 2.0
"""How often it is looked whether workers of pools that are gone have left, and made room."""


@dataclass(slots=True)
class Common:
    """What the pools of a cluster have in common."""

    shares: Mapping[PoolUid, Allocation] = field(default_factory=dict)
    room: int = 0
    taken: set[WorkerName] = field(default_factory=set)
    scheduler_retires: bool = True


def plan(pools: Sequence[PoolFacts], observed: Observed, policy: Policy, now: float) -> Plan:
    """What to do for these pools, all of one cluster, now."""
    if not pools:
        missing = default_pool.missing(observed, policy)
        return Plan((missing,) if missing is not None else ())
    looked = cluster.judged(sorted(pools, key=desired.by_age), observed, policy, now)
    wanted = cluster.demand(observed, now)
    looked, common = _common(looked, observed, cluster.asked_for(observed, wanted), policy)
    followed = {
        uid: stabilization.follow(observed.remembered.shares.get(uid), share.desired, now)
        for uid, share in common.shares.items()
    }
    decisions: dict[PoolUid, Decision] = {}
    for pool in looked:  # the oldest first: it is served first
        decisions[pool.uid] = decision = _decide(pool, common, followed, observed)
        common.room -= decision.submitted
    actions = [action for decision in decisions.values() for action in decision.actions]
    told, failed = _tell(looked, decisions, common.shares, observed, now)
    if told.action is not None:
        actions.append(told.action)
    wake: list[float | None] = [at for decision in decisions.values() for at in decision.wake]
    wake += [setback.wake_at(pool.waits, now) for pool in looked if pool.waits is not None]
    if cluster.orphans(observed):
        wake.append(now + ORPHAN_SECONDS)  # nobody wakes us when they have left
    wake += [heard.recheck_at for heard in (wanted, *followed.values()) if heard is not None]
    return Plan(
        actions=tuple(sorted(actions, key=_turns(looked, observed))),
        statuses={uid: decision.status for uid, decision in decisions.items()},
        wake_at=min((at for at in (*wake, told.wake) if at is not None and at > now), default=None),
        mistakes=_mistakes(looked, decisions, failed),
        remembered=Remembered(
            wanted,
            {
                uid: heard
                for uid, heard in {**observed.remembered.shares, **followed}.items()
                if uid in decisions
            },
            {uid: decision.standing for uid, decision in decisions.items() if decision.standing},
        ),
    )


def _common(
    looked: list[Pool], observed: Observed, asked: Observed, policy: Policy
) -> tuple[list[Pool], Common]:
    """What the pools share; one that breaks this is left out of it. `asked`: with the N that is acted on."""
    try:
        return looked, _shared(looked, observed, asked, policy)
    except Exception as error:
        looked = cluster.blame(looked, observed, policy, error)
    try:
        return looked, _shared(looked, observed, asked, policy)
    except Exception:
        return looked, Common()


def _shared(looked: Sequence[Pool], observed: Observed, asked: Observed, policy: Policy) -> Common:
    return Common(
        cluster.allocations(looked, asked, policy),
        min(cluster.submit_budget(looked, seen, policy) for seen in (observed, asked)),
        cluster.names_seen(looked, observed),
        cluster.scheduler_retires(observed),
    )


def _decide(pool: Pool, common: Common, followed: Mapping[PoolUid, Demand], observed: Observed) -> Decision:
    """What to do about one pool; a mistake of ours about it is no other pool's."""
    try:
        if pool.case.pool.deleting:
            return finalize.of_pool(pool)
        if pool.over is not None:
            return finalize.of_cluster(pool)
        if pool.mistake is None:
            share = common.shares.get(pool.uid)
            if share is not None:
                share = replace(share, desired=stabilization.between(followed[pool.uid], len(pool.live)))
            return active.decide(
                pool, share, common.room, common.taken, scheduler_knows=common.scheduler_retires
            )
        found = pool.mistake
    except Exception as error:
        found = mistake.of(error)
    actions, wake = _end(pool)
    standing = observed.remembered.standing.get(pool.uid, ())
    status = summary.mistaken(pool.case, found)
    return Decision(actions, status, wake=wake, standing=standing, mistake=found)


def _end(pool: Pool) -> tuple[tuple[Action, ...], tuple[float, ...]]:
    """The end, where nothing else about the pool could be decided."""
    if not pool.ends:
        return (), ()
    try:
        return finalize.deeds(pool)
    except Exception:
        return finalize.release(pool), ()


def _turns(looked: Sequence[Pool], observed: Observed) -> Callable[[Action], tuple[int, ...]]:
    """Who comes first: ends before the rest, submits after what makes room, and courtesies last of all.

    A pool of which an action failed before comes after the others, as it may make them wait.
    """
    ending = {pool.uid for pool in looked if pool.ends}

    def turn(action: Action) -> tuple[int, ...]:
        pool = pool_of(action)
        match action:
            case RemoveFinalizer():
                return (0,)
            case ReadLogs():
                return (3,)
            case SubmitAnchor() | SubmitWorkers():
                place = 2
            case ScaleScheduler() | CreatePool():
                place = 3
            case _:
                place = 0 if pool in ending else 1
        return (2 if pool in observed.setbacks else 1, place)

    return turn


def _tell(
    looked: Sequence[Pool],
    decisions: Mapping[PoolUid, Decision],
    shares: Mapping[PoolUid, Allocation],
    observed: Observed,
    now: float,
) -> tuple[Verdict, Mistake | None]:
    """What the scheduler has to hear; a pool that cannot have workers asks for none."""
    if not isinstance(observed.cluster, ClusterFacts) or isinstance(observed.jobs, Unseen):
        return Verdict(), None
    planned = [pool for pool in looked if pool.understood and pool.spec is None and pool.uid in shares]
    actions = [action for decision in decisions.values() for action in decision.actions]
    try:
        leaving = cluster.leaving(looked, observed, actions)
        return scale_scheduler.decide(
            [pool.case.pool for pool in planned],
            shares,
            observed.cluster,
            observed.told,
            observed.wanted_since,
            leaving,
            now,
            cluster.kept(looked),
        ), None
    except Exception as error:
        return Verdict(), mistake.of(error)


def _mistakes(
    looked: Sequence[Pool], decisions: Mapping[PoolUid, Decision], failed: Mistake | None
) -> tuple[str, ...]:
    """For the operator's log."""
    told = [] if failed is None else [f"What the scheduler has to be told cannot be planned: {failed}"]
    for pool in looked:
        found = decisions[pool.uid].mistake or pool.mistake
        if found is not None:
            told.append(f"Pool {pool.case.pool.name} cannot be planned: {found}")
    return tuple(told)
