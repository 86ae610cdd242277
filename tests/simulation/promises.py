"""What the operator promises, whatever happens: each promise is looked at where it could be broken.

The first one that breaks ends the history. `World` owns one `Promises`; the watched ports and the watched
planner below tell it what the operator does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from htcdask_api import PoolStatus, WorkerLog
from htcdask_api.worker_log import MAX_WORKERS
from htcdask_operator.condor.errors import RuleRefused, SubmitRefused
from htcdask_operator.core.actions import (
    CreatePool,
    HoldAnchor,
    Remove,
    RemoveFinalizer,
    SubmitAnchor,
    SubmitWorkers,
)
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import (
    ClusterFacts,
    ClusterUid,
    Gone,
    Job,
    JobId,
    JobStatus,
    Observed,
    PoolFacts,
    PoolUid,
    Role,
    Unnamed,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.plan import Plan
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.token_bucket import Spent
from htcdask_operator.core.workers import ledger, lifetime, worker_logs
from htcdask_operator.core.workers.machines import Avoided
from htcdask_operator.core.workers.states import EARLY_SECONDS
from htcdask_operator.core.workers.succession import LEAD, TURN_SECONDS
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Credentials
from htcdask_operator.reconcile.cycle import Planner
from tests.fakes.condor import Entry, FakeCondor, FakeSchedd, ended
from tests.fakes.kube import FakeKube
from tests.simulation.clock import Clock

SCALE_DOWN = "HTCDask: fewer workers are wanted"
_A_CYCLE = 5.0
BY_PEOPLE = (1, 15)
PACE = ledger.pace  # as it was promised, also where a mistake is planted
LIVED = 195.0  # seconds: so long a worker has to run for its successor to cost nothing, to a poll or so
EATEN = 3  # so many times, one after the other, before everybody should know the machine
EVENT = 120.0 + 20.0  # seconds after a failure in which others, queued before it, are of the same event
A_LOOK = 20.0  # longer than until the operator has heard of a worker's end
A_MOMENT = 4.0  # an access point's clock is known to three seconds
LONG_BUSY = 40.0  # longer than from any look at the scheduler to the removal that follows from it


class Broken(Exception):  # noqa: N818
    """A promise, and how it was broken."""


def lives(job: Job) -> bool:
    """Whether this worker job has, or may still get, a worker process that nobody has told to end."""
    if job.role is not Role.WORKER or job.status in (JobStatus.REMOVED, JobStatus.COMPLETED) or job.vacated:
        return False
    return job.status is not JobStatus.HELD or job.hold_code in BY_PEOPLE or job.spooling


@dataclass
class Promises:
    """What was seen so far, as far as promises depend on it."""

    schedd: FakeSchedd
    policy: Policy
    clock: Clock
    takes_no_more: Callable[[], bool] = lambda: False  # the access point, of our jobs
    broken: str | None = None
    names: Counter[tuple[ClusterUid, WorkerName]] = field(default_factory=Counter)
    deeds: list[str] = field(default_factory=list)  # everything that changed something outside
    wanted: dict[ClusterUid, int] = field(default_factory=dict)  # N, as it was last told to the operator
    caps: dict[PoolUid, int] = field(default_factory=dict)  # maxReplicas, likewise
    pools_there: Callable[[], set[PoolUid]] = set  # truly
    told: set[JobId] = field(default_factory=set)  # jobs that an answer to a submit has named
    polled: frozenset[JobId] = frozenset()  # the queue, likewise
    busy_since: Callable[[WorkerName], float | None] = lambda worker: None
    paid: dict[PoolUid, Spent] = field(default_factory=dict)  # submits, and what made room
    decided: dict[PoolUid, float] = field(default_factory=dict)  # when its last plan was made
    largest: dict[PoolUid, int] = field(default_factory=dict)  # how many workers it should have had at once
    let_go: set[JobId] = field(default_factory=set)  # there when fewer were wanted
    forgiven: set[JobId] = field(default_factory=set)  # whoever comes in their place costs nothing
    eaten: dict[PoolUid, list[float]] = field(default_factory=dict)  # by one machine, and lives elsewhere
    failed: dict[PoolUid, dict[str, float]] = field(default_factory=dict)  # when a worker did, by machine
    shown_failed: set[JobId] = field(default_factory=set)
    newest: dict[PoolUid, tuple[str, float]] = field(
        default_factory=dict
    )  # template submitted, and since when
    refused_anchors: set[tuple[str, str]] = field(default_factory=set)  # by a rule: pool and template
    restarts: list[float] = field(default_factory=list)
    logs_written: dict[PoolUid, float] = field(default_factory=dict)  # when this operator wrote them last
    memory: dict[PoolUid, tuple[int, float]] = field(default_factory=dict)  # MiB of the last submit, and when
    began: bool = False  # the first operator was started

    def breaks(self, promise: str) -> None:
        """Remember the first."""
        self.broken = self.broken or promise

    def restarted(self) -> None:
        """A new operator has been told nothing."""
        if self.began:
            self.restarts.append(self.schedd.now)
        self.began = True
        self.wanted.clear()
        self.caps.clear()
        self.polled = frozenset()
        self.logs_written.clear()
        self.refused_anchors.clear()
        heard = (self.paid, self.largest, self.let_go, self.forgiven, self.eaten, self.failed, self.newest)
        for each in heard:
            each.clear()

    # --- what is done

    def writes_log(self, pool: PoolFacts, workers: Sequence[Mapping[str, str]]) -> None:
        """Each worker's own words, of the newest few, and at most once in ten seconds."""
        last = self.logs_written.get(pool.uid, -math.inf)
        self.logs_written[pool.uid] = self.schedd.now
        if self.schedd.now - last < worker_logs.PAUSE_SECONDS - 1:
            self.breaks(f"logs are written at a bounded rate: twice of {pool.name}")
        names = [worker["name"] for worker in workers]
        if not 0 < len(names) == len(set(names)) <= MAX_WORKERS:
            self.breaks(f"a log has each of the newest few once: {names}")
        for worker in workers:
            if f"htcdask: worker {worker['name']} " not in worker["text"]:
                self.breaks(f"a log has a worker's own words alone: {worker}")

    def submits(self, description: Mapping[str, str], names: Sequence[WorkerName], ahead: float) -> None:
        """Σ live <= N, no limit exceeded, no name twice. `ahead`: the access point's clock."""
        self.deeds.append(f"submit {', '.join(names)}")
        pool, cluster, user = (
            description[f"My.{attribute}"].strip('"')
            for attribute in ("HTCDaskPoolUID", "HTCDaskClusterUID", "HTCDaskUser")
        )
        ours = [entry for entry in self.schedd.queue.values() if entry.operator == "htcdask"]
        live = [entry.job for entry in ours if lives(entry.job) and self._may_be_known(entry)]
        its = [job for job in live if job.cluster_uid == cluster]
        own = sum(self._known(job) for job in its) + len(names)
        # Who is about to retire, and has a successor, counts for limits alone.
        succeeded = {job.succeeds for job in its} | {description.get("My.HTCDaskSucceeds", "").strip('"')}
        retiring = [job for job in its if job.worker in succeeded]
        self._succeeds(description, its, ahead)
        there = {job.worker for job in its}
        turn = self.schedd.now + TURN_SECONDS - A_MOMENT
        # Nor does who waits for its turn, and whose predecessor went before its time.
        retiring += [job for job in its if job.succeeds not in ("", *there) and (job.connects_at or 0) > turn]
        count = own - sum(self._known(job) for job in retiring)
        wanted = self.wanted.get(cluster, 0)
        if count > wanted:
            self.breaks(f"no more workers than wanted: {count} after this submit, {wanted} wanted")
        of_pool = sum(job.pool_uid == pool for job in live) + len(names)
        of_pool -= sum(job.pool_uid == pool for job in retiring)
        if of_pool > min(self.caps.get(pool, 0), self.policy.max_replicas_per_pool):
            self.breaks(f"no more workers than a pool may have: {of_pool} after this submit")
        # Others' workers count as of the last poll: what was submitted since then is nobody's fault.
        known = [job for job in live if job.cluster_uid != cluster and job.id in self.polled]
        limits = (
            (self.policy.max_replicas, known, "the site"),
            (self.policy.max_replicas_per_user, [job for job in known if job.user == user], "one user"),
        )
        for limit, others, whose in limits:
            if limit is not None and own + len(others) > limit:
                count = own + len(others)
                self.breaks(f"no more workers than {whose} may have: {count} after this submit of {limit}")
        self._asks_for_enough_and_no_more(pool, description)
        self.is_of(description)
        self._keeps_pace(pool, len(names))
        for name in names:
            self.names[cluster, name] += 1
            if self.names[cluster, name] > 1:
                self.breaks(f"no worker name twice: {name}")
            if len(name) > 12 or name.isdigit():
                self.breaks(f"names are short and no numbers: {name}")

    def _succeeds(self, description: Mapping[str, str], live: Sequence[Job], ahead: float) -> None:
        """A successor comes once, shortly before a worker retires, and connects when it has."""
        of = description.get("My.HTCDaskSucceeds", "").strip('"')
        if not of:
            return
        if any(job.succeeds == of for job in live):
            self.breaks(f"one successor for one worker: {of}")
        for job in live:
            if job.worker != of or job.started_at is None or job.lifetime is None:
                continue  # it may just have ended
            retires = job.started_at + lifetime.of_worker(job.lifetime, of)
            if retires - self.schedd.now > LEAD + A_MOMENT:
                self.breaks(f"a successor comes shortly before a worker retires: {of}")
            if float(description["My.HTCDaskConnectsAt"]) + ahead < retires - A_MOMENT:
                self.breaks(f"no successor connects before the worker has retired: {of}")

    def _asks_for_enough_and_no_more(self, pool: PoolUid, description: Mapping[str, str]) -> None:
        """A worker's memory grows by what its profile says, never above that, and does not go up and down."""
        asked, before = int(description["request_memory"]), self.memory.get(pool)
        profile = self.policy.profiles.get(description.get("My.HTCDaskProfile", "").strip('"'))
        most = None if profile is None else profile.max_memory
        if before is not None and asked != before[0] and (most is None or asked > most / 2**20):
            self.breaks(f"no worker requests more memory than its profile allows: {asked} MiB")
        if before is not None and asked < before[0] and before[1] > max(self.restarts, default=0.0):
            self.breaks(f"no worker requests less memory than the one before: {asked} MiB of {before[0]}")
        self.memory[pool] = (asked, self.schedd.now)

    @contextmanager
    def unless_refused(self, description: Mapping[str, str], count: int) -> Iterator[None]:
        """What the access point does not take is no submit, and costs no pace."""
        try:
            yield
        except SubmitRefused:
            self._pays(description["My.HTCDaskPoolUID"].strip('"'), -count)
            self.deeds.pop()
            raise

    def is_of(self, description: Mapping[str, str]) -> None:
        """A job of this template is submitted."""
        pool, template = (description[f"My.HTCDask{what}"].strip('"') for what in ("PoolUID", "Template"))
        if self.newest.get(pool, ("",))[0] != template:
            self.newest[pool] = (template, self.clock())

    def _keeps_pace(self, pool: PoolUid, count: int) -> None:
        """No history submits more than the pace allows: whatever becomes of the jobs, but for good ends.

        A submit counts from when it was decided: an access point may answer half a minute later.
        """
        rate = PACE(self.largest.get(pool, 0))
        used = self._pays(pool, count)
        if used > rate.burst + 0.5:
            most = f"{rate.burst} at once and one more in {rate.seconds:.0f} s"
            self.breaks(f"no more submits than the pace allows: {used:.0f}, where {most} are the most")

    def _pays(self, pool: PoolUid, count: int) -> float:
        rate, before = PACE(self.largest.get(pool, 0)), self.paid.get(pool, Spent())
        decided = max(before.at, self.decided.get(pool, 0.0))
        self.paid[pool] = before.more(count, rate, decided)
        return self.paid[pool].used

    def _forgives(self, planned: Plan, observed: Observed) -> None:
        """Who lived for its time, or goes as somebody wished, makes room for another that costs nothing."""
        if isinstance(observed.jobs, Unseen):
            return
        asked = most = self.policy.max_replicas_per_pool
        if isinstance(observed.cluster, ClusterFacts):
            told = (observed.cluster.replicas, observed.least_asked)
            asked = min(count for count in told if count is not None)
        live = Counter(job.pool_uid for job in observed.jobs if lives(job))
        its = {job.id: job for job in observed.jobs}
        queue = self.schedd.queue
        expected = Counter(queue[id_].job.pool_uid for id_ in self.told & queue.keys() if id_ not in its)
        # Who ends in order at once, where nobody is missing, was sent home: fewer were wanted a moment ago.
        early = {
            job.pool_uid
            for job in observed.jobs
            if job.exit_code == 0 and job.ran is not None and job.ran < EARLY_SECONDS
        }
        wants_fewer = isinstance(observed.cluster, ClusterFacts) and sum(live.values()) > asked
        for uid, status in planned.statuses.items():
            count = max(status.desired_replicas or 0, min(asked, most))
            self.largest[uid] = max(count, self.largest.get(uid, 0))
        for job in observed.jobs:
            its_status = planned.statuses.get(job.pool_uid)
            desired = math.inf if its_status is None else its_status.desired_replicas or 0
            there = live[job.pool_uid] + expected[job.pool_uid]
            sent_home = job.pool_uid in early and there >= desired
            if wants_fewer or sent_home or live[job.pool_uid] > desired:
                self.let_go.add(job.id)
        for action in planned.actions:
            if isinstance(action, Remove):
                for job in (its[id_] for id_ in action.jobs if id_ in its and id_ not in self.forgiven):
                    if action.reason == SCALE_DOWN or self._ended_well(job):
                        self.forgiven.add(job.id)
                        self._pays(job.pool_uid, -1)

    def _ended_well(self, job: Job) -> bool:
        lived = job.ran is not None and job.ran >= LIVED
        return job.exit_code == 0 and (lived or bool(job.succeeds) or job.id in self.let_go)

    def is_eaten(self, job: Job, now: float, ahead: float, *, lives_elsewhere: bool) -> None:
        """A machine that eats workers while others live is avoided: new ones go on elsewhere."""
        if not lives_elsewhere:
            self.eaten.pop(job.pool_uid, None)
            return
        times, queued_at = self.eaten.setdefault(job.pool_uid, []), job.queued_at - ahead
        elsewhere = (at for machine, at in self._failed_of(job.pool_uid).items() if machine != job.machine)
        last = max((*times[-1:], *(at for at in elsewhere if now - at < EVENT)), default=-math.inf)
        if queued_at < last + A_LOOK:
            return  # of the same event, or nobody knew of the last one yet
        times.append(now)
        if len(times) > EATEN:
            self.breaks(f"a machine that eats workers is avoided: {job.worker} came to {job.machine}")

    def shows(self, jobs: Sequence[Job]) -> None:
        """An answer of the queue."""
        for job in jobs:
            if job.exit_code and job.machine is not None and job.id not in self.shown_failed:
                self.shown_failed.add(job.id)
                self._failed_of(job.pool_uid)[job.machine] = self.clock()

    def _failed_of(self, pool: PoolUid) -> dict[str, float]:
        return self.failed.setdefault(pool, {})

    def _known(self, job: Job) -> bool:
        """A pool that was robbed of its finalizer leaves jobs: they count as of the last poll."""
        return job.id in self.polled or job.pool_uid in self.pools_there()

    def removes(self, jobs: Sequence[JobId], reason: str, now: float) -> None:
        """No busy worker for scale-down, no anchor before its workers, nothing of others."""
        self.deeds.append(f"remove {', '.join(jobs)}: {reason}")
        for id_ in jobs:
            entry = self.schedd.queue.get(id_)
            if entry is None:
                continue
            if entry.operator != "htcdask":
                self.breaks(f"only what is ours is touched: {id_}")
            job = entry.job
            if job.role is Role.ANCHOR:
                its = [other for other in self.schedd.queue.values() if other.anchor == id_]
                its = [other for other in its if not ended(other.job) and self._may_be_known(other)]
                left = [other.job.worker for other in its if self._known(other.job)]
                if left:
                    self.breaks(f"no anchor goes before its workers: {', '.join(left)} of {id_}")
            elif reason == SCALE_DOWN and job.status is not JobStatus.HELD:  # whose process has ended
                since = self.busy_since(job.worker)
                if since is not None and now - since > LONG_BUSY:
                    self.breaks(f"no worker in the middle of a task is removed for scale-down: {job.worker}")

    def lets_go(self, uid: PoolUid, name: str) -> None:
        """Nothing of a pool is left in the queue when it goes."""
        its = [entry for entry in self.schedd.queue.values() if entry.job.pool_uid == uid]
        left = [entry.job.id for entry in its if self._may_be_known(entry)]
        if left:
            self.breaks(f"no pool goes before its jobs: {', '.join(left)} of {name}")

    def _may_be_known(self, entry: Entry) -> bool:
        """Nobody can know of a job that no answer shows, but who was told of it when it was submitted.

        And that for as long as its lease, which nobody renews: what waits ends with it.
        """
        queued_at = entry.job.queued_at
        told = entry.job.id in self.told and queued_at > max(self.restarts, default=0.0)
        return not entry.hidden or (
            told and self.schedd.now - queued_at < self.policy.job_expiry_seconds - _A_CYCLE
        )

    # --- what is decided

    def planner(self, decide: Planner) -> Planner:
        """The planner, looked at: it never raises, does nothing unseen, and comes to rest."""

        def watched(
            pools: Sequence[PoolFacts], observed: Observed, memory: ClusterMemory, policy: Policy, now: float
        ) -> Plan:
            planned = decide(pools, observed, memory, policy, now)
            by_uid = {pool.uid: pool for pool in pools}
            for action in planned.actions:
                wrong = _unseen(action, observed, by_uid)
                if wrong is not None:
                    self.breaks(f"what is not seen is not touched: {wrong}")
                if isinstance(action, Remove) and action.reason == SCALE_DOWN:
                    self._spares(action, observed)
                if isinstance(action, SubmitWorkers):
                    self._avoids(action, planned.memory.avoided, now)
            self.decided.update(dict.fromkeys(planned.statuses, now))
            self._forgives(planned, observed)
            if not planned.actions:
                after = [replace(pool, status=planned.statuses[pool.uid]) for pool in pools]
                again = decide(after, observed, planned.memory, policy, now)
                if again.actions or again.statuses != planned.statuses:
                    self.breaks(f"what is planned twice is the same: {_difference(planned, again)}")
            return planned

        return watched

    def _avoids(self, action: SubmitWorkers, avoided: Avoided, now: float) -> None:
        """No worker is sent to a machine that is known to eat them."""
        for machine, until in avoided.items():
            if until > now and f'"{machine}"' not in action.description["My.Requirements"]:
                self.breaks(f"no worker goes to a machine that is avoided: {machine}")

    def _spares(self, action: Remove, observed: Observed) -> None:
        """Scale-down, as it was decided: nobody who is busy, and nobody who may be."""
        jobs = () if isinstance(observed.jobs, Unseen) else observed.jobs
        for job in jobs:
            if job.id in action.jobs and job.status is JobStatus.RUNNING:
                if isinstance(observed.connected, Unseen | Unnamed):
                    self.breaks(f"nobody who may be busy is removed for scale-down: {job.worker}")
                elif job.worker in observed.busy:
                    self.breaks(f"no worker in the middle of a task is removed for scale-down: {job.worker}")


def _difference(planned: Plan, again: Plan) -> str:
    changes = [
        f"{field} {old!r} -> {getattr(again.statuses[uid], field)!r}"
        for uid, status in planned.statuses.items()
        for field, old in status
        if old != getattr(again.statuses[uid], field)
    ]
    return "; ".join([*changes, *map(repr, again.actions)])


def _unseen(action: object, observed: Observed, pools: Mapping[PoolUid, PoolFacts]) -> str | None:
    """What is wrong with this action, for what was seen."""
    jobs = isinstance(observed.jobs, Unseen)
    cluster = isinstance(observed.cluster, Unseen)
    match action:
        case SubmitWorkers() if jobs or cluster or isinstance(observed.connected, Unseen):
            return "workers submitted"
        case SubmitAnchor() if jobs or cluster:
            return "an anchor submitted"
        case CreatePool() if cluster:
            return "a pool made"
        case SubmitWorkers(pool) | SubmitAnchor(pool) if pools[pool].deleting or not pools[pool].finalized:
            return "a submit for a pool that may vanish"
        case Remove() | HoldAnchor() if jobs:
            return "jobs removed or held"
        case Remove(_, _, reason) if cluster and "deleted" not in reason:
            return "jobs of a cluster that was not seen"
        case RemoveFinalizer(pool) if not pools[pool].release_without_cleanup:
            seen = () if isinstance(observed.jobs, Unseen) else observed.jobs
            if jobs or any(job.pool_uid == pool for job in seen):
                return "a pool released with jobs"
        case _:
            pass
    return None


def _template(description: Mapping[str, str]) -> tuple[str, str]:
    return description["My.HTCDaskPoolUID"], description["My.HTCDaskTemplate"]


class WatchedCondor(FakeCondor):
    """The access point, and what is asked of it."""

    def __init__(self, promises: Promises) -> None:
        super().__init__(promises.schedd, "htcdask")
        self._promises = promises

    async def jobs(self, also: Collection[str] = ()) -> tuple[Job, ...]:
        jobs = await super().jobs(also)
        self._promises.polled = frozenset(job.id for job in jobs)
        self._promises.shows(jobs)
        return jobs

    async def jobs_of(self, pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        jobs = await super().jobs_of(pool, also)
        self._promises.shows(jobs)
        return jobs

    async def submit_anchor(
        self, description: Mapping[str, str], bundle: bytes, identity: str | None = None
    ) -> JobId:
        self._promises.deeds.append("submit an anchor")
        self._promises.is_of(description)
        try:
            return await super().submit_anchor(description, bundle, identity)
        except RuleRefused:
            self._promises.refused_anchors.add(_template(description))
            raise
        except SubmitRefused:
            self._promises.deeds.pop()
            raise

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName], identity: str | None = None
    ) -> tuple[JobId, ...]:
        self._promises.submits(description, names, self.ahead)
        with self._promises.unless_refused(description, len(names)):
            return await super().submit_workers(description, names, identity)

    async def spool_workers(
        self,
        description: Mapping[str, str],
        names: Sequence[WorkerName],
        bundle: bytes,
        identity: str | None = None,
    ) -> tuple[JobId, ...]:
        self._promises.submits(description, names, self.ahead)
        if _template(description) not in self._promises.refused_anchors:
            self._promises.breaks("files come with workers only where their anchor was refused")
        with self._promises.unless_refused(description, len(names)):
            return await super().spool_workers(description, names, bundle, identity)

    async def hold(self, jobs: Sequence[JobId], reason: str) -> None:
        self._promises.deeds.append(f"hold {', '.join(jobs)}")
        await super().hold(jobs, reason)

    async def remove(self, jobs: Sequence[JobId], reason: str) -> None:
        self._promises.removes(jobs, reason, self.schedd.now - self.ahead)
        await super().remove(jobs, reason)


class WatchedKube(FakeKube):
    """The API server, and what it told the operator."""

    def __init__(self, promises: Promises) -> None:
        super().__init__()
        self._promises = promises
        self.refuses: Callable[[], bool] = lambda: False

    async def cluster(self, namespace: str, name: str) -> ClusterFacts | Gone:
        facts = await super().cluster(namespace, name)
        if isinstance(facts, ClusterFacts):
            self._promises.wanted[facts.uid] = facts.replicas
        return facts

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        pools = await super().pools(namespace, cluster)
        if cluster is not None:  # lists of all are the sweep's: no cycle hears of them
            self._promises.caps.update({pool.uid: pool.spec.max_replicas for pool in pools})
        return pools

    def uids(self) -> set[PoolUid]:
        """The pools that are there."""
        return {body["metadata"]["uid"] for body in self.pool_bodies.values()}

    async def remove_finalizer(self, pool: PoolFacts) -> None:
        if not pool.release_without_cleanup:
            self._promises.lets_go(pool.uid, pool.name)
        self._promises.deeds.append(f"let go of {pool.name}")
        await super().remove_finalizer(pool)

    async def add_finalizer(self, pool: PoolFacts) -> None:
        self._promises.deeds.append(f"keep {pool.name}")
        await super().add_finalizer(pool)

    async def credentials(self, namespace: str, secret: str) -> Credentials:
        if self.refuses():
            raise KubeError(f"Secret {namespace}/{secret}", "forbidden", 403)
        return await super().credentials(namespace, secret)

    async def publish(self, pool: PoolFacts, status: PoolStatus) -> None:
        await super().publish(pool, status)
        if self._promises.takes_no_more():  # it is tried, and told, for as long as that lasts
            return
        changes = [f"{field} {new!r}" for field, new in status if new != getattr(pool.status, field)]
        self._promises.deeds.append(f"publish of {pool.name}: {'; '.join(changes)}")

    async def write_log(self, pool: PoolFacts, new: Sequence[WorkerLog], now: float) -> int:
        size = await super().write_log(pool, new, now)
        self._promises.deeds.append(f"logs of {pool.name}: {', '.join(log.name for log in new)}")
        self._promises.writes_log(pool, self.log_bodies[pool.namespace, pool.name]["workers"])
        return size

    async def adopt(self, pool: PoolFacts, cluster: ClusterUid) -> None:
        self._promises.deeds.append(f"adopt {pool.name}")
        await super().adopt(pool, cluster)

    async def create_pool(self, namespace: str, name: str, cluster: str, uid: ClusterUid) -> None:
        self._promises.deeds.append(f"create {name}")
        await super().create_pool(namespace, name, cluster, uid)
