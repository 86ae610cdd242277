"""The cycle of one cluster: observe, plan, perform, publish.

`handlers` and `poller` call `wake` for a cluster about which something may have changed; each cluster has
one task, so its cycles never overlap, and different clusters run side by side. Level-triggered: a cycle
looks at everything, whatever woke it. An outside system's failure delays a cluster and never ends its task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_api import PoolStatus
from htcdask_operator import metrics
from htcdask_operator.core.actions import Plan, ReadLogs, Release, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.model import Observed, Policy, PoolFacts, PoolUid, Unseen
from htcdask_operator.core.plan import plan
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.observe import observe
from htcdask_operator.perform import Outcome, perform
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.publish import publish, with_logs
from htcdask_operator.view import View

_log = logging.getLogger(__name__)

_ROUNDS: Final = 6  # anchor, hold, workers, and a few to spare
_RESYNC: Final = 120.0
_BACKOFF_LAST: Final = 60.0
_VIEW_AGE: Final = 1.0

Planner = Callable[[Sequence[PoolFacts], Observed, Policy, float], Plan]


@dataclass(slots=True)
class _Cluster:
    """What is remembered of one cluster between its cycles."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)
    busy_since: float | None = None
    failures: int = 0
    said: str | None = None  # the failure that was logged last
    unpublished: dict[PoolUid, PoolStatus] = field(default_factory=dict)


class Reconciler:
    """All clusters that have pools."""

    def __init__(
        self,
        ports: Ports,
        view: View,
        policy: Policy,
        clock: Callable[[], float],
        planner: Planner = plan,
    ) -> None:
        self._ports = ports
        self._view = view
        self._policy = policy
        self._clock = clock
        self.on_action: Callable[[], None] = lambda: None
        self._plan = planner
        self._clusters: dict[ClusterKey, _Cluster] = {}
        self._group: asyncio.TaskGroup | None = None
        self._released: dict[PoolUid, asyncio.Event] = {}

    def wake(self, key: ClusterKey) -> None:
        """Something about this cluster may have changed."""
        cluster = self._clusters.get(key)
        if cluster is None:
            cluster = self._clusters[key] = _Cluster()
            if self._group is not None:
                self._group.create_task(self._tend(key, cluster), name=f"cluster {key}")
        cluster.woken.set()

    def released(self, pool: PoolUid) -> asyncio.Event:
        """Set once nothing of the deleted pool is left; the caller drops it with `forget`."""
        return self._released.setdefault(pool, asyncio.Event())

    def forget(self, pool: PoolUid) -> None:
        """The pool is gone from Kubernetes."""
        self._released.pop(pool, None)
        self._view.forget(pool)

    def longest_cycle(self) -> float:
        """For how many seconds the slowest running cycle has been running."""
        began = [cluster.busy_since for cluster in self._clusters.values() if cluster.busy_since is not None]
        return self._clock() - min(began) if began else 0.0

    async def run(self) -> None:
        """Tend the clusters until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for key, cluster in self._clusters.items():
                group.create_task(self._tend(key, cluster), name=f"cluster {key}")
            await asyncio.Event().wait()

    async def _tend(self, key: ClusterKey, cluster: _Cluster) -> None:
        while True:
            cluster.woken.clear()
            cluster.busy_since = began = self._clock()
            try:
                wake_at = await self.cycle(key, cluster)
            except KubeError as error:
                wake_at = self._later(cluster)
                if cluster.said != str(error):
                    _log.warning("Cluster %s: %s", key, error)
                    cluster.said = str(error)
            except Exception:
                # A mistake of ours about one cluster must not stop the others.
                wake_at = self._later(cluster)
                _log.exception("Cluster %s: the cycle failed", key)
            finally:
                cluster.busy_since = None
            metrics.CYCLE_SECONDS.observe(self._clock() - began)
            if wake_at is None and not cluster.woken.is_set():
                del self._clusters[key]
                return
            delay = _RESYNC if wake_at is None else min(wake_at - self._clock(), _RESYNC)
            try:
                async with asyncio.timeout(max(0.0, delay)):
                    await cluster.woken.wait()
            except TimeoutError:
                pass

    def _later(self, cluster: _Cluster) -> float:
        metrics.CYCLE_FAILURES.inc()
        cluster.failures += 1
        return self._clock() + min(2.0 ** min(cluster.failures, 16) / 2, _BACKOFF_LAST)

    async def cycle(self, key: ClusterKey, cluster: _Cluster) -> float | None:
        """One cycle. When to look again, or None when the cluster has no pools any more."""
        read = await self._ports.kube.pools(*key)
        self._note(key, read)
        if not read:
            return None
        pools = {pool.uid: pool for pool in read}
        statuses = {uid: status for uid, status in cluster.unpublished.items() if uid in pools}
        fresh = self._clock() - self._view.asked_at > _VIEW_AGE
        outcome = Outcome()
        for _ in range(_ROUNDS):
            observed = await observe(self._ports, self._view, key, read, self._clock(), fresh=fresh)
            planned = self._planned(pools, statuses, observed)
            if not fresh and any(isinstance(a, SubmitAnchor | SubmitWorkers) for a in planned.actions):
                fresh = True  # before a submit, ask again
                continue
            statuses.update(planned.statuses)
            if not planned.actions:
                break
            outcome = await perform(self._ports, planned.actions, pools, observed)
            for uid in outcome.released:
                self.released(uid).set()
            for uid, status in statuses.items():
                statuses[uid] = with_logs(status, uid, outcome.logs)
            if outcome.failed:
                planned = self._planned(pools, statuses, _after_failure(observed, outcome))
                statuses.update(planned.statuses)
                break
            if all(isinstance(action, Release | ReadLogs) for action in planned.actions):
                break
            self.on_action()
            fresh = True
            read = await self._ports.kube.pools(*key)
            pools = {pool.uid: pool for pool in read}
        cluster.unpublished = {uid: status for uid, status in statuses.items() if uid in pools}
        for uid, status in list(cluster.unpublished.items()):
            await publish(self._ports.kube, pools[uid], status)
            del cluster.unpublished[uid]
        return self._next(key, cluster, planned, outcome)

    def _planned(
        self, pools: dict[PoolUid, PoolFacts], statuses: dict[PoolUid, PoolStatus], observed: Observed
    ) -> Plan:
        """The plan, made with what this cycle would publish so far: nothing that it learned is forgotten."""
        known = [
            replace(pool, status=statuses[uid]) if uid in statuses else pool for uid, pool in pools.items()
        ]
        return self._plan(known, observed, self._policy, self._clock())

    def _next(self, key: ClusterKey, cluster: _Cluster, planned: Plan, outcome: Outcome) -> float:
        if not outcome.failed:
            cluster.failures, cluster.said = 0, None
            return planned.wake_at if planned.wake_at is not None else self._clock() + _RESYNC
        why = outcome.condor_failure or outcome.kube_failure
        if cluster.said != why:
            _log.warning("Cluster %s: %s", key, why)
        at = self._later(cluster)
        cluster.said = why
        return at

    def _note(self, key: ClusterKey, pools: Sequence[PoolFacts]) -> None:
        seen = {pool.uid for pool in pools}
        for uid in self._view.pools_of(key):
            if uid not in seen:
                self._view.forget(uid)
        for uid in seen:
            self._view.pools[uid] = key
        metrics.POOLS.set(len(self._view.pools))


def _after_failure(observed: Observed, outcome: Outcome) -> Observed:
    """What was asked of HTCondor or Kubernetes was refused: say so, and decide nothing more in this cycle."""
    if outcome.condor_failure is not None:
        return replace(observed, jobs=Unseen(outcome.condor_failure))
    return replace(observed, cluster=Unseen(outcome.kube_failure or ""))
