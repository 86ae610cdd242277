"""What people do, in any order: each step is one line of a story, and one thing that is done to a `World`.

A step that makes no sense at its moment, such as one about a pool that is not there, does nothing. What
machines and lines do is in `trouble`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from htcdask_api import manifest, names
from tests.builders import IMAGE
from tests.simulation.gateway import NAMESPACE
from tests.simulation.world import USERS, World

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
            dask.scale(self.count, world.clock.now)

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
            dask.adapt(self.least, max(self.least, self.most), self.load, world.clock.now)

    def __str__(self) -> str:
        most = max(self.least, self.most)
        return f"{whose(self.cluster)} adapts between {self.least} and {most}, with work for {self.load}"


@dataclass(frozen=True)
class Work:
    cluster: str
    tasks: int

    def happen(self, world: World) -> None:
        if (dask := world.gateway.dask(self.cluster)) is not None:
            dask.work(self.tasks, world.clock.now)

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
        dask = world.gateway.dask(self.cluster)
        if dask is not None and dask.word[0] is None:
            dask.told_at, dask.asked = None, 0  # the next number may be anybody's

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
        # Those that people size are of a profile that gives more memory to who runs out of it.
        of = {} if self.replicas is None else {"profile": "big"}
        spec: dict[str, Any] = {"maxReplicas": 8, "template": {"containerImage": IMAGE, **of}}
        if self.replicas is not None:
            spec |= {"scaling": "Manual", "replicas": self.replicas}
        world.kube.created = datetime.fromtimestamp(world.clock.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        if self.by_kubectl or body is None:
            world.kube.make_pool(manifest.pool(*where, self.cluster, **spec))
        else:
            world.kube.make_pool(manifest.owned_pool(*where, self.cluster, body["metadata"]["uid"], **spec))
            if self.replicas is None:
                body["metadata"].setdefault("annotations", {})[names.POOL_MADE_ANNOTATION] = "true"
                world.kube.changed(body)

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
        is_new = world.clock.now - max(world.started_at, world.disturbed_at) < 30
        if self.what != DELETED and is_new and (dask := world.gateway.dask(self.cluster)) is not None:
            dask.told_at = None  # the operator may not have read in the status what it was told
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
