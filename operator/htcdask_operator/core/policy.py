"""The site's settings, as far as decisions depend on them. Made by `settings` at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from htcdask_api import Template
from htcdask_operator.core.size import Kind


@dataclass(frozen=True, slots=True)
class PortRange:
    """TCP ports first..last, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class ClassAdExpression:
    """An attribute's value that HTCondor evaluates; a text would be a string."""

    text: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Admin-named defaults and additions: raw ClassAd text is allowed here and nowhere else."""

    name: str
    template: Template
    requirements: str | None = None
    rank: str | None = None
    accounting_group: str | None = None
    attributes: Mapping[str, object] = field(
        default_factory=dict
    )  # literals, lists of them, ClassAdExpressions
    max_replicas: int | None = None  # of all pools of all clusters
    max_memory: int | None = None  # bytes that a worker may have after others ran out of less; None: no more
    users: tuple[str, ...] = ()  # fnmatch patterns of those who may choose it
    groups: tuple[str, ...] = ()  # and names of groups, whose members may; without both everybody

    @property
    def expressions(self) -> Mapping[str, str]:
        """Those of its attributes that HTCondor evaluates, by name."""
        return {name: its.text for name, its in self.attributes.items() if isinstance(its, ClassAdExpression)}

    def is_for(self, user: str, groups: frozenset[str]) -> bool:
        """Whether this user, who is in these groups, may choose it."""
        if not self.users and not self.groups:
            return True
        return not groups.isdisjoint(self.groups) or any(fnmatchcase(user, name) for name in self.users)


@dataclass(frozen=True, slots=True)
class Policy:
    """The site's settings as far as decisions depend on them: seconds, counts, templates."""

    operator_id: str
    scheduler_address: str  # host:port of the SNI entry as execute nodes see it
    default_template: Template
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    worker_ports: PortRange | None = None
    nanny_ports: PortRange | None = None
    worker_preload: tuple[str, ...] = ()  # run by every worker after ours, and before the user's
    nanny_preload: tuple[str, ...] = ()
    accounting_group: str | None = None
    image_path_template: str | None = None  # where execute nodes see an image: "/cvmfs/…/{registry}/{name}"
    allowed_images: tuple[str, ...] = ()  # fnmatch patterns; empty: any
    image_trees: tuple[str, ...] = ("/cvmfs",)  # where unpacked images are: no other folder is run
    allow_user_expressions: bool = True
    max_replicas_per_pool: int = 1000
    max_replicas_per_user: int | None = None
    max_cores_per_user: int | None = None
    max_memory_per_user: int | None = None  # bytes
    max_gpus_per_user: int | None = None
    max_replicas: int | None = None  # of all users together
    max_cores: int | None = None
    max_memory: int | None = None  # bytes
    max_gpus: int | None = None
    max_runtime_seconds: int | None = None  # of one worker, and what it gets where nobody says
    drain_seconds: float = 3600.0  # so long may surplus workers finish their tasks
    default_pool: bool = True  # for clusters that ask for workers and have no pool
    delivery: str = "stream"
    job_expiry_seconds: float = 3600.0
    ended_seconds: float = 300.0  # leave_in_queue
    vacate_seconds: float = 20.0
    death_timeout_seconds: int = 60
    connect_seconds: float = 120.0  # running but not connected for longer than this is said
    suspended_seconds: float | None = None  # a worker that is suspended for longer is replaced; None: never
    backoff_first_seconds: float = 10.0
    backoff_last_seconds: float = 600.0
    breaker_failures: int = 5  # consecutive failures, none connected: Stalled

    @property
    def caps_per_user(self) -> Mapping[Kind, float]:
        """What the workers of one user may have together, as far as that is limited; memory in MiB."""
        return _caps(
            self.max_replicas_per_user,
            self.max_cores_per_user,
            self.max_memory_per_user,
            self.max_gpus_per_user,
        )

    @property
    def caps(self) -> Mapping[Kind, float]:
        """The same for all users together."""
        return _caps(self.max_replicas, self.max_cores, self.max_memory, self.max_gpus)

    @property
    def has_shared_limits(self) -> bool:
        """Whether workers of other clusters matter to a cluster."""
        return bool(self.caps_per_user or self.caps or self.profile_caps)

    @property
    def profile_caps(self) -> Mapping[str, int]:
        """How many workers those profiles may have that are limited, in all pools together."""
        most = {name: profile.max_replicas for name, profile in self.profiles.items()}
        return {name: count for name, count in most.items() if count is not None}


def _caps(
    workers: int | None, cores: int | None, memory: int | None, gpus: int | None
) -> Mapping[Kind, float]:
    mib = None if memory is None else memory / 2**20
    said = {Kind.WORKERS: workers, Kind.CORES: cores, Kind.MEMORY: mib, Kind.GPUS: gpus}
    return {kind: cap for kind, cap in said.items() if cap is not None}
