"""The three outside systems, as one value that `observe` and `perform` are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from htcdask_operator.condor.port import Condor
from htcdask_operator.kube.port import Kube
from htcdask_operator.scheduler.port import Scheduler


class ClusterKey(NamedTuple):
    """Which cluster a cycle is about: it may not exist yet, or no more."""

    namespace: str
    cluster: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.cluster}"


@dataclass(frozen=True, slots=True)
class Ports:
    """Whom to ask."""

    condor: Condor
    kube: Kube
    scheduler: Scheduler
