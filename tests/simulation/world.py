"""Everything outside, one operator after the other, and the time that passes: one history happens in here."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from htcdask_api import Template
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import Job, JobStatus, Observed, PoolFacts, PoolUid, Role
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.core.pools import cluster
from htcdask_operator.core.scaling import desired
from htcdask_operator.kube import clusters, pools
from htcdask_operator.reconcile.cycle import Planner
from tests.builders import IMAGE, make_policy, make_usage
from tests.fakes.condor import FakeSchedd, Life, moved
from tests.simulation.clock import Clock
from tests.simulation.dask import PAGE, Schedulers
from tests.simulation.gateway import MAX_WORKERS, Gateway
from tests.simulation.line import Lines
from tests.simulation.operator import Complaints, Operator
from tests.simulation.promises import Broken, Promises, WatchedCondor, WatchedKube, lives

POLICY = make_policy(
    default_template=Template(container_image=IMAGE),
    max_replicas_per_pool=8,
    job_expiry_seconds=400.0,
    connect_seconds=30.0,
    backoff_last_seconds=40.0,
    drain_seconds=300.0,
    suspended_seconds=60.0,
    profiles={"big": Profile("big", Template(memory="2Gi"), max_memory=5 * 2**30)},
)
USERS = {"one": "alice", "two": "alice", "bobs": "bob"}
PATIENCE = 600  # seconds in which everything is as it should be, once nothing fails any more
REST = 40  # seconds in which nothing may be done then
RESTLESS = 600  # seconds more, in which what went on before may still be told, and given up
BAD_IMAGE, NO_SLOTS = "the image is bad", "the pool has one slot"
NO_NETWORK, NO_HEARTBEATS = "no worker reaches its scheduler", "no heartbeat reaches the gateway"
NO_SECRET, NO_ANCHOR = "the cluster's Secret cannot be read", "every submit of an anchor hangs"
NO_PLAN = "no Manual pool can be planned, by a mistake of the operator"
REMOVER, ANCHOR_REMOVER = "somebody removes every worker", "somebody removes every anchor"
EVICTOR, SUSPENDER = "every worker is evicted at once", "every worker is suspended after ten seconds"
IMPATIENT, QUITTER = "every worker ends with 0 after six seconds", "every worker ends with 0 after 70 s"
BAD_IMAGE_UNSAID = "the image is bad, and the access point does not say so"
HIDDEN = "the queue does not show what is submitted"
DEAD = "node1 is dead"
EATER = "node2 takes every worker that may go there, and each fails after two seconds"
ANCHOR_RULE = "a rule of the access point refuses every anchor"
HUNGRY, STARVING = "every worker needs 4 GiB", "every worker needs more memory than there is"
NAMELESS = "no scheduler names its workers"
OF_USE = 75.0  # a worker that is connected for so long is of use, and everybody has heard of it
OUTDATED = 45.0  # so long may a worker of another template wait beside one of the new
A_WORD = 5.0  # so long may a number be on its way to the operator
UNDISTURBED = 90.0  # the last question that hung has ended, and the cycle after it too


class World:
    """One history."""

    def __init__(self, clock: Clock, planner: Planner = plan) -> None:
        self.clock = clock
        self.schedd = FakeSchedd(clock.now, machines=3, life=self._life)
        self.schedulers = Schedulers(self.schedd)
        self.policy = POLICY
        self.promises = Promises(
            self.schedd, POLICY, clock, self.is_full, busy_since=self.schedulers.busy_since
        )
        self.kube = WatchedKube(self.promises)
        self.promises.pools_there = self.kube.uids
        self.condor = WatchedCondor(self.promises)
        self.schedulers.told = self._told
        self.gateway = Gateway(self.kube, self.schedulers)
        self.lines = Lines(clock)
        self.promises.told = self.lines.told
        self.planner = self.promises.planner(self._mistaken(planner))
        self.bad: dict[str, float] = {}  # by name, as a story tells it, and until when
        self.starts_again = self.started_at = 0.0
        self.disturbed_at = 0.0
        self.troubled_at = 0.0  # the same, or something else was bad than slots and node2
        self.shown_at = 0.0  # when the queue showed again what it had hidden
        self.deleted: dict[PoolUid, float] = {}  # since when each deleted pool has been there
        self.kube.refuses = lambda: self.is_bad(NO_SECRET)
        self.lines.hangs = lambda call: call == "submit_anchor" and self.is_bad(NO_ANCHOR)
        self.schedd.rule = self._rule
        self.operator: Operator | None = None
        self.complaints = Complaints()
        self.foreign = self._foreign_jobs()

    def _foreign_jobs(self) -> dict[str, Job]:
        """Alice wrote our operator's id into her own job; another operator works for the same account."""
        made = [
            self.schedd.foreign("alice@htcdask.test", "htcdask"),
            self.schedd.foreign(self.condor.identity, "another"),
        ]
        for id_ in made:
            self.schedd.queue[id_].matches = False
        return {id_: self.schedd.queue[id_].job for id_ in made}

    def _life(self, worker: str) -> Life:
        return Life(
            f"htcdask: worker {worker} on a node ended\nhello\n", closing=self.schedulers.closing(worker)
        )

    def _rule(self, description: Mapping[str, str]) -> str | None:
        is_anchor = description["My.HTCDaskRole"] == f'"{Role.ANCHOR}"'
        return "No jobs that never run" if is_anchor and self.is_bad(ANCHOR_RULE) else None

    # --- the operator

    def start_operator(self) -> None:
        """A new process, with the site's settings of now."""
        self.promises.restarted()
        self.promises.policy, self.started_at = self.policy, self.clock.now
        for (_, name), dask in self.schedulers.dasks.items():
            if not self._tells_of(name, dask.count):  # the last one ended before it could write it down
                dask.told_at = None
        self.operator = Operator(
            self.lines, self.condor, self.kube, self.schedulers, self.policy, self.planner, self._died
        )

    def _died(self) -> None:
        self.operator = None
        self.starts_again = max(self.starts_again, self.clock.now + 3)

    def kill_operator(self, seconds: float) -> None:
        """It is gone for so long."""
        self.starts_again = self.clock.now + seconds
        if self.operator is not None:
            self.operator.die()

    def is_bad(self, what: str) -> bool:
        """Whether this is so now."""
        return self.clock.now < self.bad.get(what, 0.0)

    def put_access_point_ahead(self, seconds: float) -> None:
        """Its clock has been so far ahead of everybody else's from the beginning."""
        by = seconds - self.condor.ahead
        self.condor.ahead = seconds
        self.schedd.now = self.clock.now + seconds
        for entry in self.schedd.queue.values():
            entry.job = moved(entry.job, by)
        self.foreign = {id_: moved(job, by) for id_, job in self.foreign.items()}

    # --- the jobs of ours

    def ours(self) -> list[Job]:
        """All jobs of this operator."""
        return [
            entry.job
            for entry in self.schedd.queue.values()
            if (entry.operator, entry.owner) == ("htcdask", self.condor.identity)
        ]

    def workers(self, *statuses: JobStatus) -> list[Job]:
        """Worker jobs of ours, in one of these states."""
        return [job for job in self.ours() if job.role is Role.WORKER and job.status in statuses]

    # --- time

    async def run(self, seconds: int) -> None:
        """Let so many seconds pass; Broken if a promise was broken meanwhile."""
        for _ in range(seconds):
            await asyncio.sleep(1)
            self._tick()
            if self.promises.broken is not None:
                raise Broken(self.promises.broken)

    def _tick(self) -> None:
        now = self.clock.now
        self.schedd.now = now + self.condor.ahead
        self.schedd.tick(0)
        self.schedd.slots = 1 if self.is_bad(NO_SLOTS) else 1000
        self.schedulers.workers_connect = not self.is_bad(NO_NETWORK)
        self.schedulers.name_nobody = self.is_bad(NAMELESS)
        self.schedd.attracts = "node2" if self.is_bad(EATER) else None
        self.gateway.heartbeats_arrive = not self.is_bad(NO_HEARTBEATS)
        self._do_to_workers()
        self.schedd.hides = self.is_bad(HIDDEN)
        if not self.schedd.hides:
            for entry in self.schedd.queue.values():
                if entry.hidden:
                    entry.hidden, self.shown_at = False, now
        self.schedd.dead = {"node1"} if self.is_bad(DEAD) else set()
        self.schedulers.tick(now)
        self.gateway.tick(now)
        self.kube.collect_garbage()
        if self.operator is None:
            if now >= self.starts_again:
                self.start_operator()
        elif (why := self.operator.ended()) is not None:
            self.promises.breaks(f"the operator's tasks never end: {why}")
        self._ends_come_first(now)
        if now - self.bad.get(NO_PLAN, 0.0) < 2:
            self.complaints.last = None
        if self.complaints.last is not None:
            self.promises.breaks(f"no cycle fails for a mistake of ours: {self.complaints.last}")
        for id_, job in self.foreign.items():
            if id_ not in self.schedd.queue or self.schedd.queue[id_].job != job:
                self.promises.breaks(f"nothing that is not ours is touched: {id_}")

    def _do_to_workers(self) -> None:
        """What happens to every one of them, while it does."""
        if not any(map(self.is_bad, self.bad)):
            return
        codes = {BAD_IMAGE: 45, BAD_IMAGE_UNSAID: None, EVICTOR: 1022}
        for job in self.workers(JobStatus.RUNNING):
            age = 0.0 if job.started_at is None else self.schedd.now - job.started_at
            for what, code in codes.items():
                if age >= 1 and self.is_bad(what):
                    self.schedd.vacate(job.id, code, "Somebody's reason")
            needs = 2**40 if self.is_bad(STARVING) else 4096 if self.is_bad(HUNGRY) else 0
            if age >= 2 and (job.request_memory_mib or 0) < needs:
                self.schedd.run_out_of_memory(job.id)
            if age >= 10 and self.is_bad(SUSPENDER):
                self.schedd.suspend(job.id)
            if (age >= 6 and self.is_bad(IMPATIENT)) or (age >= 70 and self.is_bad(QUITTER)):
                self.schedd.end(job.id, 0)
            if age >= 2 and self.is_bad(EATER) and job.machine == "node2":
                self._is_eaten(job)
                self.schedd.end(job.id, 1)
        if self.is_bad(NO_SLOTS) and self._undisturbed(OUTDATED):
            self._replaces_who_waits()
        for job in self.ours():
            removed = REMOVER if job.role is Role.WORKER else ANCHOR_REMOVER
            if self.is_bad(removed) and not job.spooling:
                self.schedd.remove(job.id)

    def _undisturbed(self, seconds: float) -> bool:
        return self.clock.now - self.troubled_at > seconds

    def _is_eaten(self, job: Job) -> None:
        """By node2, while another worker of its pool has long been of use elsewhere, or not."""
        dasks = {dask.uid: dask for dask in self.schedulers.dasks.values() if dask.offers == PAGE}
        serving = () if job.cluster_uid not in dasks else dasks[job.cluster_uid].connected
        lives_elsewhere = self._undisturbed(0) and any(
            other.pool_uid == job.pool_uid
            and other.machine != job.machine
            and other.worker in serving
            and other.started_at is not None
            and self.schedd.now - other.started_at >= OF_USE
            for other in self.workers(JobStatus.RUNNING)
        )
        self.promises.is_eaten(job, self.clock.now, self.condor.ahead, lives_elsewhere=lives_elsewhere)

    def _replaces_who_waits(self) -> None:
        """Who waits for a slot, and is of another template than what came since, does not wait for ever."""
        for job in self.workers(JobStatus.IDLE):
            template, since = self.promises.newest.get(job.pool_uid, ("", math.inf))
            if not job.vacated and job.template_hash != template and self.clock.now - since > OUTDATED:
                self.promises.breaks(f"who waits is of the newest template: {job.worker} is not")

    def _mistaken(self, planner: Planner) -> Planner:
        """Planning a Manual pool may fail, as if the core had a mistake."""

        def planned(
            pools: Sequence[PoolFacts], observed: Observed, memory: ClusterMemory, policy: Policy, now: float
        ) -> Plan:
            if self.is_bad(NO_PLAN):
                pools = [_odd(pool) if pool.spec.scaling == "Manual" else pool for pool in pools]
            return planner(pools, observed, memory, policy, now)

        return planned

    def _ends_come_first(self, now: float) -> None:
        """A deleted pool's workers are told to end, whatever fails for the other pools of its cluster."""
        if self.operator is None or self.lines.troubles or self.lines.any_down():
            self.disturbed_at = self.troubled_at = now
        if any(self.is_bad(what) for what in self.bad if what not in (NO_SLOTS, EATER)):
            self.troubled_at = now
        deleted = {
            body["metadata"]["uid"]
            for body in self.kube.pool_bodies.values()
            if body["metadata"].get("deletionTimestamp")
        }
        self.deleted = {uid: self.deleted.get(uid, now) for uid in deleted}
        if not deleted:
            return
        for job in self.ours():
            if self.schedd.queue[job.id].hidden:
                continue  # nobody removes what no answer shows
            since = max(self.deleted.get(job.pool_uid, now), self.disturbed_at, self.shown_at)
            if lives(job) and now - since > UNDISTURBED:
                self.promises.breaks(f"ends come first: {job.id} lives on after its pool was deleted")

    # --- the end of a history

    def calm(self) -> None:
        """Nothing fails any more."""
        self.lines.troubles.clear()
        self.lines.down.clear()
        self.bad.clear()
        self.complaints.last = None
        self.starts_again = min(self.starts_again, self.clock.now)
        if self.policy.max_runtime_seconds is not None:  # or they would come and go for ever
            self.policy = replace(self.policy, max_runtime_seconds=None)
            self.kill_operator(1)
        for job in self.ours():  # who is suspended stays so, and is replaced
            entry = self.schedd.queue[job.id]
            entry.job = replace(entry.job, lifetime=None, succeeds="", connects_at=None)
        for dask in self.schedulers.dasks.values():
            dask.busy.clear()
            dask.beat_at = 0.0  # what was forged is written over by the next heartbeat

    async def settle(self) -> None:
        """Everybody gets what they should have, and then nothing is done any more."""
        self.calm()
        await self.run(5)
        left = PATIENCE
        while (wrong := await self._not_reached()) is not None:
            if left <= 0:
                raise Broken(f"it comes to what is wanted: {wrong}")
            left -= 5
            await self.run(5)
        left = RESTLESS  # what went on for long is told, counted and forgotten for a while after
        while done := await self._deeds_in_rest():
            if left <= 0:
                raise Broken(
                    f"it comes to rest: {len(done)} deeds in {REST} quiet seconds, such as {done[-1]}"
                )
            left -= REST
        if (wrong := self.unsettled()) is not None:
            raise Broken(f"what was reached stays: {wrong}")

    async def _not_reached(self) -> str | None:
        """What is wrong now, or once the last question that hung has ended and the next poll has come.

        Before that, nothing may be wrong by chance: nobody was told yet what a Manual pool wants.
        """
        wrong = self.unsettled()
        if wrong is None:
            await self.run(60)
            wrong = self.unsettled()
        return wrong

    async def _deeds_in_rest(self) -> Sequence[str]:
        before = len(self.promises.deeds)
        await self.run(REST)
        return self.promises.deeds[before:]

    def unsettled(self) -> str | None:
        """What is not yet as it should be."""
        facts = [pools.facts(body) for body in self.kube.pool_bodies.values()]
        wanted = self._wanted(facts)
        live: Counter[PoolUid] = Counter()
        for job in self.ours():
            if job.pool_uid not in wanted:
                return f"job {job.id} is left of a pool or a cluster that has ended"
            if job.status is JobStatus.REMOVED:
                return f"job {job.id} is still on its way out"
            live[job.pool_uid] += lives(job)
        for pool in facts:
            if pool.deleting:
                return f"pool {pool.name} is still being deleted"
            there, count = live[pool.uid], wanted.get(pool.uid, 0)
            full = self.is_full() or self._full(pool.spec.cluster_ref.name, facts, live)
            if there > count or (there < count and not full):
                return f"pool {pool.name} has {there} workers and should have {count}"
            if pool.status.observed_generation != pool.generation:
                return f"pool {pool.name} says nothing of its newest spec"
            said = (pool.status.replicas, pool.status.desired_replicas)
            # Where the access point takes no more, those of a neighbour's try counted for a moment.
            least = there if self.is_full() else count
            if said[0] != there or not least <= said[1] <= count:
                return f"pool {pool.name} has {there} of {count} workers and says {said[0]} of {said[1]}"
            anchors = [job for job in self.ours() if job.role is Role.ANCHOR and job.pool_uid == pool.uid]
            if pool.uid in wanted and not self._kept(pool, anchors) and not self.is_full():
                return f"pool {pool.name} has {len(anchors)} anchors, and not one that can be used"
        return self._not_connected() or self._not_asked_for(facts, wanted)

    def _not_asked_for(self, facts: Sequence[PoolFacts], wanted: Mapping[PoolUid, int]) -> str | None:
        """Where a pool follows its scheduler: this wants what was asked for last, or what Manual pools have.

        What adapt() finds only its scheduler knows, until it is told another number; the next operator knows
        that by the status.
        """
        for (_, name), dask in self.schedulers.dasks.items():
            its = [pool for pool in facts if pool.spec.cluster_ref.name == name and pool.uid in wanted]
            if desired.gateway_pool(its) is None:
                continue
            manual = sum(wanted[pool.uid] for pool in its if pool.spec.scaling == "Manual")
            wants = f"the scheduler of {name} wants {dask.count}"
            if (asked := dask.word[0]) is not None:
                if min(dask.count, MAX_WORKERS) != min(max(asked, manual), MAX_WORKERS):
                    return f"{wants}; {asked} were asked for, and {manual} by Manual pools"
                continue
            if dask.told_at is None or dask.asked is None:
                continue
            if dask.count > max(dask.asked, manual):
                return f"{wants}, as it was told; {dask.asked} were asked for, and {manual} by Manual pools"
            if dask.count < dask.asked:
                return f"{wants}, as it was told; {dask.asked} were asked for"
            if dask.count > dask.asked and not self._tells_of(name, dask.count):
                return f"no status tells that the scheduler of {name} was told to want {dask.count}"
        return None

    def _told(self, cluster: str, count: int) -> None:
        """An operator tells a scheduler this number."""
        self.promises.deeds.append(f"tell {cluster}: {count}")
        dask = self.gateway.dask(cluster)
        facts = (pools.facts(body) for body in self.kube.pool_bodies.values())
        its = [pool for pool in facts if pool.spec.cluster_ref.name == cluster]
        if dask is None or dask.word[0] is not None:
            return
        is_news = dask.told_at is None and dask.count != dask.said  # to everybody but its user
        if is_news or self.disturbed_at > dask.asked_at or self.clock.now - dask.asked_at < A_WORD:
            dask.asked = None  # what adapt() has just found is lost, or not
        elif dask.asked is not None and desired.gateway_pool(its) is None:
            dask.asked = min(dask.asked, count)  # it is told what Manual pools have

    def _tells_of(self, cluster: str, count: int) -> bool:
        """Whether the status of a pool says that its scheduler was told this number."""
        its = (pools.facts(body) for body in self.kube.pool_bodies.values())
        told = (pool.status.scheduler_told for pool in its if pool.spec.cluster_ref.name == cluster)
        return any(each is not None and each.replicas == count for each in told)

    def is_full(self) -> bool:
        """Whether the access point takes no job of ours any more."""
        return self.schedd.limit(self.condor.identity, 1) is not None

    def _kept(self, pool: PoolFacts, anchors: Sequence[Job]) -> bool:
        """Whether the workers' files are where they should be, once; a stalled pool needs none."""
        stalled = pool.status.condition("Stalled")
        if stalled is not None and stalled.status == "True":
            return True
        reachable = pool.status.condition("CondorReachable")
        if reachable is not None and reachable.reason == "FilesSpooledWithWorkers" and not anchors:
            return True
        held = [job for job in anchors if job.status is JobStatus.HELD and not job.spooling]
        used = {job.template_hash for job in self.ours() if job.role is Role.WORKER}
        idle = [job for job in held if job.template_hash not in used]
        return len(held) == len(anchors) and len(idle) <= 1 and bool(held)

    def _not_connected(self) -> str | None:
        connected = {worker for dask in self.schedulers.dasks.values() for worker in dask.connected}
        for job in self.ours():
            if lives(job) and job.status is not JobStatus.HELD and job.worker not in connected:
                return f"worker {job.worker} is not connected"
        return None

    def _wanted(self, facts: Sequence[PoolFacts]) -> dict[PoolUid, int]:
        """How many workers each pool should have by the core's own word; the others should have no job."""
        wanted: dict[PoolUid, int] = {}
        for name in {pool.spec.cluster_ref.name for pool in facts}:
            body = self.gateway.body(name)
            if body is None:
                continue
            its = sorted((pool for pool in facts if pool.spec.cluster_ref.name == name), key=desired.by_age)
            uids = {pool.uid for pool in its}
            jobs = self.ours()
            its_cluster = clusters.facts(body)
            observed = Observed(
                its_cluster,
                tuple(job for job in jobs if job.pool_uid in uids),
                frozenset(),
                orphans=tuple(job for job in jobs if job.pool_uid not in uids),
                usage=make_usage(jobs, self.policy, *uids, user=its_cluster.username),
            )
            sights = cluster.seen(its, observed, ClusterMemory(), self.policy, self.clock.now)
            allocations = cluster.allocations(sights, observed, self.policy)
            for sight in sights:
                if not sight.ends:
                    wanted[sight.uid] = allocations[sight.uid].replicas
        return wanted

    def _full(self, name: str, facts: Sequence[PoolFacts], live: Mapping[PoolUid, int]) -> bool:
        """Whether the cluster's pools have together what its scheduler asks for, if not each its part."""
        its = [pool.uid for pool in facts if pool.spec.cluster_ref.name == name]
        return sum(live.get(uid, 0) for uid in its) == self.gateway.wanted(name)


def _odd(pool: PoolFacts) -> PoolFacts:
    """A number that is none, where the core trusts that it is one."""
    return replace(pool, spec=pool.spec.model_copy(update={"max_replicas": None}))


@contextmanager
def quiet(complaints: Complaints) -> Iterator[None]:
    """The operator's log is not what a history is about; afterwards it is as it was."""
    logger = logging.getLogger("htcdask_operator")
    before = logger.handlers, logger.propagate, logger.level
    logger.handlers, logger.propagate = [complaints], False
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[:2]
        logger.setLevel(before[2])
