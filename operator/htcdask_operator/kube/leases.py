"""A Lease of coordination.k8s.io as the API server shows it, and as it is written. Pure.

Its times are texts: they say that a Lease was written anew, and nobody reckons with another machine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

API_VERSION: Final = "coordination.k8s.io/v1"
PLURAL: Final = "leases"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds it. Two are equal when nothing was written between them."""

    holder: str = ""  # nobody
    seconds: int | None = None
    acquired: str = ""
    renewed: str = ""
    transitions: int = 0
    version: str | None = field(default=None, compare=False)  # None: not there yet


def read(body: Mapping[str, Any]) -> Lease:
    """The Lease in an answer of the API server."""
    spec = body.get("spec") or {}
    return Lease(
        holder=spec.get("holderIdentity") or "",
        seconds=spec.get("leaseDurationSeconds"),
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=spec.get("leaseTransitions") or 0,
        version=(body.get("metadata") or {}).get("resourceVersion"),
    )


def written(name: str, lease: Lease) -> dict[str, Any]:
    """What to send. The version makes it fail when somebody else has written meanwhile."""
    version = {} if lease.version is None else {"resourceVersion": lease.version}
    return {
        "apiVersion": API_VERSION,
        "kind": "Lease",
        "metadata": {"name": name, **version},
        "spec": {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.seconds,
            "acquireTime": lease.acquired,
            "renewTime": lease.renewed,
            "leaseTransitions": lease.transitions,
        },
    }
