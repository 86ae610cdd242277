"""A Lease of coordination.k8s.io as the API server shows it, and as it is written. Pure.

Its times are texts: they say that a Lease was written anew, and nobody reckons with another machine's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from htcdask_operator.kube import bodies

API_VERSION: Final = "coordination.k8s.io/v1"
KIND: Final = "Lease"
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


def read_time(text: str) -> float | None:
    """One of its times as seconds since the epoch, for what may be a little off."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def read(body: Mapping[str, Any]) -> Lease:
    """The Lease in an answer of the API server; total for any body."""
    spec, metadata = bodies.mapping(body.get("spec")), bodies.mapping(body.get("metadata"))
    return Lease(
        holder=bodies.text(spec.get("holderIdentity")),
        seconds=bodies.number(spec.get("leaseDurationSeconds")) or None,
        acquired=bodies.text(spec.get("acquireTime")),
        renewed=bodies.text(spec.get("renewTime")),
        transitions=bodies.number(spec.get("leaseTransitions")),
        version=bodies.text(metadata.get("resourceVersion")) or None,
    )


def written(name: str, lease: Lease) -> dict[str, Any]:
    """What to send. The version makes it fail when somebody else has written meanwhile."""
    version = {} if lease.version is None else {"resourceVersion": lease.version}
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, **version},
        "spec": {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.seconds,
            "acquireTime": lease.acquired,
            "renewTime": lease.renewed,
            "leaseTransitions": lease.transitions,
        },
    }
