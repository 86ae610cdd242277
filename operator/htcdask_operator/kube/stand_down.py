"""Make the operator stop, by taking its Lease away: what `uninstall` does once all pools have ended.

An operator that still ran could give a new pool its finalizer, and nobody would take it away again. This
needs no more than the operator's own rights; and the operator goes on by itself if the uninstallation stops
half-way, because the Lease that is taken lasts SECONDS only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests

SECONDS: Final = 20
"""Longer than Helm takes from the end of its hook to the end of the operator's pod."""

_API: Final = "coordination.k8s.io/v1"
_HOLDER: Final = "uninstall"
_SHARE: Final = 2 / 15  # of its lease: how often an operator renews, and so notices
_MARGIN: Final = 2.0
_LONGEST: Final = 45.0


class Operator(Protocol):
    """The operator that is to stop."""

    async def stand_down(self, now: float) -> float:
        """Take its lease, or take it again; seconds until it has noticed. KubeError when that failed."""


class Claim(Protocol):
    """What the operator held in one namespace."""

    async def free(self) -> float:
        """Leave it to the next release; seconds that it still lasts at most. KubeError when that failed."""


class LeaseHolder:
    """The port `Operator`, by the Lease `namespace/name` of a real API server."""

    def __init__(self, requests: Requests, lease: str) -> None:
        namespace, _, self._name = lease.partition("/")
        self._requests = requests
        self._all = f"/apis/{_API}/namespaces/{quote(namespace, safe='')}/leases"

    async def stand_down(self, now: float) -> float:
        path = f"{self._all}/{self._name}"
        time = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            "holderIdentity": _HOLDER,
            "leaseDurationSeconds": SECONDS,
            "acquireTime": time,
            "renewTime": time,
        }
        try:
            before = (await self._requests.send("GET", path)).get("spec") or {}
        except KubeError as error:
            if error.status != 404:
                raise
            body = {"apiVersion": _API, "kind": "Lease", "metadata": {"name": self._name}, "spec": spec}
            await self._requests.send("POST", self._all, body=body)
            return 0.0
        # Whatever version it has: the holder's next renewal names an older one, and fails.
        await self._requests.send(
            "PATCH", path, body={"spec": spec}, content_type="application/merge-patch+json"
        )
        return _until_noticed(before)


def _until_noticed(before: dict[str, Any]) -> float:
    if before.get("holderIdentity") in (None, "", _HOLDER):
        return 0.0
    seconds = before.get("leaseDurationSeconds")
    return min(_SHARE * (seconds if isinstance(seconds, int) else 15) + _MARGIN, _LONGEST)
