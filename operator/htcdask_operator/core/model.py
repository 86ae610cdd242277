"""What the core knows of the world: frozen values, made by the shell from answers of the three ports.

A question that failed is `Unseen`, never an empty answer: nothing counts as gone by it. What is not done
then, `plan` says.
Times are seconds since the epoch; memory and disk are bytes unless a name says MiB.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from htcdask_api import PoolSpec, PoolStatus, names
from htcdask_operator.core.size import NOTHING, Kind, Size, of_worker

JobId = str
"""`cluster.proc`, as condor_q prints it: `"17.0"`."""

WorkerName = str
PoolUid = str
ClusterUid = str
Place = tuple[float, JobId]
"""In the order in which jobs were queued."""

UNKNOWN_TIME: Final = 1e11
"""When something happened that has no time: in the year 5138, so it is never long ago."""


class JobStatus(enum.IntEnum):
    """HTCondor's JobStatus. UNKNOWN: any that this operator does not know; such a job is there."""

    UNKNOWN = 0
    IDLE = 1
    RUNNING = 2
    REMOVED = 3
    COMPLETED = 4
    HELD = 5
    TRANSFERRING_OUTPUT = 6
    SUSPENDED = 7


class Role(enum.StrEnum):
    """What a job of ours is for: `HTCDaskRole`. UNKNOWN: it cannot be told, so it may be a worker."""

    UNKNOWN = "unknown"
    ANCHOR = "anchor"
    WORKER = "worker"


@dataclass(frozen=True, slots=True)
class Unseen:
    """The question could not be answered, and why (a sentence for people)."""

    why: str


@dataclass(frozen=True, slots=True)
class Disputed(Unseen):
    """The question was answered, but somebody else acts on the same things: as good as not seen."""


@dataclass(frozen=True, slots=True)
class Unnamed:
    """The scheduler answered, and has nothing that names its workers: their jobs alone tell of them."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The object was asked for and is not there."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of ours in the schedd's queue, anchor or worker. `None`: the attribute is not there."""

    id: JobId
    status: JobStatus
    role: Role
    pool_uid: PoolUid
    cluster_uid: ClusterUid
    worker: WorkerName
    template_hash: str  # of what the job was made from
    queued_at: float  # QDate
    status_since: float  # EnteredCurrentStatus
    owner: str = ""  # User: the identity that submitted it, which the access point has seen to
    lease: float | None = None  # HTCDaskLease
    shadow_starts: int = 0  # NumShadowStarts
    reconnects: int = 0  # NumJobReconnects: a schedd restart, not a new life
    started_at: float | None = None  # JobCurrentStartExecutingDate: the process really runs
    slot: str | None = None  # RemoteHost, or LastRemoteHost of an ended job: what stands before the @
    machine: str | None = None  # and what stands behind it
    hold_code: int | None = None
    hold_subcode: int | None = None
    hold_reason: str | None = None
    vacate_code: int | None = None
    vacate_reason: str | None = None
    exit_code: int | None = None  # only of a COMPLETED job
    exit_signal: int | None = None
    stage_in_finish: float | None = None
    iwd: str | None = None  # an anchor's: its private spool directory on the access point
    memory_mib: int | None = None  # measured
    request_cores: int | None = None
    request_memory_mib: int | None = None
    request_gpus: int | None = None
    user: str = ""  # HTCDaskUser: who owns the Dask cluster
    namespace: str = ""  # of the pool: the first half of HTCDaskPool
    profile: str = ""  # HTCDaskProfile
    reject_reason: str | None = None  # LastRejMatchReason
    anchor: JobId = ""  # HTCDaskAnchor: whose files it reads
    lifetime: int | None = None  # HTCDaskLifetime: seconds, but for the stagger
    succeeds: WorkerName = ""  # HTCDaskSucceeds: in whose place it comes
    connects_at: float | None = None  # HTCDaskConnectsAt: not before
    remove_reason: str | None = None  # RemoveReason

    @property
    def size(self) -> Size:
        """What it requests."""
        return of_worker(self.request_cores, self.request_memory_mib, self.request_gpus)

    @property
    def place(self) -> Place:
        """Who was there first."""
        return (self.queued_at, self.id)

    @property
    def understood(self) -> bool:
        """Whether it can be told what this job is and does."""
        return self.status is not JobStatus.UNKNOWN and self.role is not Role.UNKNOWN

    @property
    def may_be_worker(self) -> bool:
        """Whether there is, was or may come a worker of this job."""
        return self.role is not Role.ANCHOR

    @property
    def starts(self) -> int:
        """How often a worker process was started for this job (reconnects are not starts)."""
        return max(0, self.shadow_starts - self.reconnects)

    @property
    def ran(self) -> float | None:
        """For how many seconds, if it does not run any more; None: it never did."""
        return None if self.started_at is None else self.status_since - self.started_at

    @property
    def vacated(self) -> bool:
        """Idle again after a run: its one life is over (its Requirements see to that)."""
        return self.status is JobStatus.IDLE and self.starts > 0

    @property
    def spooling(self) -> bool:
        """Held by the schedd until its input is spooled (HoldReasonCode 16)."""
        return self.status is JobStatus.HELD and self.hold_code == 16


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """One HTCWorkerPool as the API server last showed it."""

    namespace: str
    name: str
    uid: PoolUid
    generation: int
    created_at: float
    spec: PoolSpec
    status: PoolStatus  # what we published last: memory of failures and of transition times, nothing more
    deleting: bool = False
    finalizers: tuple[str, ...] = (names.FINALIZER,)  # in the API server's order
    owner_uid: ClusterUid | None = None  # the DaskCluster that owns it (ownerReference), if any yet
    release_without_cleanup: bool = False  # RELEASE_ANNOTATION is set
    submitted_as: str | None = None  # the identity of its jobs, as the API server shows it: never a guess
    invalid: str | None = None  # the spec cannot be read by this operator, and why

    @property
    def finalized(self) -> bool:
        """Our finalizer is there: without it the pool may vanish at any time, so nothing is submitted."""
        return names.FINALIZER in self.finalizers

    @property
    def kept_by(self) -> tuple[str, ...]:
        """Other people's finalizers: theirs to take away."""
        return tuple(entry for entry in self.finalizers if entry != names.FINALIZER)


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One DaskCluster of dask-gateway."""

    namespace: str
    name: str
    uid: ClusterUid
    active: bool  # spec.active, not being deleted, and phase neither Stopped nor Failed
    running: bool  # phase Running: scheduler and credentials are there
    phase: str
    replicas: int  # N = spec.htcondorReplicas; 0 when absent or not a whole number >= 0
    htcondor: bool  # the cluster's worker_backend is htcondor
    username: str
    groups: frozenset[str] = frozenset()  # of its user, when it was made
    asked: int | None = None  # by its user's last scale(); None: adapt() finds it, or nobody tells
    word: str = ""  # another one for each scale() and adapt(); empty: nobody tells
    pool_made: bool = False  # the gateway has made the pool that follows it: as its user chose
    config: Mapping[str, object] = field(
        default_factory=dict
    )  # worker_cores, worker_memory (bytes), image, cluster_max_*
    credentials_secret: str | None = None


@dataclass(frozen=True, slots=True)
class SchedulerWorkers:
    """Which of our workers a scheduler knows, those of them in the middle of a task, and strangers."""

    connected: frozenset[WorkerName] = frozenset()
    busy: frozenset[WorkerName] = frozenset()
    strangers: int = 0


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause of a job's Requirements, and how many slots meet it when their machines are empty."""

    text: str
    met: int
    undefined: int = 0  # do not define what it asks for
    without: int = 0  # meet all the others
    asked: str | int | float | None = None  # where it compares an attribute of the slot: with what
    nearest: tuple[str | int | float, ...] = ()  # and what those slots offer: the best, or the commonest


@dataclass(frozen=True, slots=True)
class Analysis:
    """How the pool's slots look to one idle job; dynamic slots count as their machine's."""

    slots: int
    clauses: tuple[Clause, ...] = ()
    fit: int = 0  # meet all clauses, when empty
    looked_at: int = 0  # so many of them were asked whether they take the job
    take: int = 0
    room: int = 0  # take it, and have room now
    refuse: int = 0
    unknown: int = 0  # what they say depends on what nobody else can see
    start: str | None = None  # their START, if most of those refuse by it
    rule: str | None = None  # by which other part of their Requirements most of those refuse
    drain: int = 0  # take nobody now
    drain_reason: str | None = None  # which most of those give
    broken: int = 0  # slots of which nothing is known: their ads take too much, or end HTCondor's library
    broken_slot: str | None = None  # one of those
    group: str | None = None  # the job's accounting group, if that may not have more than its quota
    quota: float | None = None  # in slot weights, which are cores unless a site says otherwise
    used: float | None = None
    ahead: int | None = None  # submitters with idle jobs and a better priority; None: nobody tells
    limit: str | None = None  # the concurrency limit for which the negotiator refused the job last
    limit_used: float | None = None  # by jobs that run
    earlier: int | None = None  # idle jobs of the same submitter that are offered before it
    negotiators: int | None = None  # None: nobody tells
    quiet: float | None = None  # for so many seconds, which are many, no negotiator has ended a cycle

    @property
    def reached(self) -> bool:
        """Whether the group has all of its quota."""
        return self.quota is not None and self.used is not None and self.used >= self.quota


@dataclass(frozen=True, slots=True)
class Usage:
    """What counts for a limit that clusters share."""

    others: Size = NOTHING  # what the live workers of the other clusters request
    exceeded: Mapping[Kind, Place] = field(default_factory=dict)  # whoever stands here or behind is too many


@dataclass(frozen=True, slots=True)
class SharedUsage:
    """The same for the cluster's user, for everybody, and for those of a profile."""

    user: Usage = field(default_factory=Usage)
    everybody: Usage = field(default_factory=Usage)
    profiles: Mapping[str, Usage] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observed:
    """All that one decision is made from, for the pools of one cluster."""

    cluster: ClusterFacts | Gone | Unseen
    jobs: tuple[Job, ...] | Unseen  # every job of ours of these pools, ended ones still in the queue too
    connected: frozenset[WorkerName] | Unnamed | Unseen  # workers that the scheduler knows, by name
    busy: frozenset[WorkerName] = frozenset()  # those of them that are in the middle of a task
    strangers: int = 0  # workers that the scheduler knows and that are no jobs of this cluster
    orphans: tuple[Job, ...] = ()  # jobs of pools that are gone
    usage: SharedUsage = field(default_factory=SharedUsage)  # where the site has limits
    condor_identity: str | None = None  # who the access point says we are, once asked
    avoided: Mapping[str, float] = field(default_factory=dict)  # machines, by other clusters, and until when
    scheduler_waits: str = ""  # for what, in Kubernetes' words, where it takes long to start
    least_asked: int | None = None  # the least N that the watch has shown since the last look
    had_pools: bool = False  # somebody made a pool for this cluster once, and may have deleted it
