"""What the operator asks of Kubernetes. Implemented by `api.KubeApi` and by the tests' fake.

Every call asks the API server now: nothing here is a cache. A failure is a KubeError.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from htcdask_api import PoolStatus, WorkerLog
from htcdask_operator.core.model import ClusterFacts, ClusterUid, Gone, PoolFacts
from htcdask_operator.kube.leases import Lease

EventType = Literal["Normal", "Warning"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """How to join a cluster: never printed, never logged."""

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    api_token: str = field(repr=False)


class Kube(Protocol):
    """The port."""

    async def cluster(self, namespace: str, name: str) -> ClusterFacts | Gone:
        """The DaskCluster of this name."""

    async def clusters(self, namespace: str) -> tuple[ClusterFacts, ...]:
        """Every DaskCluster of a namespace."""

    async def scheduler_pod(self, namespace: str, cluster: str) -> str | Gone:
        """What the pod of this cluster's scheduler waits for, in Kubernetes' words; "": nothing."""

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        """The pools of a namespace, or only those that name this cluster."""

    async def create_pool(self, namespace: str, name: str, cluster: str, uid: ClusterUid) -> None:
        """Make a pool of the site's defaults, owned by the DaskCluster, unless the cluster has it already.

        A conflict (409) if the pool of that name is another cluster's.
        """

    async def add_finalizer(self, pool: PoolFacts) -> None:
        """Put our finalizer beside those that the pool has. A conflict (409) if they are others meanwhile."""

    async def remove_finalizer(self, pool: PoolFacts) -> None:
        """Take our finalizer away, and no other. A conflict (409) if they are others meanwhile."""

    async def adopt(self, pool: PoolFacts, cluster: ClusterUid) -> None:
        """Make the pool's DaskCluster its owner, so that Kubernetes deletes the pool with it."""

    async def publish(self, pool: PoolFacts, status: PoolStatus) -> None:
        """Write the pool's whole status."""

    async def write_log(self, pool: PoolFacts, new: Sequence[WorkerLog], now: float) -> int:
        """Put these before what the pool's HTCWorkerLog has; it is made where there is none. Its bytes.

        A conflict (409) while there is one of an earlier pool of that name.
        """

    async def post_event(self, pool: PoolFacts, kind: EventType, reason: str, message: str) -> None:
        """Tell people who look at the pool with `kubectl describe`."""

    async def announce(self, namespace: str, lease: str, kind: EventType, reason: str, message: str) -> None:
        """Tell people who look at this Lease, or at the Events of its namespace."""

    async def credentials(self, namespace: str, secret: str) -> Credentials:
        """What workers of a cluster need to join it."""


class Offers(Protocol):
    """The part of the port that tells the gateway what the site offers."""

    async def lease(self, namespace: str, name: str) -> Lease | None:
        """The Lease of this name, if it is there."""

    async def write_offer(self, namespace: str, data: Mapping[str, str]) -> None:
        """Write the ConfigMap `names.OFFER`, whether it is there or not."""


class Leases(Protocol):
    """The part of the port that has one operator work at a time."""

    async def lease(self, namespace: str, name: str) -> Lease | None:
        """The Lease of this name, if it is there."""

    async def ending(self, namespace: str) -> bool:
        """Whether this namespace is being deleted, or is gone."""

    async def write_lease(self, namespace: str, name: str, lease: Lease) -> Lease:
        """Create it (it has no version) or change it; a conflict when somebody has written meanwhile."""
