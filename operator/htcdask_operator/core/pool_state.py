"""One pool with all that is known of it, and what a check may find. Data only.

Made by `plan`; read by every check and by `summary`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from htcdask_api import Template
from htcdask_operator.core.model import ClusterFacts, Observed, Policy, PoolFacts, PoolUid
from htcdask_operator.core.submit.anchor import Anchors
from htcdask_operator.core.workers.backoff import Backoff


@dataclass(frozen=True, slots=True)
class PoolState:
    """All that is known of one pool when it is judged."""

    pool: PoolFacts
    observed: Observed
    policy: Policy
    now: float
    template: Template  # resolved
    gateway_pool: PoolUid | None  # the one that follows scale() and adapt()
    anchors: Anchors = field(default_factory=Anchors)
    outlook: Backoff = field(default_factory=Backoff)
    missing: int = 0  # workers wanted, and not there

    @property
    def cluster(self) -> ClusterFacts | None:
        return self.observed.cluster if isinstance(self.observed.cluster, ClusterFacts) else None


@dataclass(frozen=True, slots=True)
class Finding:
    """Why not: for the conditions, and whether a person has to do something."""

    reason: str
    message: str
    stalled: bool = False
    until: float | None = None  # when to look again at the latest


Check = Callable[[PoolState], Finding | None]
