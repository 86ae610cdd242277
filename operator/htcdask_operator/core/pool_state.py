"""One pool with all that is known of it: complete before the first check, and never changed afterwards.

What follows from it is worked out once, when it is first asked for: a plan looks at each job many times.

`pools.cluster` makes a `Sight` of each pool of a cluster, from which follows what each may have; with that it
becomes a `PoolState`, which every check, every step and the status are made from.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

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
    WorkerName,
)
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import drain, limits
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.scale_down import Surplus
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.size import Size
from htcdask_operator.core.submit import anchor, descriptions
from htcdask_operator.core.submit.anchor import Anchors
from htcdask_operator.core.token_bucket import Rate
from htcdask_operator.core.workers import identity, ledger, machines, states, succession
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


@dataclass(frozen=True, kw_only=True)
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
    made_from: str | None = None  # the hash of the template as it is now, once it was worked out
    mistake: Mistake | None = None  # of ours: nothing can be decided about the middle of its life

    @property
    def uid(self) -> PoolUid:
        return self.pool.uid

    @cached_property
    def worker(self) -> Size:
        """What its next worker requests."""
        own = size.of_template(self.template)
        return size.larger(own, anchor.shown_request(self.jobs, own, lambda: self.current_hash))

    @cached_property
    def current_hash(self) -> str | None:
        """Of what its next worker is made from; None: that cannot be submitted, which a check says."""
        if self.cluster is None or self.made_from is not None:
            return self.made_from
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

    @cached_property
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

    @cached_property
    def live(self) -> Sequence[Job]:
        """What counts of it against the number wanted."""
        if self.template.max_runtime_seconds is None:  # then there are no pairs
            return self.there
        gone = {worker.job.id for worker in self.workers if not states.counts(worker)}
        return [job for job in self.there if job.id not in gone]

    @cached_property
    def there(self) -> Sequence[Job]:
        """Its workers that are there or on their way; where we failed to judge them, by the queue's word."""
        if self.mistake is None:
            return [worker.job for worker in self.workers if worker.state in states.LIVE]
        return [job for job in self.jobs if states.counts_as_live(job)]

    def sizes(self, jobs: Sequence[Job]) -> Mapping[Size, int]:
        """How many of these there are of each size. Nearly always they are all that are there."""
        return self._sizes_there if len(jobs) == len(self.there) else limits.sizes(jobs)

    @cached_property
    def _sizes_there(self) -> Mapping[Size, int]:
        return limits.sizes(self.there)

    @cached_property
    def not_yet_shown(self) -> Mapping[JobId, Submitted]:
        """Jobs that the access point accepted, and that no answer has shown yet."""
        known = self.remembered.ledger or Ledger()
        return ledger.not_yet_shown(known, self.jobs, self.policy.job_expiry_seconds, self.now)

    @property
    def expected(self) -> int:
        """The workers among them."""
        return sum(not its.anchor for its in self.not_yet_shown.values())

    @cached_property
    def avoided(self) -> Avoided:
        """Machines that no new worker goes to, and until when."""
        useful = machines.useful(self.workers, self.policy, self.now) if self.observed.avoided else ()
        return machines.together(self.memory.avoided, self.observed.avoided, useful, self.now)


@dataclass(frozen=True, kw_only=True)
class PoolState(Sight):
    """The same, with what its cluster has for it, and what became of its workers."""

    allocation: Allocation | None = None  # None: it cannot be known now
    asked_for: int = 0  # workers that the cluster may still get, by what its scheduler asks for
    submit_budget: int = 0  # and this pool, by the limits, which count both of a pair
    unasked: int = 0  # workers that its pools should have in all, beyond what the scheduler asks for
    all_there: bool = False  # no pool of the cluster lacks a worker
    wants_fewer: bool = False  # the scheduler lets some go, of whichever pool
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
        return min(self._could_come, self.submit_budget)

    @property
    def lacks_room(self) -> int:
        """How many more could come, were it not for limits."""
        return max(0, self._could_come - self.submit_budget)

    @property
    def held_back(self) -> int:
        """Those of them that nobody makes room for now."""
        lacks = self.lacks_room
        return lacks - len(succession.giving_way(self.workers, lacks))

    @property
    def _could_come(self) -> int:
        most = [self.missing, self.asked_for, self.ledger.left(self.pace, self.now)]
        if self.backoff.allowed is not None:
            most.append(self.backoff.allowed)
        return min(*most, self.ledger.batch.size(self.now))

    @property
    def pause_ends_at(self) -> float | None:
        """When it may, after failures: a worker that is of use ends a pause before its time. None: now."""
        if self.backoff.until is None:
            return None
        of_use_at = ledger.of_use_at(self.workers, self.policy, self.now)
        return self.backoff.until if of_use_at is None else min(self.backoff.until, of_use_at)

    @property
    def more_at(self) -> float | None:
        """When the pool's pace allows another job; None: now."""
        waits = self.ledger.left(self.pace, self.now) <= 0
        return self.ledger.more_at(self.pace, self.now) if waits else None

    @cached_property
    def idle(self) -> Sequence[Job]:
        """Its workers that wait for a slot and can start rightly, those that have waited longest first."""
        return [
            worker.job
            for worker in self.missed
            if worker.state is State.IDLE and worker.job.template_hash == self.template_hash
        ]

    @cached_property
    def missed(self) -> Sequence[Worker]:
        """Its workers, but for successors before their turn."""
        if self.template.max_runtime_seconds is None:
            return self.workers
        return [worker for worker in self.workers if not worker.early]

    @cached_property
    def outdated(self) -> tuple[Job, ...]:
        """Jobs that wait, of another template, or whose files are gone: they can never start rightly."""
        there = {job.id for job in self.anchors.all}
        going = {worker.job.id for worker in (*self.surplus.go, *self.surplus.overdue)}
        idle = State.IDLE  # named once: a large pool has few
        return tuple(
            worker.job
            for worker in self.workers
            if worker.state is idle and worker.job.id not in going and self._is_outdated(worker.job, there)
        )

    def _is_outdated(self, job: Job, anchors: Collection[JobId]) -> bool:
        changed = self.template_hash is not None and job.template_hash not in (self.template_hash, "")
        return changed or (job.anchor != "" and job.anchor not in anchors)

    @property
    def unaffordable(self) -> int:
        """Workers that it lacks, and that the scheduler does not ask for now."""
        return min(self.missing, self.unasked) if self.refused is None else 0

    @property
    def crowded_out(self) -> int:
        """Workers that it lacks until others, which the scheduler counts as well, have left."""
        if self.refused is not None:
            return 0
        return max(0, self.missing - self.unaffordable - max(0, self.asked_for))


Check = Callable[[PoolState], Finding | None]
