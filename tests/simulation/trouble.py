"""What goes wrong, in any order: with jobs, machines, the operator and its lines. Steps, as in `steps`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from htcdask_operator.core.model import Job, JobStatus, Role
from htcdask_operator.core.policy import PortRange
from tests.simulation.line import SYSTEM, Kind, System, Trouble
from tests.simulation.steps import Step, whose
from tests.simulation.world import World

RUNNING = (JobStatus.RUNNING,)
WAITING = (JobStatus.IDLE, JobStatus.RUNNING)
ANY = tuple(JobStatus)


# --- HTCondor.


@dataclass(frozen=True)
class ToJob:
    """Something that HTCondor, a machine or a person does to one worker's job, or to an anchor."""

    pick: int
    what: str
    code: int = 0
    role: Role = Role.WORKER

    def happen(self, world: World) -> None:
        among = [job for job in world.ours() if job.role is self.role and job.status in self._statuses()]
        if among:
            self._do(world, sorted(among, key=lambda job: job.id)[self.pick % len(among)])

    def _statuses(self) -> Sequence[JobStatus]:
        match self.what:
            case "loses its slot" | "ends with exit code" | "is killed by signal" | "is suspended":
                return RUNNING
            case "is released by a person":
                return (JobStatus.HELD,)
            case "is held":
                return WAITING
            case "goes on":
                return (JobStatus.SUSPENDED,)
            case _:
                return ANY

    def _do(self, world: World, job: Job) -> None:
        schedd = world.schedd
        match self.what:
            case "loses its slot":
                schedd.vacate(job.id, self.code, "Somebody's reason")
            case "ends with exit code":
                schedd.end(job.id, self.code)
            case "is killed by signal":
                schedd.end(job.id, None, self.code)
            case "is held":
                schedd.hold(job.id, "Somebody's reason", self.code)
            case "is released by a person":
                schedd.release(job.id)
            case "is removed by a person":
                schedd.remove(job.id)
            case "is suspended":
                schedd.suspend(job.id)
            case "goes on":
                schedd.go_on(job.id)

    def __str__(self) -> str:
        who = "a worker's job" if self.role is Role.WORKER else "an anchor"
        code = f" ({self.code})" if self.code else ""
        return f"{who} {self.what}{code}"


@dataclass(frozen=True)
class Bad:
    """Something around the workers is bad for a while."""

    what: str
    seconds: int

    def happen(self, world: World) -> None:
        world.bad[self.what] = world.clock.now + self.seconds

    def __str__(self) -> str:
        return f"{self.what} for {self.seconds} s"


@dataclass(frozen=True)
class FewerJobs:
    """The access point takes only so many jobs from now on, and as many as it likes with None."""

    of_submission: int | None
    of_owner: int | None

    def happen(self, world: World) -> None:
        world.schedd.jobs_per_submission = self.of_submission
        world.schedd.jobs_per_owner = self.of_owner

    def __str__(self) -> str:
        return (
            f"the access point takes {self.of_submission or 'any number of'} jobs a submission and "
            f"{self.of_owner or 'any number'} of one owner"
        )


@dataclass(frozen=True)
class LoseFiles:
    """The access point has lost what was spooled, and kept its queue."""

    def happen(self, world: World) -> None:
        world.schedd.lose_files()

    def __str__(self) -> str:
        return "the access point loses the files of all jobs"


@dataclass(frozen=True)
class OtherClock:
    """The access point's clock is wrong."""

    ahead: int

    def happen(self, world: World) -> None:
        world.put_access_point_ahead(self.ahead)

    def __str__(self) -> str:
        return f"the access point's clock is {self.ahead} s ahead"


@dataclass(frozen=True)
class Restart:
    """A schedd or a scheduler is started anew."""

    what: str  # a cluster, or "schedd"

    def happen(self, world: World) -> None:
        if self.what == "schedd":
            world.schedd.restart()
        elif (dask := world.gateway.dask(self.what)) is not None:
            dask.restart()

    def __str__(self) -> str:
        return (
            "the schedd restarts"
            if self.what == "schedd"
            else f"the scheduler of {whose(self.what)} restarts"
        )


@dataclass(frozen=True)
class Offer:
    """A cluster's scheduler has other routes from now on: its image sets them."""

    cluster: str
    what: str

    def happen(self, world: World) -> None:
        if (dask := world.gateway.dask(self.cluster)) is not None:
            dask.offers = self.what

    def __str__(self) -> str:
        return f"the scheduler of {whose(self.cluster)} offers {self.what}"


# --- The operator, and its lines.


@dataclass(frozen=True)
class Limits:
    """The site lowers or raises its limits: a new operator."""

    per_pool: int
    per_user: int | None
    site: int | None

    def happen(self, world: World) -> None:
        world.policy = replace(
            world.policy,
            max_replicas_per_pool=self.per_pool,
            max_replicas_per_user=self.per_user,
            max_replicas=self.site,
        )
        world.kill_operator(1)

    def __str__(self) -> str:
        return (
            f"the site allows {self.per_pool} workers a pool, {self.per_user or 'any number'} a user and "
            f"{self.site or 'any number'} in all, and the operator restarts"
        )


@dataclass(frozen=True)
class NewSettings:
    """Workers are to be started in another way: a new operator, and new anchors."""

    first_port: int

    def happen(self, world: World) -> None:
        world.policy = replace(world.policy, worker_ports=PortRange(self.first_port, self.first_port + 99))
        world.kill_operator(1)

    def __str__(self) -> str:
        return f"the site's workerPorts become those from {self.first_port}, and the operator restarts"


@dataclass(frozen=True)
class Walltime:
    """No worker may run for longer from now on: a new operator, and new anchors."""

    seconds: int | None

    def happen(self, world: World) -> None:
        world.policy = replace(world.policy, max_runtime_seconds=self.seconds)
        world.kill_operator(1)

    def __str__(self) -> str:
        most = "any time" if self.seconds is None else f"{self.seconds} s"
        return f"the site lets workers run for {most}, and the operator restarts"


@dataclass(frozen=True)
class Kill:
    seconds: int

    def happen(self, world: World) -> None:
        world.kill_operator(self.seconds)

    def __str__(self) -> str:
        return f"the operator is killed and comes back after {self.seconds} s"


@dataclass(frozen=True)
class Outage:
    system: System
    hangs: bool
    seconds: int

    def happen(self, world: World) -> None:
        world.lines.down[self.system] = (world.clock.now + self.seconds, self.hangs)

    def __str__(self) -> str:
        how = "takes questions and answers none" if self.hangs else "is down"
        return f"{self.system.value} {how} for {self.seconds} s"


@dataclass(frozen=True)
class LoseWatch:
    def happen(self, world: World) -> None:
        if world.operator is not None:
            world.operator.watch.lost = True

    def __str__(self) -> str:
        return "the watch breaks, and everything is listed anew"


@dataclass(frozen=True)
class Ahead:
    """Trouble at the next call of that name."""

    call: str
    kind: Kind
    status: int = 500
    skip: int = 0

    def happen(self, world: World) -> None:
        world.lines.troubles.append(Trouble(self.call, self.kind, status=self.status, skip=self.skip))

    def __str__(self) -> str:
        which = ("the next", "the second next", "the third next")[self.skip]
        system = SYSTEM[self.call]
        text = self.kind.value.format(call=f"{which} {self.call}", system=system.value)
        return text + (f" (HTTP {self.status})" if system is System.KUBE and self.kind is Kind.FAILS else "")


@dataclass(frozen=True)
class Meanwhile:
    """Somebody is just a little faster than the operator."""

    call: str
    step: Step

    def happen(self, world: World) -> None:
        def meanwhile() -> None:
            self.step.happen(world)
            world.gateway.tick(world.clock.now)

        world.lines.troubles.append(Trouble(self.call, meanwhile=meanwhile))

    def __str__(self) -> str:
        return f"just before the operator's next {self.call}: {self.step}"


@dataclass(frozen=True)
class Wait:
    seconds: int

    def happen(self, world: World) -> None:
        """The history lets the time pass."""

    def __str__(self) -> str:
        return f"{self.seconds} s pass"
