"""What is remembered of a cluster between two plans: frozen, made here and by `plan`, kept by the shell.

The shell hands it to `plan`, takes the new one from the `Plan`, and says with `performed` what came of the
actions; of what is in it, it looks at `setbacks` alone. Losing it costs time, and what a status does not
keep.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_api import MemoryRequest, PoolStatus
from htcdask_operator.core import setback, verdict
from htcdask_operator.core.actions import ScaleScheduler
from htcdask_operator.core.model import (
    Analysis,
    ClusterFacts,
    JobId,
    Observed,
    PoolFacts,
    PoolUid,
    WorkerName,
)
from htcdask_operator.core.scaling import scale_scheduler
from htcdask_operator.core.scaling.drain import Standing
from htcdask_operator.core.scaling.heartbeat import Ended
from htcdask_operator.core.scaling.scale_scheduler import LastScale
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.submit.spooled import RefusedAnchor
from htcdask_operator.core.workers import failures, ledger
from htcdask_operator.core.workers.contact import Contact
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.machines import Avoided
from htcdask_operator.core.workers.worker_logs import Pending

TOLD_SECONDS: Final = 600.0
"""So long is what was found told as it was, if it comes to the same."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The access point answered a submit of this pool with no; until one succeeds."""

    why: str
    at: float  # when it last refused
    times: int = 1  # how often in a row
    anchor: bool = False  # what was refused is the job that keeps the workers' files


@dataclass(frozen=True, slots=True)
class Analyzed:
    """How the slots looked to an idle job of this pool, when it was last asked."""

    at: float
    found: Analysis | None = None  # None: nobody could say
    found_at: float = 0.0

    def after(self, found: Analysis | None, now: float) -> Analyzed:
        """After another look. What differs in numbers alone is not told anew, nor forgotten for a failure."""
        same = self.found is not None and (found is None or verdict.of(found) == verdict.of(self.found))
        if same and now - self.found_at < TOLD_SECONDS:
            return replace(self, at=now)
        return Analyzed(now, found, now)


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """Of one pool."""

    demand: Demand | None = None  # how many workers it should have, as it was asked for
    standing: Standing = ()  # how many are too many, and since when
    refusal: Refusal | None = None
    setback: Setback | None = None  # an action failed
    ledger: Ledger | None = None  # None: nobody has looked yet
    analyzed: Analyzed | None = None  # None: no worker waits, or it was not asked yet
    logs: Pending = field(default_factory=Pending)  # workers that ended, on their way into the HTCWorkerLog
    successors: Mapping[WorkerName, float] = field(default_factory=dict)  # whose were asked for: until when
    refused_anchor: RefusedAnchor | None = None  # None: none was refused by a rule since one was accepted
    memory_request: MemoryRequest | None = None  # instead of the template's; None: as the status says


@dataclass(frozen=True, slots=True)
class ClusterMemory:
    """Of one cluster and its pools."""

    demand: Demand | None = None  # N, as it was asked for
    contact: Contact = field(default_factory=Contact)
    last_scale: LastScale | None = None
    logs: Mapping[WorkerName, str] = field(default_factory=dict)  # for statuses; "": there is none
    ended: Ended = field(default_factory=Ended)  # workers, for the scheduler's heartbeat
    avoided: Avoided = field(default_factory=dict)  # machines that eat workers, by what this cluster saw
    pools: Mapping[PoolUid, PoolMemory] = field(default_factory=dict)

    def of(self, pool: PoolUid) -> PoolMemory:
        """What is remembered of this pool."""
        return self.pools.get(pool, _NOTHING)

    @property
    def setbacks(self) -> Mapping[PoolUid, Setback]:
        """The pools of which an action failed."""
        return {pool: its.setback for pool, its in self.pools.items() if its.setback is not None}


@dataclass(frozen=True, slots=True)
class RefusedSubmit:
    """A submit of so many jobs that the access point did not take, in its own words."""

    why: str
    count: int
    anchor: bool = False
    template_hash: str | None = None  # of an anchor that a rule of the access point refused


@dataclass(frozen=True, slots=True)
class Results:
    """What came of a round of actions, as far as anything depends on it."""

    workers: Mapping[PoolUid, tuple[JobId, ...]] = field(default_factory=dict)  # accepted
    anchors: Mapping[PoolUid, JobId] = field(default_factory=dict)  # accepted
    refused: Mapping[PoolUid, RefusedSubmit] = field(default_factory=dict)
    untaken: Mapping[PoolUid, int] = field(default_factory=dict)  # jobs that were surely not submitted
    declined: Mapping[PoolUid, Collection[WorkerName]] = field(default_factory=dict)  # successors, of whom
    unanswered: Mapping[PoolUid, int] = field(default_factory=dict)  # submits of so many jobs
    failed: Mapping[PoolUid, Setback] = field(default_factory=dict)  # actions that failed, or were left out
    logs: Mapping[WorkerName, str] = field(default_factory=dict)
    analyses: Mapping[PoolUid, Analysis | None] = field(default_factory=dict)
    written: Mapping[PoolUid, Collection[WorkerName]] = field(default_factory=dict)  # WriteLogs, done
    scaled: ScaleScheduler | None = None  # what the scheduler was told


_NOTHING = PoolMemory()


def answered(memory: ClusterMemory, pools: Iterable[PoolFacts], seen: Observed, now: float) -> ClusterMemory:
    """After these answers. What an earlier operator has told the scheduler is in a status."""
    scale = memory.last_scale
    if isinstance(seen.cluster, ClusterFacts):
        its = [pool.status for pool in pools if pool.owner_uid in (None, seen.cluster.uid)]
        scale = scale_scheduler.seen(scale or scale_scheduler.read(its, seen.cluster, now), seen.cluster, now)
    return replace(memory, contact=memory.contact.after(seen, now), last_scale=scale)


def begun(memory: ClusterMemory, pools: Collection[PoolUid], now: float) -> ClusterMemory:
    """A cycle begins: pools that are gone are forgotten, and who failed is tried again, if it is time."""
    kept = {}
    for pool in pools:
        its, last = memory.of(pool), memory.of(pool).setback
        again = setback.in_next_cycle(last, now) if last is not None and last.times else None
        kept[pool] = its if again is last else replace(its, setback=again)
    return replace(memory, pools=kept)


def outlives_pools(memory: ClusterMemory) -> bool:
    """Whether it counts for pools to come.

    A heartbeat names workers that ended in pools now gone, too, and what was told for these may be N still.
    """
    return memory.ended.count > 0 or memory.last_scale is not None


def ended(memory: ClusterMemory) -> ClusterMemory:
    """A cycle is over: who did not fail in it has no setback any more."""
    pools = {
        pool: its if its.setback is None or its.setback.waits else replace(its, setback=None)
        for pool, its in memory.pools.items()
    }
    return replace(memory, pools=pools)


def performed(memory: ClusterMemory, results: Results, now: float) -> ClusterMemory:
    """After a round of actions."""
    pools = dict(memory.pools)
    for uid, jobs in results.workers.items():
        pools[uid] = _accepted(pools.get(uid, _NOTHING), jobs, now, anchor=False)
    for uid, job in results.anchors.items():
        pools[uid] = _accepted(pools.get(uid, _NOTHING), (job,), now, anchor=True)
    for uid, refused in results.refused.items():
        pools[uid] = _refused(pools.get(uid, _NOTHING), refused, now)
    for uid, workers in results.declined.items():  # there is no second try
        its = pools.get(uid, _NOTHING)
        pools[uid] = replace(its, successors={**its.successors, **dict.fromkeys(workers, math.inf)})
    for uid, count in results.untaken.items():
        pools[uid] = _not_taken(pools.get(uid, _NOTHING), count)
    for uid, count in results.unanswered.items():
        pools[uid] = _smaller(pools.get(uid, _NOTHING), count, now)
    for uid, failure in results.failed.items():
        its = pools.get(uid, _NOTHING)
        pools[uid] = replace(its, setback=_failed(its.setback, failure))
    for uid, found in results.analyses.items():
        its = pools.get(uid, _NOTHING)
        pools[uid] = replace(its, analyzed=(its.analyzed or Analyzed(now)).after(found, now))
    if results.logs:
        pools = {uid: replace(its, logs=its.logs.heard(results.logs)) for uid, its in pools.items()}
    for uid, names in results.written.items():
        its = pools.get(uid, _NOTHING)
        pools[uid] = replace(its, logs=its.logs.written(names))
    scale = memory.last_scale
    if results.scaled is not None:
        scale = scale_scheduler.after(scale, results.scaled, now)
    return replace(memory, pools=pools, logs={**memory.logs, **results.logs}, last_scale=scale)


def wanted_logs(
    memory: ClusterMemory, statuses: Mapping[PoolUid, PoolStatus], now: float
) -> Mapping[WorkerName, str]:
    """Those that no status carries yet, as long as one waits for them."""
    waiting = {
        worker
        for status in statuses.values()
        for worker in failures.missing_logs(status.recent_failures, now)
    }
    return {worker: text for worker, text in memory.logs.items() if worker in waiting}


def _accepted(its: PoolMemory, jobs: Collection[JobId], now: float, *, anchor: bool) -> PoolMemory:
    known = ledger.accepted(its.ledger or Ledger(), jobs, now, anchor=anchor)
    return replace(its, refusal=None, ledger=known, refused_anchor=None if anchor else its.refused_anchor)


def _refused(its: PoolMemory, refused: RefusedSubmit, now: float) -> PoolMemory:
    """A smaller submit may pass at once; of one job, there is no smaller."""
    its = _not_taken(its, refused.count)
    if refused.template_hash is not None:  # its workers may pass
        return replace(its, refused_anchor=RefusedAnchor(refused.template_hash, now, refused.why))
    its = _smaller(its, refused.count, now)
    if refused.count > 1:
        return its
    times = its.refusal.times + 1 if its.refusal is not None else 1
    return replace(its, refusal=Refusal(refused.why, now, times, refused.anchor))


def _not_taken(its: PoolMemory, count: int) -> PoolMemory:
    known = its.ledger or Ledger()
    return replace(its, ledger=replace(known, untaken=known.untaken + count))


def _smaller(its: PoolMemory, count: int, now: float) -> PoolMemory:
    known = its.ledger or Ledger()
    return replace(its, ledger=replace(known, batch=known.batch.too_many(count, now)))


def _failed(before: Setback | None, failure: Setback) -> Setback:
    """Counted, unless the action was only left out because of another's."""
    if failure.times:
        return setback.one_more(before, failure)
    times, at = (before.times, before.at) if before is not None else (0, failure.at)
    return replace(failure, times=times, at=at)
