"""An Event as it is written: about which object, and in words that the API server takes. Pure; for `api`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from htcdask_api import names
from htcdask_operator.core import sanitize
from htcdask_operator.kube.port import EventType


class Object(NamedTuple):
    """What an Event is about."""

    version: str
    kind: str
    namespace: str
    name: str
    uid: str


def written(
    about: Object, kind: EventType, reason: str, message: str, instance: str, at: float
) -> dict[str, Any]:
    """What to send. `instance`: which process tells it; `at`: seconds since the epoch."""
    now = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{about.name[:200].rstrip('-.')}-", "namespace": about.namespace},
        "involvedObject": {
            "apiVersion": about.version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": about.uid,
        },
        "type": kind,
        "reason": sanitize.reason(reason),
        "message": sanitize.event(message),
        "action": "Reconcile",
        "reportingComponent": names.GROUP,
        "reportingInstance": instance[:128],
        "source": {"component": names.GROUP},
        "firstTimestamp": now[:19] + "Z",
        "lastTimestamp": now[:19] + "Z",
        "eventTime": now,
        "count": 1,
    }
