"""Look at all pools of a cluster before anything is decided about one of them.

Called by `plan`: what each pool's jobs are, what the pools share among them, which names are taken. A pool at
which this fails by a mistake of ours is marked, and counts with the workers that it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from htcdask_operator.core import mistake
from htcdask_operator.core.actions import Action, Remove
from htcdask_operator.core.checks import chains
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import (
    ClusterFacts,
    Gone,
    Job,
    Observed,
    Policy,
    PoolFacts,
    PoolUid,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.pool_state import Finding, PoolState
from htcdask_operator.core.scaling import desired, limits, stabilization
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.submit import template
from htcdask_operator.core.workers import identity, states
from htcdask_operator.core.workers.states import Worker


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, looked at and not yet decided."""

    case: PoolState
    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    over: Finding | None  # its cluster has ended
    spec: Finding | None  # what is asked for makes no sense
    mistake: Mistake | None = None  # of ours: nothing can be decided about the middle of its life

    @property
    def uid(self) -> PoolUid:
        return self.case.pool.uid

    @property
    def ours(self) -> tuple[Job, ...]:
        """Those of its jobs that we may touch."""
        us = self.case.observed.condor_identity
        return tuple(job for job in self.jobs if not identity.is_foreign(job, us))

    @property
    def settled(self) -> bool:
        """Whether the pool is in the middle of its life and its cluster is seen: workers may come and go."""
        return not self.ends and self.case.cluster is not None

    @property
    def understood(self) -> bool:
        return self.settled and self.case.pool.invalid is None and self.mistake is None

    @property
    def ends(self) -> bool:
        return self.case.pool.deleting or self.over is not None

    @property
    def waits(self) -> Setback | None:
        """After which failure nothing is done for it now; its end waits for removals that fail alone."""
        setback = self.case.observed.setbacks.get(self.uid)
        if setback is None or not setback.waits or (self.ends and not setback.removal):
            return None
        return setback

    @property
    def live(self) -> list[Job]:
        """Its workers that are there or on their way; where we failed to judge them, by the queue's word."""
        if self.mistake is None:
            return [worker.job for worker in self.workers if worker.state in states.LIVE]
        return [job for job in self.jobs if states.counts_as_live(job)]


def judged(pools: Sequence[PoolFacts], observed: Observed, policy: Policy, now: float) -> list[Pool]:
    jobs = () if isinstance(observed.jobs, Unseen) else observed.jobs
    gateway_pool = desired.gateway_pool([pool for pool in pools if pool.invalid is None])
    looked = []
    for pool in pools:
        own = tuple(job for job in jobs if job.pool_uid == pool.uid)
        case = PoolState(pool, observed, policy, now, pool.spec.template, gateway_pool)
        try:
            looked.append(_doubting(_look(case, own)))
        except Exception as error:
            # Whatever it is, the other pools go on, and this one can still end.
            looked.append(Pool(case, own, (), _over(case), None, mistake.of(error)))
    return looked


def _look(case: PoolState, jobs: tuple[Job, ...]) -> Pool:
    """One pool."""
    try:
        worker = template.resolve(case.pool, case.cluster, case.policy)
    except ValueError as error:
        pool = replace(case.pool, invalid=f"with the site's defaults it breaks a rule: {_rule(error)}")
        case = replace(case, pool=pool)
    else:
        case = replace(case, template=worker)
    return Pool(
        case,
        jobs,
        states.judged(replace(case.observed, jobs=jobs), case.policy, case.now),
        chains.cluster_is_over(case),
        chains.first(chains.SPEC, case),
    )


def _rule(error: ValueError) -> str:
    """Which one, without the values: the environment may be among them."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return ": ".join((*map(str, first["loc"]), first["msg"].removeprefix("Value error, ")))


def _over(case: PoolState) -> Finding | None:
    try:
        return chains.cluster_is_over(case)
    except Exception:
        return None


def _doubting(pool: Pool) -> Pool:
    """After HTCondor failed for a pool, nobody knows what it has done of what was asked."""
    if pool.waits is None or not pool.waits.condor:
        return pool
    observed = replace(pool.case.observed, jobs=Unseen(pool.waits.why))
    return replace(pool, case=replace(pool.case, observed=observed))


def blame(looked: Sequence[Pool], observed: Observed, policy: Policy, error: Exception) -> list[Pool]:
    """Mark the pools with which alone what all share fails; every pool if it fails with all of them only."""
    marked = [_blamed(pool, observed, policy) for pool in looked]
    try:
        allocations(marked, observed, policy)
        submit_budget(marked, observed, policy)
    except Exception:
        return [replace(pool, mistake=mistake.of(error)) for pool in looked]
    return marked


def _blamed(pool: Pool, observed: Observed, policy: Policy) -> Pool:
    try:
        allocations([pool], observed, policy)
        submit_budget([pool], observed, policy)
    except Exception as error:
        return replace(pool, mistake=mistake.of(error))
    return pool


def demand(observed: Observed, now: float) -> Demand | None:
    """N, as it is acted on."""
    before = observed.remembered.wanted
    if not isinstance(observed.cluster, ClusterFacts):
        return before
    return stabilization.follow(before, observed.cluster.wanted, now)


def asked_for(observed: Observed, wanted: Demand | None) -> Observed:
    """What is seen, as if the scheduler asked for what is acted on."""
    if wanted is None or not isinstance(observed.cluster, ClusterFacts):
        return observed
    return replace(observed, cluster=replace(observed.cluster, wanted=wanted.acted_on))


def allocations(looked: Sequence[Pool], observed: Observed, policy: Policy) -> dict[PoolUid, Allocation]:
    """How many workers each pool should have; nothing for a pool of which that cannot be said."""
    if isinstance(observed.cluster, Gone):
        return {pool.uid: Allocation(0) for pool in looked}
    if isinstance(observed.cluster, Unseen):
        return {}
    pools = [pool.case.pool for pool in looked if pool.understood]
    if not observed.cluster.htcondor:
        return {pool.uid: Allocation(0) for pool in pools}
    live = {pool.uid: len(pool.live) for pool in looked}
    templates = {pool.uid: pool.case.template for pool in looked}
    together = limits.of_cluster(observed.cluster, observed, _live(looked), policy)
    # What a pool has that cannot be planned, the others do not get.
    left = max(0, observed.cluster.wanted - (kept(looked) or 0))
    return desired.allocations(
        pools, replace(observed.cluster, wanted=left), live, templates, policy, together
    )


def submit_budget(looked: Sequence[Pool], observed: Observed, policy: Policy) -> int:
    """How many workers the cluster may get in all: some pools may have more than their share, for now."""
    if not isinstance(observed.cluster, ClusterFacts):
        return 0
    own = _live(looked)
    free = desired.submit_budget(observed.cluster, len(own) + len(orphans(observed)))
    together = limits.of_cluster(observed.cluster, observed, own, policy)
    return free if together is None else max(0, min(free, together.count - len(own)))


def orphans(observed: Observed) -> list[Job]:
    """Live workers of this cluster whose pool is gone: the scheduler counts them until they are swept."""
    if not isinstance(observed.cluster, ClusterFacts):
        return []
    uid = observed.cluster.uid
    return [job for job in observed.neighbours if job.cluster_uid == uid and states.counts_as_live(job)]


def kept(looked: Sequence[Pool]) -> int | None:
    """The live workers of pools that cannot be planned: they stay as they are. None: no such pool."""
    left_alone = [len(pool.live) for pool in looked if pool.settled and pool.mistake is not None]
    return sum(left_alone) if left_alone else None


def _live(looked: Sequence[Pool]) -> list[Job]:
    return [job for pool in looked for job in pool.live]


def scheduler_retires(observed: Observed) -> bool:
    """Whether the scheduler has more workers than it wants, and so retires some by itself."""
    if not isinstance(observed.cluster, ClusterFacts) or isinstance(observed.connected, Unseen):
        return True  # who can tell
    return len(observed.connected) + observed.strangers > observed.cluster.wanted


def leaving(looked: Sequence[Pool], observed: Observed, actions: Sequence[Action]) -> frozenset[WorkerName]:
    """Connected workers whose jobs are removed, by these actions or before: the scheduler will lose them."""
    connected = frozenset() if isinstance(observed.connected, Unseen) else observed.connected
    removed = {job for action in actions if isinstance(action, Remove) for job in action.jobs}
    return connected.intersection(
        worker.job.worker
        for pool in looked
        for worker in pool.workers
        if worker.state is states.State.REMOVED or worker.job.id in removed
    )


def names_seen(looked: Sequence[Pool], observed: Observed) -> set[WorkerName]:
    seen: set[WorkerName] = {*observed.logs, *observed.dropped}
    if not isinstance(observed.connected, Unseen):
        seen |= observed.connected
    for pool in looked:
        seen.update(job.worker for job in pool.jobs)
        seen.update(failure.worker for failure in pool.case.pool.status.recent_failures)
    return seen
