"""Pools with a status, as the operator would have written it: for the tests of what people read."""

from typing import Any

from htcdask_api import ClusterRef, PoolSpec, PoolStatus
from htcdaskgateway import Pool

SINCE = "2026-01-01T00:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def pool(name: str = "default", **status: Any) -> Pool:
    return Pool(name, PoolSpec(cluster_ref=ClusterRef(name="a29b")), PoolStatus.model_validate(status))


MANUAL = PoolSpec(cluster_ref=ClusterRef(name="a29b"), scaling="Manual", replicas=2)

WAITING = pool(
    observedGeneration=1,
    desiredReplicas=4,
    replicas=4,
    running=3,
    connected=2,
    idle=1,
    failed=1,
    explanation=[{"reason": "NoMatchingSlots", "message": "no slot has 64 cores", "count": 1}],
    conditions=[
        condition("Ready", "False", "WorkersMissing", "2 of 4 workers are connected"),
        condition("CondorReachable", "True", "Reachable"),
        condition("Stalled", "False", "Progressing"),
    ],
    recentFailures=[
        {
            "time": SINCE,
            "worker": "w-1",
            "machine": "slot1@<ep>",
            "reason": "Exited",
            "exitCode": 2,
            "logTail": "Traceback\nModuleNotFoundError: no module named 'x'\n",
        }
    ],
)
