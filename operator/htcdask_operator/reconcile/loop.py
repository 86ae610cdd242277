"""One task for each cluster: when its cycle runs, and when it is tried again after a failure.

`handlers` and `poller` call `wake` for a cluster about which something may have changed; each cluster has
one task, so its cycles never overlap, and different clusters run side by side. A question that failed delays
a cluster and never ends its task.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from htcdask_operator import metrics
from htcdask_operator.core import mistake
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import ClusterKey
from htcdask_operator.progress import Progress
from htcdask_operator.reconcile.cycle import RESYNC, ClusterTask, Cycle

_log = logging.getLogger(__name__)


class Reconciler:
    """All clusters that have pools, or ask for one."""

    def __init__(self, cycle: Cycle) -> None:
        self.cycle: Final = cycle
        self._clock = cycle.clock
        self._clusters: dict[ClusterKey, ClusterTask] = {}
        self._group: asyncio.TaskGroup | None = None

    def wake(self, key: ClusterKey) -> None:
        """Something about this cluster may have changed."""
        cluster = self._clusters.get(key)
        if cluster is None:
            cluster = self._clusters[key] = ClusterTask()
            if self._group is not None:
                self._group.create_task(self._tend(key, cluster), name=f"cluster {key}")
        cluster.woken.set()

    def standstill(self) -> float:
        """For how many seconds a running cycle has got nowhere: the one of which that is longest ago."""
        running = (cluster.progress for cluster in self._clusters.values())
        return max((progress.standstill() for progress in running if progress is not None), default=0.0)

    async def run(self) -> None:
        """Tend the clusters until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for key, cluster in self._clusters.items():
                group.create_task(self._tend(key, cluster), name=f"cluster {key}")
            await asyncio.Event().wait()

    async def _tend(self, key: ClusterKey, cluster: ClusterTask) -> None:
        while True:
            cluster.woken.clear()
            began = self._clock()
            cluster.progress = Progress(self._clock)
            cluster.progress.follow()
            try:
                wake_at = await self.cycle.run(key, cluster)
            except KubeError as error:
                wake_at = self.cycle.after_failure(key, cluster, str(error))
            except Exception as error:
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    raise  # nobody cancels it again
                # A mistake of ours about one cluster must not stop the others.
                _log.error("Cluster %s: the cycle failed: %s", key, mistake.of(error))
                wake_at = self.cycle.after_failure(key, cluster, None)
            finally:
                cluster.progress = None
            metrics.CYCLE_SECONDS.observe(self._clock() - began)
            if wake_at is None and not cluster.woken.is_set():
                del self._clusters[key]
                return
            delay = RESYNC if wake_at is None else min(wake_at - self._clock(), RESYNC)
            try:
                async with asyncio.timeout(max(0.0, delay)):
                    await cluster.woken.wait()
            except TimeoutError:
                pass
