"""A DaskCluster as the API server shows it -> `ClusterFacts`. Pure, and total for any body.

The object is written by the gateway, but the number of workers in it is the word of the user's own scheduler:
anything that is not a whole number >= 0 counts as 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from htcdask_api import names
from htcdask_operator.core.model import ClusterFacts
from htcdask_operator.kube.bodies import mapping, number, text

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
_LONGEST: Final = 64  # of a time, written out


def facts(body: Mapping[str, Any]) -> ClusterFacts:
    """What the operator needs to know of a DaskCluster."""
    metadata = mapping(body.get("metadata"))
    spec = mapping(body.get("spec"))
    status = mapping(body.get("status"))
    config = mapping(spec.get("config"))
    options = mapping(spec.get("options"))
    phase = status.get("phase")
    phase = phase if isinstance(phase, str) else "Pending"
    active = spec.get("active", True) is not False and metadata.get("deletionTimestamp") is None
    active = active and phase not in _ENDED
    secret = status.get("credentials")
    wanted = spec.get(names.WANTED_FIELD)
    asked, word = _asked(spec.get(names.ASKED_FIELD), wanted)
    return ClusterFacts(
        namespace=text(metadata.get("namespace")),
        name=text(metadata.get("name")),
        uid=text(metadata.get("uid")),
        active=active,
        running=active and phase == "Running",
        phase=phase,
        replicas=number(wanted),
        htcondor=options.get(names.WORKER_BACKEND_OPTION) == names.WORKER_BACKEND_HTCONDOR,
        username=str(spec.get("username", "")),
        groups=_groups(spec.get(names.GROUPS_FIELD)),
        asked=asked,
        word=word,
        pool_made=mapping(metadata.get("annotations")).get(names.POOL_MADE_ANNOTATION) == "true",
        config={key: config[key] for key in _CONFIG if config.get(key) is not None},
        credentials_secret=secret if isinstance(secret, str) and secret else None,
    )


def _groups(value: object) -> frozenset[str]:
    """Those that the gateway wrote; a value that is no list of strings is not the gateway's."""
    if not isinstance(value, list) or not all(isinstance(group, str) for group in value):
        return frozenset()
    return frozenset(group for group in value[: names.MOST_GROUPS] if len(group) <= names.LONGEST_GROUP)


def _asked(value: object, wanted: object) -> tuple[int | None, str]:
    """What its user asked for last, and which word it was; nothing where the gateway did not write it.

    Beside another number than `wanted` it tells nothing: an older gateway wrote that, or somebody by hand.
    Before there is a number, neither has one.
    """
    body = mapping(value)
    replicas, word, beside = body.get("replicas"), text(body.get("at")), body.get("wanted")
    if type(beside) is not type(wanted) or beside != wanted or not 0 < len(word) <= _LONGEST:
        return None, ""
    return (replicas, word) if replicas is None or (type(replicas) is int and replicas >= 0) else (None, "")
