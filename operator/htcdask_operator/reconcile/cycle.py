"""The cycle of one cluster: observe, plan, perform, publish.

Run by `loop`. Level-triggered: a cycle looks at everything, whatever woke it. A question that failed delays
the cluster; an action that failed delays its pool.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from htcdask_api import PoolStatus
from htcdask_operator import metrics
from htcdask_operator.core import memory, sanitize
from htcdask_operator.core.actions import (
    Analyze,
    Courtesy,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    RecordIdentity,
    Remove,
    RemoveFinalizer,
    SubmitWorkers,
    WriteLogs,
)
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import ClusterFacts, Observed, PoolFacts, PoolUid, Unseen
from htcdask_operator.core.plan import Plan
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.timestamps import doubled
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.progress import Progress
from htcdask_operator.reconcile.courtesies import Courtesies
from htcdask_operator.reconcile.observe import ask_queue, observe, with_jobs, with_usage
from htcdask_operator.reconcile.outcome import Outcome
from htcdask_operator.reconcile.perform import perform
from htcdask_operator.reconcile.publish import publish_all
from htcdask_operator.reconcile.scheduler_pod import SchedulerPod
from htcdask_operator.reconcile.turnstile import Turnstile
from htcdask_operator.reconcile.unpublished import Unpublished
from htcdask_operator.state.known import Known

_log = logging.getLogger(__name__)

_ROUNDS: Final = 6  # anchor, hold, workers, and a few to spare
RESYNC: Final = 120.0  # seconds until a cluster is looked at although nothing woke it
_BACKOFF_FIRST: Final = 1.0
_BACKOFF_LAST: Final = 60.0
_QUEUE_AGE: Final = 2.0  # seconds, twice the interval of a busy poller: an older answer ends no job
_PAUSE: Final = 1.0  # after many rounds, let others have their turn

_BY_THE_QUEUE: Final = (Remove, ForceRemove, HoldAnchor, RemoveFinalizer, RecordIdentity)

Planner = Callable[[Sequence[PoolFacts], Observed, ClusterMemory, Policy, float], Plan]


@dataclass(slots=True)
class ClusterTask:
    """One cluster, and what is remembered of it between its cycles."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    progress: Progress | None = None  # of the cycle that runs
    failures: int = 0
    said: str | None = None  # the failure that was logged last
    unwritten: dict[PoolUid, str] = field(default_factory=dict)  # likewise, of HTCWorkerLogs
    mistakes: frozenset[str] = frozenset()  # of the last plan: logged already
    stale: bool = False  # what the poller saw last may be older than what this cluster did last
    pools: dict[PoolUid, PoolFacts] = field(default_factory=dict)
    memory: ClusterMemory = field(default_factory=ClusterMemory)  # the core's own
    unpublished: Unpublished = field(default_factory=Unpublished)
    courtesies: Mapping[type[Courtesy], Courtesies] = field(
        default_factory=lambda: {kind: Courtesies() for kind in (ReadLogs, Analyze, WriteLogs)}
    )  # each in a lane of its own, as they are asked of different processes
    scheduler_pod: SchedulerPod = field(default_factory=SchedulerPod)


class Cycle:
    """Of any cluster; what is remembered of each is in its `ClusterTask`."""

    def __init__(
        self,
        ports: Ports,
        known: Known,
        policy: Policy,
        clock: Callable[[], float],
        planner: Planner,
    ) -> None:
        self._ports = ports
        self._known = known
        self._policy = policy
        self.clock: Final = clock
        self._plan = planner
        self._turns = asyncio.Lock()
        self._turnstile = Turnstile(known.clusters.has_ended)
        self.on_action: Callable[[], None] = lambda: None

    async def run(self, key: ClusterKey, cluster: ClusterTask) -> float | None:
        """One cycle. When to look again, or None when it has no pools, needs none, and may be forgotten."""
        await self._turn()
        async with self._turnstile.turn(key):
            await self._read(key, cluster)
        wake_at, failure = await self._act(key, cluster)
        now, keep = self.clock(), self._known.keep_back
        again = await publish_all(self._ports.kube, cluster.pools, cluster.unpublished, now, keep)
        if failure is not None:
            again = _sooner(again, self.after_failure(key, cluster, failure))
        else:
            cluster.failures, cluster.said = 0, None
        remembered = memory.outlives_pools(cluster.memory) and self._known.clusters.works(key)
        if not cluster.pools and again is None and not remembered:
            return None
        return _sooner(wake_at, again) or self.clock() + RESYNC

    async def _act(self, key: ClusterKey, cluster: ClusterTask) -> tuple[float | None, str | None]:
        """Observe, plan and perform until nothing is left to do: when to look again, and what failed."""
        cluster.memory = memory.begun(cluster.memory, cluster.pools, self.clock())
        fresh = cluster.stale or not self._known.queue.asked_for(cluster.pools.values())
        cluster.stale, later = True, set[type[Courtesy]]()
        for _ in range(_ROUNDS):
            now, pools = self.clock(), cluster.pools
            seen = await observe(
                self._ports,
                self._known,
                key,
                tuple(pools.values()),
                now,
                fresh=fresh,
            )
            if pools:
                waits = await cluster.scheduler_pod.look(self._ports.kube, seen.cluster, now)
                seen = replace(seen, scheduler_waits=waits)
            planned = await self._planned_in_turn(cluster, seen)
            if not fresh and (planned.ask_first or (self._is_old() and _touches_jobs(planned))):
                its = tuple(pools.values())
                jobs = await ask_queue(self._ports, self._known, its, now, fresh=True)
                seen = await with_jobs(self._ports, self._known, key, seen, jobs)
                planned = await self._planned_in_turn(cluster, seen)
            finished = {uid: self._status(pool, cluster).finished for uid, pool in pools.items()}
            self._decided(key, cluster, planned)
            todo = [action for action in planned.actions if not isinstance(action, Courtesy)]
            asked = [a for a in planned.actions if isinstance(a, Courtesy) and type(a) not in later]
            if not todo and not asked:
                cluster.memory = memory.ended(cluster.memory)
                cluster.stale = isinstance(seen.jobs, Unseen) or bool(cluster.memory.setbacks)
                again = any(not cluster.courtesies[kind].under_way for kind in later)
                soon = _sooner(now + _PAUSE if again else None, cluster.scheduler_pod.next_at(now))
                return _sooner(planned.wake_at, soon), self._unanswered(seen)
            budget = self._known.log_budget
            do = partial(perform, self._ports, pools=pools, observed=seen, clock=self.clock, budget=budget)
            outcome = await do(todo)
            self._note(outcome, cluster)
            self.on_action()
            # Jobs that ended and are still there will be counted again.
            left = {action.pool for action in outcome.undone if isinstance(action, Remove)}
            cluster.unpublished.uncount({uid: count for uid, count in finished.items() if uid in left})
            if outcome.failure is not None:
                return planned.wake_at, outcome.failure
            if outcome.silent is not None:
                return self._after_silence(cluster, seen), None
            told = partial(self._heard, cluster)
            for kind, lane in cluster.courtesies.items():
                if not await lane.ask([a for a in asked if type(a) is kind], do, told, cluster.woken):
                    later.add(kind)
            if todo:
                fresh = True
                await self._read(key, cluster)
        return self.clock() + _PAUSE, None

    def _after_silence(self, cluster: ClusterTask, seen: Observed) -> float | None:
        """HTCondor is not asked again in this cycle; the pools that needed it say so."""
        planned = self._planned(cluster, seen)
        waiting = {pool for pool, last in cluster.memory.setbacks.items() if last.waits}
        cluster.unpublished.statuses |= {
            uid: status for uid, status in planned.statuses.items() if uid in waiting
        }
        cluster.memory = memory.ended(planned.memory)
        return planned.wake_at

    def _unanswered(self, observed: Observed) -> str | None:
        """A question of this cycle that failed. What the poller failed to ask, it asks again for all."""
        if isinstance(observed.cluster, Unseen):
            return observed.cluster.why
        if isinstance(observed.jobs, Unseen) and self._known.queue.unseen is None:
            return observed.jobs.why
        return None

    async def _read(self, key: ClusterKey, cluster: ClusterTask) -> None:
        """Ask for the cluster's pools."""
        pools = {pool.uid: pool for pool in await self._ports.kube.pools(*key)}
        for uid in self._known.clusters.pools_of(key):
            if uid not in pools:
                self._known.forget(uid)
        self._known.clusters.saw_pools(key, pools)
        self._known.clusters.remember(pools.values())
        metrics.POOLS.set(len(self._known.clusters.pools))
        cluster.pools = pools
        cluster.unpublished.keep_only(pools)
        cluster.unwritten = {uid: why for uid, why in cluster.unwritten.items() if uid in pools}

    def _planned(self, cluster: ClusterTask, seen: Observed) -> Plan:
        """The plan, made with what this cycle would publish so far: nothing that it learned is forgotten."""
        pools = [replace(pool, status=self._status(pool, cluster)) for pool in cluster.pools.values()]
        seen = with_usage(self._known, seen, cluster.pools, self._policy)
        return self._plan(pools, seen, cluster.memory, self._policy, self.clock())

    async def _turn(self) -> None:
        """One at a time, and the event loop's own turn between: a thousand clusters may wake at once."""
        async with self._turns:
            await asyncio.sleep(0)

    async def _planned_in_turn(self, cluster: ClusterTask, seen: Observed) -> Plan:
        await self._turn()
        planned = self._planned(cluster, seen)
        for action in planned.actions:  # no other cluster may have this room, before an answer shows it taken
            if isinstance(action, SubmitWorkers) and isinstance(seen.cluster, ClusterFacts):
                self._known.queue.usages.expect(action, seen.cluster.username, self.clock())
        return planned

    def _is_old(self) -> bool:
        return self.clock() - self._known.queue.asked_at > _QUEUE_AGE

    @staticmethod
    def _status(pool: PoolFacts, cluster: ClusterTask) -> PoolStatus:
        return cluster.unpublished.statuses.get(pool.uid, pool.status)

    def _decided(self, key: ClusterKey, cluster: ClusterTask, planned: Plan) -> None:
        cluster.memory = planned.memory
        if planned.vote is not None:
            self._known.clusters.avoids(key, *planned.vote)
            metrics.avoid(self._known.clusters.avoided_machines())
        cluster.unpublished.statuses |= planned.statuses
        self._known.clusters.decided(planned.statuses)
        self._tell_mistakes(key, cluster, planned.mistakes)

    def _heard(self, cluster: ClusterTask, outcome: Outcome) -> None:
        cluster.memory = memory.performed(cluster.memory, outcome.results, self.clock())
        for uid in outcome.written.keys() - outcome.unwritten.keys():
            cluster.unwritten.pop(uid, None)
        for uid, why in outcome.unwritten.items():
            if cluster.unwritten.get(uid) != why:
                _log.warning("%s", why)
            cluster.unwritten[uid] = why

    def _note(self, outcome: Outcome, cluster: ClusterTask) -> None:
        for pool, event in outcome.events:
            cluster.unpublished.events.setdefault(pool, []).append(event)
        for pool, identity in outcome.recorded.items():
            cluster.unpublished.recorded(pool, identity)
        for pool, refused in outcome.refused.items():
            _log.warning(
                "Pool %s: a submit of %d was refused: %s",
                cluster.pools[pool].name,
                refused.count,
                sanitize.line(refused.why),
            )
        before = cluster.memory.setbacks
        for pool, failure in outcome.setbacks.items():
            if failure.times and (pool not in before or before[pool].why != failure.why):
                _log.warning("Pool %s: %s", cluster.pools[pool].name, sanitize.line(failure.why))
        self._heard(cluster, outcome)

    def _tell_mistakes(self, key: ClusterKey, cluster: ClusterTask, mistakes: Sequence[str]) -> None:
        """Said once, not at every plan."""
        for text in mistakes:
            if text not in cluster.mistakes:
                _log.error("Cluster %s: %s", key, text)
        cluster.mistakes = frozenset(mistakes)

    def after_failure(self, key: ClusterKey, cluster: ClusterTask, why: str | None) -> float:
        """When to try again; said once, not at every try."""
        metrics.CYCLE_FAILURES.inc()
        if why is not None and cluster.said != why:
            _log.warning("Cluster %s: %s", key, sanitize.line(why))
        cluster.said = why
        cluster.failures += 1
        return self.clock() + doubled(_BACKOFF_FIRST, cluster.failures, _BACKOFF_LAST)


def _touches_jobs(planned: Plan) -> bool:
    """Whether something ends by what the queue was like: a worker that was idle may have started since."""
    return any(isinstance(action, _BY_THE_QUEUE) for action in planned.actions)


def _sooner(one: float | None, other: float | None) -> float | None:
    return min((at for at in (one, other) if at is not None), default=None)
