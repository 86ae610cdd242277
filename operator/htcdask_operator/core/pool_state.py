"""One pool with all that is known of it: complete before the first check, and never changed afterwards.

`pools.cluster` makes a `Sight` of each pool of a cluster, from which follows what each may have; with that it
becomes a `PoolState`, which every check, every step and the status are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace

from htcdask_api import MemoryRequest, Template
from htcdask_operator.core import size
from htcdask_operator.core.memory import ClusterMemory, PoolMemory
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import (
    ClusterFacts,
    Job,
    JobId,
    Observed,
    PoolFacts,
    PoolUid,
    Role,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import drain, scale_down
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.scale_down import Surplus
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.size import Size
from htcdask_operator.core.submit import anchor, descriptions
from htcdask_operator.core.submit.anchor import Anchors
from htcdask_operator.core.token_bucket import Rate
from htcdask_operator.core.workers import backoff, failures, identity, ledger, let_go, machines, states
from htcdask_operator.core.workers.backoff import Backoff
from htcdask_operator.core.workers.failures import Record
from htcdask_operator.core.workers.ledger import Ledger, Submitted
from htcdask_operator.core.workers.machines import Avoided
from htcdask_operator.core.workers.states import State, Worker


@dataclass(frozen=True, slots=True)
class Finding:
    """Why not: for the conditions, and whether a person has to do something."""

    reason: str
    message: str
    stalled: bool = False
    until: float | None = None  # when to look again at the latest


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One pool as it is seen, before anything is decided about one of its cluster's."""

    pool: PoolFacts
    observed: Observed  # its jobs Unseen, where nobody knows what became of what was asked for
    memory: ClusterMemory
    policy: Policy
    now: float
    gateway_pool: PoolUid | None  # the one that follows scale() and adapt()
    template: Template  # resolved
    jobs: tuple[Job, ...] = ()  # its own, of any role and identity
    workers: tuple[Worker, ...] = ()
    over: Finding | None = None  # its cluster has ended
    refused: Finding | None = None  # what is asked for makes no sense, or the site does not allow it
    memory_request: MemoryRequest | None = None  # which the template has, as workers ran out of less
    mistake: Mistake | None = None  # of ours: nothing can be decided about the middle of its life

    @property
    def uid(self) -> PoolUid:
        return self.pool.uid

    @property
    def worker(self) -> Size:
        """What its next worker requests."""
        shown = anchor.shown_request(self.jobs, self.current_hash)
        return size.larger(size.of_template(self.template), shown)

    def current_hash(self) -> str | None:
        """Of what its next worker is made from; None: that cannot be submitted, which a check says."""
        if self.cluster is None:
            return None
        try:
            return descriptions.template_hash(self.pool, self.cluster, self.template, self.policy)
        except ValueError:
            return None

    @property
    def cluster(self) -> ClusterFacts | None:
        return self.observed.cluster if isinstance(self.observed.cluster, ClusterFacts) else None

    @property
    def remembered(self) -> PoolMemory:
        return self.memory.of(self.pool.uid)

    @property
    def ours(self) -> tuple[Job, ...]:
        """Those of its jobs that we may touch."""
        us = self.observed.condor_identity
        if us is None or {job.owner for job in self.jobs} <= {us}:
            return self.jobs
        return tuple(job for job in self.jobs if not identity.is_foreign(job, us))

    @property
    def ends(self) -> bool:
        return self.pool.deleting or self.over is not None

    @property
    def settled(self) -> bool:
        """Whether the pool is in the middle of its life and its cluster is seen: workers may come and go."""
        return not self.ends and self.cluster is not None

    @property
    def understood(self) -> bool:
        return self.settled and self.pool.invalid is None and self.mistake is None

    @property
    def waits(self) -> Setback | None:
        """After which failure nothing is done for it now; its end waits for what belongs to it alone."""
        setback = self.remembered.setback
        if setback is None or not setback.waits:
            return None
        return setback if not self.ends or setback.removal or setback.finalizer else None

    @property
    def live(self) -> list[Job]:
        """Its workers that are there or on their way; where we failed to judge them, by the queue's word."""
        if self.mistake is None:
            return [worker.job for worker in self.workers if worker.state in states.LIVE]
        return [job for job in self.jobs if states.counts_as_live(job)]

    @property
    def not_yet_shown(self) -> Mapping[JobId, Submitted]:
        """Jobs that the access point accepted, and that no answer has shown yet."""
        known = self.remembered.ledger or Ledger()
        return ledger.not_yet_shown(known, self.jobs, self.policy.job_expiry_seconds, self.now)

    @property
    def expected(self) -> int:
        """The workers among them."""
        return sum(not its.anchor for its in self.not_yet_shown.values())

    @property
    def avoided(self) -> Avoided:
        """Machines that no new worker goes to, and until when."""
        useful = machines.useful(self.workers, self.policy, self.now) if self.observed.avoided else ()
        return machines.together(self.memory.avoided, self.observed.avoided, useful, self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState(Sight):
    """The same, with what its cluster has for it, and what became of its workers."""

    allocation: Allocation | None = None  # None: it cannot be known now
    submit_budget: int = 0  # workers that the cluster may still get of this pool
    taken: Collection[WorkerName] = ()  # names that nobody may get
    template_hash: str | None = None  # None: nothing can be submitted of this template
    anchors: Anchors = field(default_factory=Anchors)
    ended: tuple[Worker, ...] = ()  # over: to be recorded and forgotten
    lost: tuple[Job, ...] = ()  # that somebody else has removed
    ledger: Ledger = field(default_factory=Ledger)
    record: Record = field(default_factory=Record)
    backoff: Backoff = field(default_factory=Backoff)
    anchor_backoff: Backoff = field(default_factory=Backoff)
    missing: int = 0  # workers wanted, and not there
    surplus: Surplus = field(default_factory=Surplus)
    standing: drain.Standing = ()

    @property
    def pace(self) -> Rate:
        """How many jobs it may submit in some time."""
        return ledger.pace(0 if self.allocation is None else self.allocation.replicas)

    @property
    def may_come(self) -> int:
        """How many workers may be submitted now."""
        most = [self.missing, self.submit_budget, self.ledger.left(self.pace, self.now)]
        if self.backoff.allowed is not None:
            most.append(self.backoff.allowed)
        return min(*most, self.ledger.batch.size(self.now))

    @property
    def more_at(self) -> float | None:
        """When the pool's pace allows another job; None: now."""
        waits = self.ledger.left(self.pace, self.now) <= 0
        return self.ledger.more_at(self.pace, self.now) if waits else None

    @property
    def idle(self) -> list[Job]:
        """Its workers that wait for a slot and can start rightly, those that have waited longest first."""
        return [
            worker.job
            for worker in self.workers
            if worker.state is State.IDLE and worker.job.template_hash == self.template_hash
        ]

    @property
    def outdated(self) -> tuple[Job, ...]:
        """Jobs that wait, of another template, or whose files are gone: they can never start rightly."""
        there = {job.id for job in self.anchors.all}
        going = {worker.job.id for worker in (*self.surplus.go, *self.surplus.overdue)}
        return tuple(
            worker.job
            for worker in self.workers
            if worker.state is State.IDLE
            and worker.job.id not in going
            and self._is_outdated(worker.job, there)
        )

    def _is_outdated(self, job: Job, anchors: Collection[JobId]) -> bool:
        changed = self.template_hash is not None and job.template_hash not in (self.template_hash, "")
        return changed or (job.anchor != "" and job.anchor not in anchors)

    @property
    def unaffordable(self) -> int:
        """Workers that it lacks, and that the cluster may not get."""
        return max(0, self.missing - self.submit_budget)


Check = Callable[[PoolState], Finding | None]


def complete(
    sight: Sight,
    allocation: Allocation | None,
    submit_budget: int,
    taken: Collection[WorkerName],
    *,
    scheduler_retires: bool,
    wants_fewer: bool,
) -> PoolState:
    """All that follows from what is seen, remembered, and wanted."""
    state = PoolState(
        **{field.name: getattr(sight, field.name) for field in fields(sight)},
        allocation=allocation,
        submit_budget=submit_budget,
        taken=taken,
        standing=sight.remembered.standing,
        ledger=ledger.known(sight.remembered.ledger, sight.pool.status),
        record=failures.remembered(sight.pool.status),
    )
    if state.cluster is None or allocation is None or isinstance(state.observed.jobs, Unseen):
        return state
    if state.waits is not None:
        return state
    if state.ends:
        return replace(state, ledger=_after_answer(state)[0])
    return _with_workers(_with_ends(state, allocation, wants_fewer), allocation, scheduler_retires)


def _with_ends(state: PoolState, allocation: Allocation, wants_fewer: bool) -> PoolState:
    """With those that have ended, recorded."""
    now, (known, lost) = state.now, _after_answer(state)
    workers = tuple(worker for worker in state.workers if worker.state not in states.OVER)
    ended = tuple(worker for worker in state.workers if worker.state in states.OVER)
    lacks = allocation.replicas - states.live(workers) - known.expected()
    known, ended = let_go.excused(known, workers, ended, now, wants_fewer=wants_fewer, lacks=lacks > 0)
    gone = tuple(ledger.removed_by_others(job) for job in lost if job.may_be_worker)
    record, new = failures.record(
        state.record,
        (*ended, *gone),
        [job for job in lost if job.role is Role.ANCHOR],
        state.memory.logs,
        now,
    )
    known = known.failed(new, now).told(record.recent).succeeded(workers, state.policy, now)
    return replace(
        state, workers=workers, ended=ended, lost=lost, ledger=known, record=record, missing=max(0, lacks)
    )


def _after_answer(state: PoolState) -> tuple[Ledger, tuple[Job, ...]]:
    gap, expiry = state.policy.ended_seconds / 2, state.policy.job_expiry_seconds
    return ledger.after_answer(state.ledger, state.jobs, gap, expiry, state.now)


def _with_workers(state: PoolState, allocation: Allocation, scheduler_retires: bool) -> PoolState:
    """With what may come and what has to go."""
    workers, policy, now, cluster = state.workers, state.policy, state.now, state.cluster
    assert cluster is not None
    template_hash = state.current_hash()
    surplus = scale_down.surplus(
        workers, allocation.replicas, state.observed.busy, scheduler_knows=scheduler_retires
    )
    standing = drain.standing(state.standing, drain.too_many(workers, allocation.replicas), now)
    told = {failure.worker: failure for failure in state.record.recent}
    events = [told.get(failure.worker, failure) for failure in state.ledger.failures]
    since = state.ledger.succeeded_at
    return replace(
        state,
        template_hash=template_hash,
        anchors=anchor.sort(state.ours, template_hash, now),
        backoff=backoff.after(backoff.of_workers(events), workers, policy, now, since),
        anchor_backoff=backoff.after(backoff.of_anchors(events), (), policy, now),
        surplus=drain.limited(surplus, workers, standing, now, policy.drain_seconds),
        standing=standing,
    )
