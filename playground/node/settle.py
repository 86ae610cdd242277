"""After a restart the API still tells what was: this waits until it tells what is. Only node.py calls it.

A node that ended without notice leaves its pods `Running` and `Ready` in the API, and a wait for them would
return at once. What the API says is current once it names no container that does not run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

from playground.build.errors import PlaygroundError
from playground.node import containers

_INTERVAL = 0.2


def wait(pods: Callable[[], str], enter: list[str], timeout: float = 120) -> None:
    """`pods` asks the API for all pods as JSON; `enter` leads into the node."""
    deadline = time.monotonic() + timeout
    while gone := claimed(pods()) - containers.running(enter):
        if time.monotonic() > deadline:
            raise PlaygroundError(f"the kubelet did not notice the end of containers {sorted(gone)}")
        time.sleep(_INTERVAL)


def claimed(pods: str) -> set[str]:
    """The containers that run, according to the API."""
    return {
        status["containerID"].removeprefix("containerd://")
        for pod in json.loads(pods)["items"]
        for kind in ("initContainerStatuses", "containerStatuses")
        for status in pod.get("status", {}).get(kind, ())
        if "running" in status["state"]
    }
