"""Whatever happens, in whatever order: what the core promises holds at every step, and it converges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from htcdask_operator.core import triage
from htcdask_operator.core.actions import Plan, Release, Remove, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.model import ClusterFacts, Gone, Job, JobStatus, Observed, Role
from tests.builders import NOW, make_cluster, make_pool
from tests.unit.core.world import RUNS, World

COUNTS = st.integers(0, 6)
PICK = st.integers(0, 1000)
HOLDS = st.sampled_from([0, 1, 6, 13, 15, 22, 34, 46, 99])
VACATES = st.sampled_from([None, 45, 1002, 1008, 1022, 1026, 4711])


class Life(RuleBasedStateMachine):
    """One cluster with up to three pools, and everything that can happen to it."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World({})

    @initialize(wanted=COUNTS, replicas=COUNTS)
    def begin(self, wanted: int, replicas: int) -> None:
        first = make_pool("first", owner_uid=None, created_at=NOW - 50)
        manual = make_pool("manual", owner_uid=None, scaling="Manual", replicas=replicas, created_at=NOW - 40)
        second = make_pool("second", owner_uid=None, created_at=NOW - 30)
        self.world = World({pool.uid: pool for pool in (first, manual, second)}, make_cluster(wanted))

    # --- What people and the scheduler do.

    @rule(wanted=COUNTS)
    def scale(self, wanted: int) -> None:
        if isinstance(self.world.cluster, ClusterFacts):
            self.world.cluster = replace(self.world.cluster, wanted=wanted)

    @rule(pick=PICK)
    @precondition(lambda self: self.world.pools)
    def delete_a_pool(self, pick: int) -> None:
        uids = sorted(self.world.pools)
        uid = uids[pick % len(uids)]
        if pick % 4 == 0:
            self.world.pools[uid] = replace(self.world.pools[uid], deleting=True)

    @rule(pick=PICK)
    def end_the_cluster(self, pick: int) -> None:
        if pick % 7 == 0 and isinstance(self.world.cluster, ClusterFacts):
            stopped = replace(self.world.cluster, active=False, running=False, phase="Stopped", wanted=0)
            self.world.cluster = Gone() if pick % 2 else stopped

    # --- What HTCondor does.

    @rule()
    def stage(self) -> None:
        self.world.stage()

    @rule(pick=PICK)
    def start_a_worker(self, pick: int) -> None:
        self._one(pick, [JobStatus.IDLE], self.world.start)

    @rule(pick=PICK)
    def start_and_connect(self, pick: int) -> None:
        self.start_a_worker(pick)
        self.connect(pick)

    @rule(pick=PICK)
    def connect(self, pick: int) -> None:
        self._one(pick, [JobStatus.RUNNING], self.world.connect)

    @rule(pick=PICK, code=st.sampled_from([0, 0, 1, 139]))
    def end_a_worker(self, pick: int, code: int) -> None:
        self._one(pick, RUNS, lambda job: self.world.end(job, code))

    @rule(pick=PICK, code=VACATES)
    def vacate(self, pick: int, code: int | None) -> None:
        self._one(pick, RUNS, lambda job: self.world.vacate(job, code))

    @rule(pick=PICK, code=HOLDS)
    def hold(self, pick: int, code: int) -> None:
        self._one(pick, [*RUNS, JobStatus.IDLE], lambda job: self.world.hold(job, code))

    @rule(pick=PICK)
    def vanish(self, pick: int) -> None:
        jobs = sorted(self.world.jobs)
        if jobs:
            gone = self.world.jobs.pop(jobs[pick % len(jobs)])
            self.world.connected.discard(gone.worker)

    @rule()
    def processes_end(self) -> None:
        self.world.processes_end()

    # --- What fails, and time.

    @rule(what=st.sampled_from(["condor_answers", "api_answers", "scheduler_answers"]), answers=st.booleans())
    def reach(self, what: str, answers: bool) -> None:
        setattr(self.world, what, answers)

    @rule()
    def restart_the_operator(self) -> None:
        self.world.dropped.clear()
        self.world.logs.clear()

    @rule(seconds=st.sampled_from([1.0, 15.0, 130.0, 700.0]))
    def wait(self, seconds: float) -> None:
        self.world.now += seconds

    # --- What must hold.

    @invariant()
    def the_promises_hold(self) -> None:
        world = self.world
        world.now += 0.01  # no two things happen in the same millisecond
        for _ in range(8):
            before = self._live()
            planned = world.plan()
            self._look_at(planned)
            world.apply(planned)
            wanted = world.cluster.wanted if isinstance(world.cluster, ClusterFacts) else 0
            assert self._live() <= max(before, wanted), "more workers than the scheduler asks for"
            if not planned.actions:
                break
        else:
            raise AssertionError(f"it never comes to rest: {planned.actions}")
        again = world.plan()
        assert again.actions == ()
        assert again.statuses == {uid: pool.status for uid, pool in world.pools.items()}
        assert again.wake_at is None or again.wake_at > world.now
        assert len(set(world.submitted)) == len(world.submitted), "a name was used twice"
        assert all(len(name) <= 12 and not name.isdigit() for name in world.submitted)

    def _look_at(self, planned: Plan) -> None:
        world = self.world
        for action in planned.actions:
            if isinstance(action, SubmitWorkers | SubmitAnchor):
                assert world.condor_answers and world.api_answers
                assert not world.pools[action.pool].deleting
                assert isinstance(world.cluster, ClusterFacts) and world.cluster.active
            if isinstance(action, SubmitWorkers):
                assert world.scheduler_answers
            if isinstance(action, Release):
                assert world.condor_answers
                assert not any(job.pool_uid == action.pool for job in world.jobs.values())
            if isinstance(action, Remove):
                assert world.condor_answers
                self._look_at_removal(action)

    def _look_at_removal(self, action: Remove) -> None:
        world = self.world
        over = world.api_answers and not (isinstance(world.cluster, ClusterFacts) and world.cluster.active)
        for id_ in action.jobs:
            job = world.jobs[id_]
            deleting = world.pools[job.pool_uid].deleting
            if not deleting:
                assert world.api_answers
            if not deleting and not over:
                assert job.worker not in world.connected, "a connected worker was removed"
            if job.role is Role.ANCHOR and (deleting or over):
                left = [other for other in world.workers() if other.pool_uid == job.pool_uid]
                assert not left, "the anchor went before its workers"

    def teardown(self) -> None:
        """Whatever happened: once everything answers again, each pool gets what it should have."""
        world = self.world
        world.condor_answers = world.api_answers = world.scheduler_answers = True
        for _ in range(8):
            world.now += 700
            world.settle(8)
            world.stage()
            world.processes_end()
            for job in world.workers():
                if job.status is JobStatus.IDLE and not job.spent:
                    world.start(job)
            for job in world.workers():
                if job.status is JobStatus.RUNNING:
                    world.connect(job)
            self._scheduler_retires()
        world.settle(8)
        if not (isinstance(world.cluster, ClusterFacts) and world.cluster.active):
            assert not world.jobs, "jobs outlived their cluster"
            return
        assert not any(pool.deleting for pool in world.pools.values())
        assert not {job.pool_uid for job in world.jobs.values()} - world.pools.keys()
        assert world.pools.keys() <= {"first", "manual", "second"}
        capacity = sum(pool.status.desired_replicas for pool in world.pools.values())
        assert self._live() == min(capacity, world.cluster.wanted)

    def _scheduler_retires(self) -> None:
        assert not isinstance(self.world.cluster, Gone) or not self.world.workers()
        wanted = self.world.cluster.wanted if isinstance(self.world.cluster, ClusterFacts) else 0
        running = [job for job in self.world.workers() if job.status is JobStatus.RUNNING]
        self.world.now += 10
        for job in running[wanted:]:
            self.world.end(job)

    def _live(self) -> int:
        return triage.live(triage.triage(all_seen(self.world), self.world.policy, self.world.now))

    def _one(self, pick: int, statuses: Sequence[JobStatus], what: Callable[[Job], object]) -> None:
        jobs = [job for job in self.world.workers() if job.status in statuses]
        if jobs:
            what(jobs[pick % len(jobs)])


def all_seen(world: World) -> Observed:
    """The truth, as if every question had been answered."""
    seen = replace(world, condor_answers=True, api_answers=True, scheduler_answers=True)
    return seen.observe()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),  # to shrink a failure takes minutes: do that by hand
    suppress_health_check=list(HealthCheck),
)
