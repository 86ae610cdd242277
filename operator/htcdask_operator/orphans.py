"""Jobs of this operator whose pool no longer exists: removed, because nobody else would.

Called by the poller after a successful poll. A pool keeps a finalizer until its jobs are gone, so an orphan
means that somebody took the finalizer away by hand, or that the cluster was rebuilt. That a pool is gone is
believed only when the API server lists all pools without it, some time after the first doubt.
"""

from __future__ import annotations

import logging
from typing import Final

from htcdask_operator.core.model import JobStatus, PoolUid
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import Ports
from htcdask_operator.view import View

_log = logging.getLogger(__name__)

_PATIENCE: Final = 10.0  # seconds: so that what is left of a pool has gone within 30


class Orphans:
    """Remembers since when a pool is missing."""

    def __init__(self, ports: Ports, view: View, namespaces: tuple[str, ...]) -> None:
        self._ports = ports
        self._view = view
        self._namespaces = namespaces
        self._missing_since: dict[PoolUid, float] = {}

    async def sweep(self, now: float) -> None:
        """Remove the jobs of pools that have been missing for a while; CondorError if HTCondor refuses."""
        missing = self._view.jobs.keys() - self._view.pools.keys()
        self._missing_since = {pool: self._missing_since.get(pool, now) for pool in missing}
        due = {pool for pool, since in self._missing_since.items() if now - since >= _PATIENCE}
        if not due:
            return
        try:
            for namespace in self._namespaces:
                due -= {pool.uid for pool in await self._ports.kube.pools(namespace)}
        except KubeError as error:
            _log.warning("Cannot tell whether pools are gone: %s", error)
            return
        for pool in due:
            jobs = [job.id for job in self._view.jobs[pool] if job.status is not JobStatus.REMOVED]
            if jobs:
                _log.warning("%d jobs of pool %s, which is gone, are removed", len(jobs), pool)
                await self._ports.condor.remove(jobs, "the HTCWorkerPool of this job no longer exists")
