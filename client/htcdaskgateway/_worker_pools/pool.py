"""`Pool`: one worker pool of a cluster, as it was when it was asked for, and its status in one line.

Made by the two implementations of `access`, from the answer of the gateway's route or from the Kubernetes
object; pure. A pool has a short name ("default") within its cluster. Its object's name is the short name and
the cluster's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from htcdask_api import PoolSpec, PoolStatus
from htcdask_api.status import STALLED

_NOT_YET_CONNECTED: Final = ("submitting", "idle", "held", "retiring")


@dataclass(frozen=True, repr=False)
class Pool:
    """One HTCWorkerPool as it was when it was asked for."""

    name: str
    spec: PoolSpec
    status: PoolStatus
    created: str | None = None

    @classmethod
    def parse(cls, shown: Mapping[str, Any]) -> "Pool":
        """From the route's answer; `parse_object` reads a Kubernetes object."""
        return cls(
            name=shown["name"],
            spec=PoolSpec.model_validate(shown["spec"]),
            status=PoolStatus.model_validate(shown.get("status") or {}),
            created=shown.get("creationTimestamp"),
        )

    @classmethod
    def parse_object(cls, obj: Mapping[str, Any]) -> "Pool":
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


def one_line(status: PoolStatus) -> str:
    """`3 of 4 workers connected, 1 idle`, and what is wrong if something is."""
    parts = [f"{status.connected} of {status.desired_replicas} workers connected"]
    starting = status.running - status.connected
    if starting > 0:
        parts.append(f"{starting} starting")
    for state in _NOT_YET_CONNECTED:
        if number := getattr(status, state):
            parts.append(f"{number} {state}")
    text = ", ".join(parts)
    stalled = status.condition(STALLED)
    if stalled is not None and stalled.status == "True":
        return f"{text}; {stalled.reason}: {stalled.message}".rstrip(": ")
    if status.explanation:
        first = status.explanation[0]
        return f"{text}; {first.reason}: {first.message}".rstrip(": ")
    return text
