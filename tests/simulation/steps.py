"""What may happen, in any order: each step is one line of a story, and one thing that is done to a `World`.

A step that makes no sense at its moment (a pool that is not there) does nothing and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from htcdask_api import names
from htcdask_operator.core.model import Job, JobStatus, Role
from tests.builders import IMAGE
from tests.simulation.gateway import NAMESPACE
from tests.simulation.line import SYSTEM, Kind, System, Trouble
from tests.simulation.world import USERS, World

RUNNING = (JobStatus.RUNNING,)
WAITING = (JobStatus.IDLE, JobStatus.RUNNING)
ANY = tuple(JobStatus)
DELETED, STRIPPED = "deleted", "stripped of its finalizers"
DELETED_AND_STRIPPED = "deleted and stripped of its finalizers"
RELEASED, WIPED = "released by its annotation", "robbed of its status"


class Step(Protocol):
    """One line."""

    def happen(self, world: World) -> None:
        """Do it."""


def whose(cluster: str) -> str:
    """The cluster, in words."""
    return {"one": "alice's cluster", "two": "alice's second cluster", "bobs": "bob's cluster"}[cluster]


# --- Notebooks.


@dataclass(frozen=True)
class NewCluster:
    cluster: str
    count: int

    def happen(self, world: World) -> None:
        if world.gateway.body(self.cluster) is None:
            world.gateway.new_cluster(self.cluster, USERS[self.cluster], self.count, world.clock.now)

    def __str__(self) -> str:
        return f"{USERS[self.cluster]} makes {whose(self.cluster)} and scales it to {self.count}"


@dataclass(frozen=True)
class Scale:
    cluster: str
    count: int

    def happen(self, world: World) -> None:
        if (dask := world.gateway.dask(self.cluster)) is not None:
            dask.scale(self.count)

    def __str__(self) -> str:
        return f"{USERS[self.cluster]} scales {whose(self.cluster)} to {self.count}"


@dataclass(frozen=True)
class Adapt:
    cluster: str
    least: int
    most: int
    load: int

    def happen(self, world: World) -> None:
        if (dask := world.gateway.dask(self.cluster)) is not None:
            dask.adaptive, dask.load = (self.least, max(self.least, self.most)), self.load

    def __str__(self) -> str:
        most = max(self.least, self.most)
        return f"{whose(self.cluster)} adapts between {self.least} and {most}, with work for {self.load}"


@dataclass(frozen=True)
class Work:
    cluster: str
    tasks: int

    def happen(self, world: World) -> None:
        if (dask := world.gateway.dask(self.cluster)) is not None:
            dask.work(self.tasks)

    def __str__(self) -> str:
        return f"{self.tasks} workers of {whose(self.cluster)} are in the middle of a task"


@dataclass(frozen=True)
class EndCluster:
    cluster: str
    how: str

    def happen(self, world: World) -> None:
        if self.how == "deleted":
            world.gateway.delete(self.cluster)
        else:
            world.gateway.end(self.cluster, self.how)

    def __str__(self) -> str:
        return f"{whose(self.cluster)} is {self.how.lower().replace('failed', 'failing')}"


@dataclass(frozen=True)
class Again:
    cluster: str
    count: int

    def happen(self, world: World) -> None:
        EndCluster(self.cluster, "deleted").happen(world)
        NewCluster(self.cluster, self.count).happen(world)

    def __str__(self) -> str:
        return f"{whose(self.cluster)} is deleted, and made again for {self.count} workers"


@dataclass(frozen=True)
class Forge:
    cluster: str
    value: object

    def happen(self, world: World) -> None:
        world.gateway.wants(self.cluster, self.value)

    def __str__(self) -> str:
        return f"somebody writes {self.value!r} into htcondorReplicas of {whose(self.cluster)}"


# --- Pools.


@dataclass(frozen=True)
class NewPool:
    cluster: str
    name: str
    replicas: int | None  # None: it follows the gateway
    by_kubectl: bool = False

    def happen(self, world: World) -> None:
        where = (NAMESPACE, f"{self.name}-{self.cluster}")
        body = world.gateway.body(self.cluster)
        if where in world.kube.pool_bodies or (body is None and not self.by_kubectl):
            return
        metadata: dict[str, object] = {"namespace": NAMESPACE, "name": where[1]}
        if not self.by_kubectl and body is not None:
            owner = {"apiVersion": names.GATEWAY_API_VERSION, "kind": names.DASKCLUSTER_KIND}
            metadata["ownerReferences"] = [{**owner, "name": self.cluster, "uid": body["metadata"]["uid"]}]
        spec: dict[str, object] = {
            "clusterRef": {"name": self.cluster},
            "maxReplicas": 8,
            "template": {"containerImage": IMAGE},
        }
        if self.replicas is not None:
            spec |= {"scaling": "Manual", "replicas": self.replicas}
        world.kube.created = datetime.fromtimestamp(world.clock.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        world.kube.make_pool({"kind": names.KIND, "metadata": metadata, "spec": spec})

    def __str__(self) -> str:
        kind = "that follows the gateway" if self.replicas is None else f"of {self.replicas} replicas"
        by = "kubectl" if self.by_kubectl else "the gateway"
        return f"a pool {self.name} {kind} is made for {whose(self.cluster)} by {by}"


@dataclass(frozen=True)
class EditPool:
    """kubectl scale, or a smaller or larger maxReplicas."""

    cluster: str
    name: str
    field: str
    value: int

    def happen(self, world: World) -> None:
        body = world.kube.pool_bodies.get((NAMESPACE, f"{self.name}-{self.cluster}"))
        if body is None or (self.field == "replicas" and body["spec"].get("scaling") != "Manual"):
            return  # the CRD refuses that
        new = {"maxReplicas": body["spec"].get("maxReplicas", 8), self.field: self.value}
        if new.get("replicas", body["spec"].get("replicas", 0)) <= new["maxReplicas"]:
            world.kube.edit_pool(NAMESPACE, f"{self.name}-{self.cluster}", **new)

    def __str__(self) -> str:
        return f"{self.field} of the pool {self.name} of {whose(self.cluster)} is set to {self.value}"


@dataclass(frozen=True)
class TouchPool:
    """What people do to a pool beside its spec."""

    cluster: str
    name: str
    what: str

    def happen(self, world: World) -> None:
        where = (NAMESPACE, f"{self.name}-{self.cluster}")
        body = world.kube.pool_bodies.get(where)
        if body is None:
            return
        if self.what == WIPED:
            body.pop("status", None)
        if self.what == RELEASED:
            body["metadata"]["annotations"] = {names.RELEASE_ANNOTATION: "true"}
        world.kube.changed(body)
        if self.what in (DELETED, DELETED_AND_STRIPPED):
            world.kube.delete_pool(*where)
        if self.what in (STRIPPED, DELETED_AND_STRIPPED) and where in world.kube.pool_bodies:
            world.kube.set_finalizers(*where, [])

    def __str__(self) -> str:
        return f"the pool {self.name} of {whose(self.cluster)} is {self.what}"


@dataclass(frozen=True)
class EndNamespace:
    def happen(self, world: World) -> None:
        for _, name in list(world.kube.cluster_bodies):
            world.gateway.delete(name)
        for namespace, name in list(world.kube.pool_bodies):
            world.kube.delete_pool(namespace, name)
        world.kube.secrets.clear()

    def __str__(self) -> str:
        return "everything in the namespace is deleted"


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
            case "loses its slot" | "ends with exit code" | "is killed by signal":
                return RUNNING
            case "is released by a person":
                return (JobStatus.HELD,)
            case "is held":
                return WAITING
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

    def __str__(self) -> str:
        who = "a worker's job" if self.role is Role.WORKER else "an anchor"
        code = "" if "person" in self.what else f" ({self.code})"
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

    contact_address: str

    def happen(self, world: World) -> None:
        world.policy = replace(world.policy, contact_address=self.contact_address)
        world.kill_operator(1)

    def __str__(self) -> str:
        return f"the site's contactAddress becomes {self.contact_address}, and the operator restarts"


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
