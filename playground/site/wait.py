"""Waiting until the site's deployments are what was applied. Only site.py calls it."""

from __future__ import annotations

import json
import time
from typing import Any

from playground.build.errors import PlaygroundError
from playground.node.node import Node

_TIMEOUT = 180.0


def deployments(node: Node, *where: str, timeout: float = _TIMEOUT) -> None:
    """Wait until every deployment runs what it was told last; the error says which pod does not, and why.

    `where` narrows it down: what kubectl is told beside `get deployments`.
    """
    deadline = time.monotonic() + timeout
    while pending := _pending(node, where or ("--all-namespaces",)):
        if time.monotonic() > deadline:
            raise PlaygroundError(
                f"not ready after {timeout:.0f} s: {', '.join(pending)}\n" + "\n".join(_complaints(node))
            )
        time.sleep(0.3)


def _pending(node: Node, where: tuple[str, ...]) -> list[str]:
    items = json.loads(node.kubectl("get", "deployments", *where, "--output=json"))["items"]
    return [item["metadata"]["name"] for item in items if not _is_done(item)]


def _is_done(deployment: dict[str, Any]) -> bool:
    status, wanted = deployment.get("status", {}), deployment["spec"]["replicas"]
    counts = [status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")]
    return status.get("observedGeneration") == deployment["metadata"]["generation"] and counts == [wanted] * 3


def _complaints(node: Node) -> list[str]:
    pods = json.loads(node.kubectl("get", "pods", "--all-namespaces", "--output=json"))["items"]
    said = []
    for pod in pods:
        place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        containers = pod["status"].get("containerStatuses", [])
        if not containers:
            said.append(f"{place}: {json.dumps(pod['status'].get('conditions', []))}")
        said += [f"{place}: {json.dumps(each['state'])}" for each in containers if not each["ready"]]
        if any(not each["ready"] for each in containers):
            namespace = f"--namespace={pod['metadata']['namespace']}"
            log = node.kubectl("logs", namespace, pod["metadata"]["name"], "--tail=20", check=False)
            said.append(log.rstrip())
    return said
