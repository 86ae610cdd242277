"""What `plan` may ask the shell to do. Plain values: a test compares them with `==`.

Each action is one port call; `perform` matches every one of them (`assert_never`). Each belongs to one
pool, but for the one that makes a pool: what fails, fails for that pool alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from htcdask_api import WorkerLog
from htcdask_operator.core.model import ClusterUid, JobId, PoolUid, WorkerName
from htcdask_operator.core.size import ONE, Size


@dataclass(frozen=True, slots=True)
class Adopt:
    """Make the DaskCluster with this uid the pool's owner (ownerReference, blockOwnerDeletion false)."""

    pool: PoolUid
    cluster: ClusterUid


@dataclass(frozen=True, slots=True)
class Bundle:
    """What the worker's bundle is rendered from; the certificate and key never pass through the core."""

    scheduler: str  # tls://host:port
    sni: str
    threads: int
    memory_limit: int  # bytes
    nanny: bool
    death_timeout: int  # seconds
    lifetime: int | None  # seconds
    worker_ports: str | None  # "first:last"
    nanny_ports: str | None
    retire_seconds: float  # after SIGTERM, for handing data over
    close_seconds: float  # after that, for the end of the worker's process
    environment: tuple[tuple[str, str], ...] = field(repr=False)  # values are nobody's to print
    resources: tuple[tuple[str, float], ...]
    worker_preload: tuple[str, ...] = ()  # the site's, as Dask takes them: modules, files, programs
    nanny_preload: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubmitAnchor:
    """Submit the pool's anchor and spool the bundle into it."""

    pool: PoolUid
    description: Mapping[str, str]
    bundle: Bundle
    template_hash: str = ""


@dataclass(frozen=True, slots=True)
class SubmitWorkers:
    """Submit one job for each name, in one transaction, after asking again by pool UID.

    With a bundle, it is spooled into each of them.
    """

    pool: PoolUid
    description: Mapping[str, str]
    names: tuple[WorkerName, ...]
    worker: Size = ONE  # what each requests
    profile: str | None = None
    bundle: Bundle | None = None
    succeeds: WorkerName = ""  # a courtesy to this one, which is about to retire


@dataclass(frozen=True, slots=True)
class HoldAnchor:
    """Hold an anchor, once it is spooled, with a reason that says what they are."""

    pool: PoolUid
    jobs: tuple[JobId, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove jobs: a running worker gets SIGTERM and closes gracefully; an ended job is forgotten."""

    pool: PoolUid
    jobs: tuple[JobId, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ForceRemove:
    """Take jobs out of the queue that were removed and do not leave: their execute node does not answer."""

    pool: PoolUid
    jobs: tuple[JobId, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ReadLogs:
    """Bring the last lines of these workers from the directory of this job: for the next plan to tell."""

    pool: PoolUid
    keeper: JobId  # the anchor, or the one worker's own
    workers: tuple[WorkerName, ...]


@dataclass(frozen=True, slots=True)
class WriteLogs:
    """Put what these workers printed before what the pool's HTCWorkerLog has."""

    pool: PoolUid
    workers: tuple[WorkerLog, ...] = field(repr=False)  # what users print is nobody's to log


@dataclass(frozen=True, slots=True)
class Analyze:
    """Ask how the slots look to this idle job, one of many alike: shown in the next status."""

    pool: PoolUid
    job: JobId


@dataclass(frozen=True, slots=True)
class ScaleScheduler:
    """Make the scheduler want `count` workers (which ends adapt()), and say so in an Event on the pool.

    Only instead of the number that it wanted when this was decided: another one is somebody's newer word.
    """

    pool: PoolUid  # whose people asked for it
    count: int
    instead_of: int
    reason: str
    message: str
    before: int = 0  # what it wanted by itself
    word: str = ""  # its user's last until then, by its time


@dataclass(frozen=True, slots=True)
class RecordIdentity:
    """Write into the pool's status under which identity its jobs are submitted: before the first one is."""

    pool: PoolUid
    identity: str


@dataclass(frozen=True, slots=True)
class CreatePool:
    """Make the site's default pool for a cluster that asks for workers and has none."""

    name: str
    namespace: str
    cluster_name: str
    cluster: ClusterUid


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Put our finalizer on the pool, so that Kubernetes keeps it until its jobs are gone."""

    pool: PoolUid


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """Nothing of this deleted pool is left (or it is released by hand): let its finalizer go."""

    pool: PoolUid


Action = (
    AddFinalizer
    | Adopt
    | Analyze
    | CreatePool
    | ForceRemove
    | HoldAnchor
    | ReadLogs
    | RecordIdentity
    | RemoveFinalizer
    | Remove
    | SubmitAnchor
    | SubmitWorkers
    | ScaleScheduler
    | WriteLogs
)


Courtesy = Analyze | ReadLogs | WriteLogs
"""What tells people more, and nothing else: nothing waits for it, and it fails nothing."""


def pool_of(action: Action) -> PoolUid | None:
    """Whose action it is; nobody's, if it makes the pool."""
    return None if isinstance(action, CreatePool) else action.pool
