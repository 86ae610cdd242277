"""`Pool`: one worker pool of a cluster, as it was when it was asked for, and its status in one line.

Made by the two implementations of `access`, from the answer of the gateway's route or from the Kubernetes
object; pure. A pool has a short name ("default") within its cluster. Its object's name is the short name and
the cluster's.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from htcdask_api import PoolSpec, PoolStatus
from htcdask_api.status import READY, STALLED

# What the counts say already.
_NO_NEWS: Final = ("WaitingForWorkers", "ScalingDown", "AnchorSpooling", "NotFinalized", "NotAdopted")
NOT_LOOKED_AT: Final = "the operator has not looked at this pool yet"
_NOT_YET_CONNECTED: Final = ("submitting", "idle", "held", "retiring")


@dataclass(frozen=True, repr=False)
class Pool:
    """One HTCWorkerPool as it was when it was asked for."""

    name: str
    spec: PoolSpec
    status: PoolStatus
    created: str | None = None
    wanted: int | None = None  # by the cluster's scheduler, of all its pools; None: not told

    @classmethod
    def parse(cls, shown: Mapping[str, Any]) -> "Pool":
        """From the route's answer; `parse_object` reads a Kubernetes object."""
        return cls(
            name=shown["name"],
            spec=PoolSpec.model_validate(shown["spec"]),
            status=PoolStatus.model_validate(shown.get("status") or {}),
            created=shown.get("creationTimestamp"),
            wanted=wanted if type(wanted := shown.get("wanted")) is int else None,
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
        seen = (
            one_line(self.status) if self.status.observed_generation else "new (cluster.pools shows it later)"
        )
        return f"Pool<{self.name}: {seen}>"


def scaling(replicas: int | None) -> dict[str, Any]:
    """What a new pool's spec says about its number; None: that of the gateway."""
    return {} if replicas is None else {"scaling": "Manual", "replicas": replicas}


def lines(pools: Sequence[Pool]) -> str:
    """`one_line` of each, behind its name where there are several; "" where there is none."""
    if len(pools) == 1:
        return one_line(pools[0].status)
    return "; ".join(f"{pool.name}: {one_line(pool.status)}" for pool in pools)


def follower_missing(pools: Iterable[Pool]) -> bool:
    """Whether all pools have numbers of their own, and `cluster.scale()` and `adapt()` nobody to ask."""
    scaling = [pool.spec.scaling for pool in pools]
    return bool(scaling) and "Gateway" not in scaling


def is_unseen(status: PoolStatus) -> bool:
    """Whether no operator has written anything yet."""
    return status == PoolStatus()


def one_line(status: PoolStatus) -> str:
    """`3 of 4 workers connected, 1 idle`, and what is wrong if something is."""
    if is_unseen(status):
        return NOT_LOOKED_AT
    parts = [f"{status.connected} of {status.desired_replicas} workers connected"]
    others = max(0, status.running - status.connected)
    ending = min(others, max(0, status.running - status.desired_replicas))
    parts += [f"{its} {what}" for its, what in ((others - ending, "starting"), (ending, "ending")) if its]
    for state in _NOT_YET_CONNECTED:
        if number := getattr(status, state):
            parts.append(f"{number} {state}")
    text = ", ".join(parts)
    found = hindrance(status)
    return text if found is None else f"{text}; {found[0]}: {found[1]}".rstrip(": ")


def hindrance(status: PoolStatus) -> tuple[str, str] | None:
    """The reason that says most about why there are not more workers, and its sentence."""
    stalled, ready = status.condition(STALLED), status.condition(READY)
    if stalled is not None and stalled.status == "True":
        return stalled.reason, stalled.message
    if status.explanation:
        return status.explanation[0].reason, status.explanation[0].message
    if ready is not None and ready.status == "False" and ready.reason not in _NO_NEWS:
        return ready.reason, ready.message
    return None
