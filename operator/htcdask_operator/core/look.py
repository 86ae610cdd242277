"""Look at all pools of a cluster before anything is decided about one of them.

Called by `plan`: what each pool's jobs are, what the pools share among them, which names are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from htcdask_operator.core import checks, desired, limits, steady, template, triage
from htcdask_operator.core.actions import Action, Remove
from htcdask_operator.core.case import Case, Finding
from htcdask_operator.core.desired import Share
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
from htcdask_operator.core.steady import Wanted
from htcdask_operator.core.triage import Worker


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool, looked at and not yet decided."""

    case: Case
    jobs: tuple[Job, ...]
    workers: tuple[Worker, ...]
    over: Finding | None  # its cluster has ended
    spec: Finding | None  # what is asked for makes no sense

    @property
    def uid(self) -> PoolUid:
        return self.case.pool.uid

    @property
    def settled(self) -> bool:
        """Whether the pool is in the middle of its life and its cluster is seen: workers may come and go."""
        return not self.case.pool.deleting and self.over is None and self.case.cluster is not None

    @property
    def understood(self) -> bool:
        return self.settled and self.case.pool.invalid is None


def look(pools: Sequence[PoolFacts], observed: Observed, policy: Policy, now: float) -> list[Pool]:
    workers = triage.triage(observed, policy, now)
    jobs = () if isinstance(observed.jobs, Unseen) else observed.jobs
    cluster = observed.cluster if isinstance(observed.cluster, ClusterFacts) else None
    leader = desired.leader([pool for pool in pools if pool.invalid is None])
    looked = []
    for pool in pools:
        try:
            worker = template.resolve(pool, cluster, policy)
        except ValueError as error:
            worker = pool.spec.template
            pool = replace(pool, invalid=f"with the site's defaults it breaks a rule: {error}")
        case = Case(pool, observed, policy, now, worker, leader)
        looked.append(
            Pool(
                case,
                tuple(job for job in jobs if job.pool_uid == pool.uid),
                triage.of_pool(workers, pool.uid),
                checks.cluster_is_over(case),
                checks.first(checks.SPEC, case),
            )
        )
    return looked


def wanted(observed: Observed, now: float) -> Wanted | None:
    """N, as it is acted on."""
    before = observed.remembered.wanted
    if not isinstance(observed.cluster, ClusterFacts):
        return before
    return steady.follow(before, observed.cluster.wanted, now)


def asked_for(observed: Observed, wanted: Wanted | None) -> Observed:
    """What is seen, as if the scheduler asked for what is acted on."""
    if wanted is None or not isinstance(observed.cluster, ClusterFacts):
        return observed
    return replace(observed, cluster=replace(observed.cluster, wanted=wanted.acted_on))


def shares(looked: Sequence[Pool], observed: Observed, policy: Policy) -> dict[PoolUid, Share]:
    """How many workers each pool should have; nothing for a pool of which that cannot be said."""
    if isinstance(observed.cluster, Gone):
        return {pool.uid: Share(0) for pool in looked}
    if isinstance(observed.cluster, Unseen):
        return {}
    pools = [pool.case.pool for pool in looked if pool.understood]
    if not observed.cluster.htcondor:
        return {pool.uid: Share(0) for pool in pools}
    live = {pool.uid: triage.live(pool.workers) for pool in looked}
    templates = {pool.uid: pool.case.template for pool in looked}
    together = limits.of_cluster(observed.cluster, observed, _live(looked), policy)
    return desired.shares(pools, observed.cluster, live, templates, policy, together)


def room(looked: Sequence[Pool], observed: Observed, policy: Policy) -> int:
    """How many workers the cluster may get in all: some pools may have more than their share, for now."""
    if not isinstance(observed.cluster, ClusterFacts):
        return 0
    own = _live(looked)
    free = desired.budget(observed.cluster, len(own) + len(strays(observed)))
    together = limits.of_cluster(observed.cluster, observed, own, policy)
    return free if together is None else max(0, min(free, together.count - len(own)))


def strays(observed: Observed) -> list[Job]:
    """Live workers of this cluster whose pool is gone: the scheduler counts them until they are swept."""
    if not isinstance(observed.cluster, ClusterFacts):
        return []
    uid = observed.cluster.uid
    return [job for job in observed.neighbours if job.cluster_uid == uid and triage.counts_as_live(job)]


def _live(looked: Sequence[Pool]) -> list[Job]:
    return [worker.job for pool in looked for worker in pool.workers if worker.state in triage.LIVE]


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
        if worker.state is triage.State.RETIRING or worker.job.id in removed
    )


def names_seen(looked: Sequence[Pool], observed: Observed) -> set[WorkerName]:
    seen: set[WorkerName] = {*observed.logs, *observed.dropped}
    if not isinstance(observed.connected, Unseen):
        seen |= observed.connected
    for pool in looked:
        seen.update(job.worker for job in pool.jobs)
        seen.update(failure.worker for failure in pool.case.pool.status.recent_failures)
    return seen
