"""The table of contents of the core: from what is seen of one cluster's pools to what to do about it.

Called by `reconcile` with all pools of one cluster, after `observe` and before `perform`. Pure and total: no
clock, no I/O, no exception. After its actions have taken effect, planning again yields none. `Unseen` never
leads to a submit or a remove.

    fallback    a pool where there is none                look         at all pools before any is decided
    life        the middle of a pool's life               ending       its end, or its cluster's

    triage      what each job is                          checks       what keeps workers away
    failures    what ended, counted once                  backoff      when the next may come
    steady      which N is acted on                       limits       the most a pool may have
    desired     how many each pool should have            telling      what the scheduler has to be told
    scaledown   who goes                                  drain        and who had time enough
    anchor      the job that keeps the files              submission   what is submitted
    explain, summary                                      what is published
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from htcdask_operator.core import desired, ending, fallback, look
from htcdask_operator.core.actions import Action, Plan
from htcdask_operator.core.decision import Decision
from htcdask_operator.core.desired import Share
from htcdask_operator.core.life import life
from htcdask_operator.core.look import Pool
from htcdask_operator.core.model import (
    ClusterFacts,
    Observed,
    Policy,
    PoolFacts,
    PoolUid,
    Remembered,
    Unseen,
)
from htcdask_operator.core.telling import Telling, telling

STRAY_SECONDS: Final = 2.0
"""How often it is looked whether workers of pools that are gone have left, and made room."""


def plan(pools: Sequence[PoolFacts], observed: Observed, policy: Policy, now: float) -> Plan:
    """What to do for these pools, all of one cluster, now."""
    if not pools:
        missing = fallback.pool(observed, policy)
        return Plan((missing,) if missing is not None else ())
    looked = look.look(sorted(pools, key=desired.by_age), observed, policy, now)
    wanted = look.wanted(observed, now)
    shares = look.shares(looked, look.asked_for(observed, wanted), policy)
    room = min(look.room(looked, seen, policy) for seen in (observed, look.asked_for(observed, wanted)))
    taken = look.names_seen(looked, observed)
    knows = look.scheduler_retires(observed)
    decisions: dict[PoolUid, Decision] = {}
    for pool in looked:  # the oldest first: it is served first
        if pool.case.pool.deleting:
            decision = ending.of_pool(pool)
        elif pool.over is not None:
            decision = ending.of_cluster(pool)
        else:
            decision = life(pool, shares.get(pool.uid), room, taken, scheduler_knows=knows)
        room -= decision.submitted
        decisions[pool.uid] = decision
    actions = [action for decision in decisions.values() for action in decision.actions]
    wake: list[float | None] = [at for decision in decisions.values() for at in decision.wake]
    told = _tell(looked, shares, observed, actions, now)
    if look.strays(observed):
        wake.append(now + STRAY_SECONDS)  # nobody wakes us when they have left
    if wanted is not None:
        wake.append(wanted.recheck_at)
    return Plan(
        actions=(*actions, *([told.action] if told.action is not None else [])),
        statuses={uid: decision.status for uid, decision in decisions.items()},
        wake_at=min((at for at in (*wake, told.wake) if at is not None and at > now), default=None),
        remembered=Remembered(
            wanted, {uid: decision.standing for uid, decision in decisions.items() if decision.standing}
        ),
    )


def _tell(
    looked: Sequence[Pool],
    shares: Mapping[PoolUid, Share],
    observed: Observed,
    actions: Sequence[Action],
    now: float,
) -> Telling:
    """What the scheduler has to hear; a pool that cannot have workers asks for none."""
    if not isinstance(observed.cluster, ClusterFacts) or isinstance(observed.jobs, Unseen):
        return Telling()
    pools = [pool.case.pool for pool in looked if pool.understood and pool.spec is None]
    leaving = look.leaving(looked, observed, actions)
    return telling(pools, shares, observed.cluster, observed.told, observed.wanted_since, leaving, now)
