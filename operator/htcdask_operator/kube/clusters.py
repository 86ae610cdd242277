"""A DaskCluster as the API server shows it -> `ClusterFacts`. Pure, and total for any body.

The object is written by the gateway, but the number of workers in it is the word of the user's own scheduler:
anything that is not a whole number >= 0 counts as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from htcdask_api import names
from htcdask_operator.core.model import ClusterFacts

# The part of the configuration that decisions may use; the rest (environment, commands) is not ours.
_CONFIG: Final = (
    "worker_cores",
    "worker_memory",
    "image",
    "cluster_max_cores",
    "cluster_max_memory",
    "cluster_max_workers",
    "scheduler_cores",
    "scheduler_memory",
)
_ENDED: Final = ("Stopped", "Failed")


def facts(body: Mapping[str, Any]) -> ClusterFacts:
    """What the operator needs to know of a DaskCluster."""
    metadata = _mapping(body.get("metadata"))
    spec = _mapping(body.get("spec"))
    status = _mapping(body.get("status"))
    config = _mapping(spec.get("config"))
    options = _mapping(spec.get("options"))
    phase = status.get("phase")
    phase = phase if isinstance(phase, str) else "Pending"
    active = spec.get("active", True) is not False and "deletionTimestamp" not in metadata
    active = active and phase not in _ENDED
    secret = status.get("credentials")
    return ClusterFacts(
        namespace=str(metadata.get("namespace", "")),
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        active=active,
        running=active and phase == "Running",
        phase=phase,
        wanted=whole_number(spec.get(names.WANTED_FIELD)),
        htcondor=options.get(names.WORKER_BACKEND_OPTION) == names.WORKER_BACKEND_HTCONDOR,
        username=str(spec.get("username", "")),
        config={key: config[key] for key in _CONFIG if config.get(key) is not None},
        credentials_secret=secret if isinstance(secret, str) and secret else None,
    )


def whole_number(value: object) -> int:
    """`value` if it is a whole number >= 0, else 0 (True is not a number here)."""
    return value if type(value) is int and value >= 0 else 0


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
