"""A world in which actions take effect at once: enough of HTCondor and Kubernetes to plan against.

Used by the tests of `plan`. Values only; the one thing that moves is `now`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from htcdask_api import WorkerLog
from htcdask_operator.core import memory
from htcdask_operator.core.actions import (
    Action,
    Adopt,
    Analyze,
    CreatePool,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    RecordIdentity,
    Remove,
    RemoveFinalizer,
    ScaleScheduler,
    SubmitAnchor,
    SubmitWorkers,
    WriteLogs,
)
from htcdask_operator.core.memory import ClusterMemory, Results
from htcdask_operator.core.model import (
    Analysis,
    ClusterFacts,
    Gone,
    Job,
    JobId,
    JobStatus,
    Observed,
    PoolFacts,
    PoolUid,
    Role,
    Unseen,
    WorkerName,
)
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers.worker_logs import merged
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    IDENTITY,
    NOW,
    SCHEDULER_SILENT,
    make_cluster,
    make_memory,
    make_policy,
)

RUNS = (JobStatus.RUNNING, JobStatus.TRANSFERRING_OUTPUT, JobStatus.SUSPENDED)


@dataclass
class World:
    """Everything that is true, whoever can see it."""

    pools: dict[PoolUid, PoolFacts]
    cluster: ClusterFacts | Gone = field(default_factory=make_cluster)
    policy: Policy = field(default_factory=make_policy)
    jobs: dict[JobId, Job] = field(default_factory=dict)
    connected: set[WorkerName] = field(default_factory=set)
    busy: set[WorkerName] = field(default_factory=set)
    now: float = NOW
    condor_answers: bool = True
    api_answers: bool = True
    scheduler_answers: bool = True
    submitted: list[WorkerName] = field(default_factory=list)
    clusters: int = 0
    memory: ClusterMemory = field(default_factory=make_memory)
    logs: dict[PoolUid, tuple[WorkerLog, ...]] = field(default_factory=dict)

    def observe(self) -> Observed:
        """What can be seen of it."""
        cluster: ClusterFacts | Gone | Unseen = self.cluster if self.api_answers else API_SILENT
        return Observed(
            cluster=cluster,
            jobs=tuple(self.jobs.values()) if self.condor_answers else ACCESS_POINT_SILENT,
            connected=frozenset(self.connected) if self.scheduler_answers else SCHEDULER_SILENT,
            busy=frozenset(self.busy & self.connected),
            had_pools=True,
            condor_identity="dask@htcdask.test",
        )

    def plan(self) -> Plan:
        """What the core would do."""
        return plan(list(self.pools.values()), self.observe(), self.memory, self.policy, self.now)

    def apply(self, planned: Plan) -> None:
        """Let a plan take effect."""
        self.memory = planned.memory
        for uid, status in planned.statuses.items():
            self.pools[uid] = replace(self.pools[uid], status=status)
        for action in planned.actions:
            self._one(action)

    def settle(self, rounds: int = 6) -> list[Action]:
        """Plan and apply until nothing is left to do, as a cycle of `reconcile` does; what was done."""
        done: list[Action] = []
        for _ in range(rounds):
            planned = self.plan()
            self.apply(planned)
            if not planned.actions:
                return done
            done += planned.actions
        raise AssertionError(f"not settled after {rounds} rounds: {planned.actions}")

    def workers(self) -> list[Job]:
        """All worker jobs in the queue."""
        return [job for job in self.jobs.values() if job.role is Role.WORKER]

    def change(self, job: Job, status: JobStatus, **facts: object) -> Job:
        """Something happened to a job."""
        self.jobs[job.id] = changed = replace(job, status=status, status_since=self.now, **facts)  # type: ignore[arg-type]
        if status not in RUNS:
            self.connected.discard(job.worker)
        return changed

    def stage(self) -> None:
        """The access point has the bundle of every anchor that was spooled."""
        for job in list(self.jobs.values()):
            if job.role is Role.ANCHOR and job.spooling:
                spool = {"stage_in_finish": self.now, "iwd": f"/spool/{job.id}", "hold_code": None}
                self.change(job, JobStatus.IDLE, **spool)

    def start(self, job: Job) -> None:
        """A slot was found and the process runs; never again for a job that has run."""
        if job.vacated:
            return
        self.change(
            job,
            JobStatus.RUNNING,
            shadow_starts=job.shadow_starts + 1,
            started_at=self.now,
            slot="slot1",
            machine="node7",
        )

    def connect(self, job: Job) -> None:
        """The worker registered with the scheduler."""
        self.connected.add(job.worker)

    def end(self, job: Job, exit_code: int = 0) -> None:
        """The process ended by itself."""
        self.change(job, JobStatus.COMPLETED, exit_code=exit_code)

    def vacate(self, job: Job, code: int | None = 1022) -> None:
        """The slot was taken away."""
        self.change(job, JobStatus.IDLE, vacate_code=code, vacate_reason="preempted")

    def hold(self, job: Job, code: int) -> None:
        """HTCondor, or a person, holds the job."""
        self.change(job, JobStatus.HELD, hold_code=code, hold_reason="somebody's reason")

    def processes_end(self) -> None:
        """Every removed process has closed."""
        gone = [job.id for job in self.jobs.values() if job.status is JobStatus.REMOVED]
        for id_ in gone:
            del self.jobs[id_]

    def _one(self, action: Action) -> None:
        match action:
            case Adopt(pool, cluster):
                self.pools[pool] = replace(self.pools[pool], owner_uid=cluster)
            case RecordIdentity(pool, identity):
                self.pools[pool] = replace(self.pools[pool], submitted_as=identity)
            case SubmitAnchor(pool, description, _):
                self._submit(pool, "", Role.ANCHOR, description)
            case SubmitWorkers(pool, description, names):
                self.submitted += names
                for name in names:
                    self._submit(pool, name, Role.WORKER, description)
            case HoldAnchor(_, jobs, _):
                for id_ in jobs:
                    self.change(self.jobs[id_], JobStatus.HELD, hold_code=1, hold_subcode=1)
            case Remove(_, jobs, _):
                self._remove(jobs)
            case ForceRemove(_, jobs, _):
                for id_ in jobs:
                    del self.jobs[id_]
            case ReadLogs(_, _, workers):
                found = {name: f"htcdask: worker {name} on n ended\nthe last line\n" for name in workers}
                self.memory = memory.performed(self.memory, Results(logs=found), self.now)
            case WriteLogs(pool, logs):
                self.logs[pool] = merged(logs, self.logs.get(pool, ()), self.now)
                written = {pool: tuple(log.name for log in logs)}
                self.memory = memory.performed(self.memory, Results(written=written), self.now)
            case Analyze(pool, job):
                told = {pool: Analysis(1, fit=1, looked_at=1, take=1) if job in self.jobs else None}
                self.memory = memory.performed(self.memory, Results(analyses=told), self.now)
            case RemoveFinalizer(pool):
                del self.pools[pool]
            case ScaleScheduler():
                assert isinstance(self.cluster, ClusterFacts)
                assert action.instead_of == self.cluster.replicas
                self.memory = memory.performed(self.memory, Results(scaled=action), self.now)
                self.cluster = replace(self.cluster, replicas=action.count)
            case CreatePool():
                raise AssertionError("this cluster had pools")

    def _submit(self, pool: PoolUid, name: WorkerName, role: Role, description: Mapping[str, str]) -> None:
        self.clusters += 1
        assert isinstance(self.cluster, ClusterFacts)
        spooling = role is Role.ANCHOR

        def said(attribute: str) -> str:
            return description.get(f"My.HTCDask{attribute}", "").strip('"')

        job = Job(
            id=f"{self.clusters}.0",
            status=JobStatus.HELD if spooling else JobStatus.IDLE,
            role=role,
            pool_uid=pool,
            cluster_uid=self.cluster.uid,
            owner=IDENTITY,
            worker=name,
            template_hash=said("Template"),
            anchor=said("Anchor"),
            lifetime=int(said("Lifetime") or 0) or None,
            succeeds=said("Succeeds"),
            connects_at=float(said("ConnectsAt") or 0) or None,
            queued_at=self.now,
            status_since=self.now,
            hold_code=16 if spooling else None,
        )
        self.jobs[job.id] = job

    def _remove(self, jobs: Sequence[JobId]) -> None:
        for id_ in jobs:
            job = self.jobs[id_]
            if job.status in RUNS:
                self.change(job, JobStatus.REMOVED)
            else:
                del self.jobs[id_]
