"""Where a cluster's worker pools are written and read: the port, the view of a pool, and the choice.

Called by `HTCGateway`. Two implementations: the gateway's own route (`_route`) and the Kubernetes API
(`_kubernetes`). Both name a pool by its short name ("default") within its cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from htcdask_api import PoolSpec, PoolStatus, Template

from ._explain import one_line

DEFAULT_POOL: Final = "default"


@dataclass(frozen=True, repr=False)
class Pool:
    """One HTCWorkerPool as it was when it was asked for."""

    name: str
    spec: PoolSpec
    status: PoolStatus
    created: str | None = None

    @classmethod
    def parse(cls, shown: Mapping[str, Any]) -> Self:
        """From the route's answer; `parse_object` reads a Kubernetes object."""
        return cls(
            name=shown["name"],
            spec=PoolSpec.model_validate(shown["spec"]),
            status=PoolStatus.model_validate(shown.get("status") or {}),
            created=shown.get("creationTimestamp"),
        )

    @classmethod
    def parse_object(cls, obj: Mapping[str, Any]) -> Self:
        """From a Kubernetes object, whose name ends with its cluster's."""
        metadata, spec = obj["metadata"], obj["spec"]
        return cls.parse(
            {
                "name": metadata["name"].removesuffix(f"-{spec['clusterRef']['name']}"),
                "spec": spec,
                "status": obj.get("status"),
                "creationTimestamp": metadata.get("creationTimestamp"),
            }
        )

    def __repr__(self) -> str:
        return f"Pool<{self.name}: {one_line(self.status)}>"


class PoolAccess(Protocol):
    """The port."""

    async def create(self, cluster: str, pool: str, template: Template) -> None:
        """Write a pool that follows the gateway's count; PoolRefusedError says what is wrong with it."""

    async def list(self, cluster: str) -> list[Pool]:
        """The cluster's pools, oldest first; empty if the cluster is gone."""
