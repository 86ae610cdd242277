"""The pod of a cluster's scheduler as the API server shows it -> what it waits for, in words. Pure, total.

dask-gateway's controller makes the pod, and its DaskCluster says no more than Pending until the pod runs. The
words are Kubernetes' own: its scheduler's, the kubelet's, a registry's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from htcdask_operator.kube.bodies import mapping, text

_STARTING: Final = ("", "ContainerCreating", "PodInitializing")
_MOST_LETTERS: Final = 600
# A registry's address may be signed for whoever asked for it.
_SIGNATURE: Final = re.compile(r"\?[^\s\"']+")


def name(cluster: str) -> str:
    """As the gateway's controller calls it."""
    return f"dask-scheduler-{cluster}"


def waits_for(body: Mapping[str, Any]) -> str:
    """Why it does not run, one line; "" where nothing is said but that it is on its way, or it runs."""
    status = mapping(body.get("status"))
    for condition in _maps(status.get("conditions")):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _words(condition.get("reason"), condition.get("message"))
    of_containers = ("initContainerStatuses", "containerStatuses")
    for container in (each for kind in of_containers for each in _maps(status.get(kind))):
        state = mapping(container.get("state"))
        waiting, ended = mapping(state.get("waiting")), mapping(state.get("terminated"))
        if text(waiting.get("reason")) not in _STARTING:
            return _words(waiting.get("reason"), waiting.get("message"))
        if ended and ended.get("exitCode") != 0:
            code = f"its container {text(container.get('name'))} ended with exit code {ended.get('exitCode')}"
            return _words(ended.get("reason"), code)
    if status.get("phase") == "Failed":
        return _words(status.get("reason"), status.get("message"))
    return ""


def _words(reason: object, message: object) -> str:
    said = ": ".join(part for part in (text(reason), text(message)) if part)
    return _SIGNATURE.sub("?...", said)[:_MOST_LETTERS] or "Kubernetes does not say why"


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []
