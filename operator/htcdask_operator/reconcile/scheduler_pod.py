"""What a scheduler's pod waits for, asked only where a cluster with pools takes long to start.

Kept in each `ClusterTask`, asked by `cycle`. One question for a cluster, and less often the longer it goes
on: that the scheduler runs at last is shown by its DaskCluster, for which nobody has to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import ClusterFacts, Gone, Unseen
from htcdask_operator.core.timestamps import doubled
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube

FIRST_SECONDS: Final = 10.0
"""So long an image that is there, and a free node, may take."""
LONGEST_PAUSE: Final = 120.0


@dataclass(slots=True)
class SchedulerPod:
    """Of one cluster."""

    ask_at: float | None = None  # None: its cluster runs, or has not been seen
    times: int = 0
    said: str = ""

    def next_at(self, now: float) -> float | None:
        """When it is time to ask. Not now: that it was not asked has a reason, which has its own pause."""
        return self.ask_at if self.ask_at is not None and self.ask_at > now else None

    async def look(self, kube: Kube, cluster: ClusterFacts | Gone | Unseen, now: float) -> str:
        """What it waits for, as far as it was asked; "" where nothing is known to be in the way."""
        if isinstance(cluster, Unseen):
            return self.said
        if isinstance(cluster, Gone) or cluster.running or not (cluster.active and cluster.htcondor):
            self.ask_at, self.times, self.said = None, 0, ""
        elif self.ask_at is None:
            self.ask_at = now + FIRST_SECONDS
        elif now >= self.ask_at:
            self.times += 1
            self.ask_at = now + doubled(FIRST_SECONDS, self.times, LONGEST_PAUSE)
            self.said = await _asked(kube, cluster)
        return self.said


async def _asked(kube: Kube, cluster: ClusterFacts) -> str:
    try:
        found = await kube.scheduler_pod(cluster.namespace, cluster.name)
    except KubeError as error:
        return f"what its pod waits for could not be read: {error}"
    if isinstance(found, Gone):
        return "it has no pod yet: the log of dask-gateway's controller says why"
    return f"its pod waits: {found}" if found else ""
