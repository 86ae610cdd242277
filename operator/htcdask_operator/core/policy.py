"""The site's settings, as far as decisions depend on them. Made by `settings` at the start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from htcdask_api import Template


@dataclass(frozen=True, slots=True)
class PortRange:
    """TCP ports first..last, both included."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Profile:
    """Admin-named defaults and additions: raw ClassAd text is allowed here and nowhere else."""

    name: str
    template: Template
    requirements: str | None = None
    rank: str | None = None
    accounting_group: str | None = None
    attributes: Mapping[str, object] = field(default_factory=dict)
    max_replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The site's settings as far as decisions depend on them: seconds, counts, templates."""

    operator_id: str
    scheduler_address: str  # host:port of the SNI entry as execute nodes see it
    default_template: Template
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    worker_ports: PortRange | None = None
    nanny_ports: PortRange | None = None
    accounting_group: str | None = None
    image_path_template: str | None = None  # where execute nodes see an image: "/cvmfs/…/{registry}/{name}"
    allowed_images: tuple[str, ...] = ()  # fnmatch patterns; empty: any
    image_trees: tuple[str, ...] = ("/cvmfs",)  # where unpacked images are: no other folder is run
    allow_user_expressions: bool = True
    max_replicas_per_pool: int = 1000
    max_replicas_per_user: int | None = None
    max_replicas: int | None = None  # of all users together
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
    def counts_neighbours(self) -> bool:
        """Whether workers of other clusters matter to this one."""
        return self.max_replicas_per_user is not None or self.max_replicas is not None
