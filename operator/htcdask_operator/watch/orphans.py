"""Sweeps the jobs whose pool no longer exists: asks what `core.orphans` needs to know, and does what it says.

Called by the poller after a successful poll. Of a pool that this process has seen, and of one whose jobs are
of an earlier process's time, it is known at once that it is gone; of others only half a lease tells that no
other operator looks after their jobs (`core.rivals`).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Final

from htcdask_operator.core import orphans
from htcdask_operator.core.model import Job, PoolUid
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.ports import Ports
from htcdask_operator.state.known import Known

_log = logging.getLogger(__name__)

_ASK_AGAIN: Final = 10.0  # about pools that are unknown and were not gone
_NEVER_SEEN_SECONDS: Final = 1800.0  # half a lease, as a site has it that says nothing


class Orphans:
    """Remembers which unknown pools were asked about, and when."""

    def __init__(
        self,
        ports: Ports,
        known: Known,
        namespaces: Sequence[str],
        never_seen_seconds: float = _NEVER_SEEN_SECONDS,
        last_seen: Callable[[], float | None] = lambda: None,
    ) -> None:
        """`never_seen_seconds`: so long jobs of pools that we never saw may be another operator's.

        `last_seen`: when an operator of this installation was last at work before us, if that is known.
        """
        self._last_seen = last_seen
        self._ports = ports
        self._known = known
        self._namespaces = namespaces
        self._never_seen_seconds = never_seen_seconds
        self._asked: dict[PoolUid, float] = {}
        self._never_seen: dict[PoolUid, float] = {}  # pools that this operator never saw, and since when not

    async def sweep(self, now: float) -> None:
        """Remove the jobs of pools that are gone; CondorError if HTCondor refuses."""
        unknown = self._known.queue.jobs.keys() - self._known.clusters.pools.keys()
        self._asked = {pool: at for pool, at in self._asked.items() if pool in unknown}
        self._never_seen = {
            pool: self._never_seen.get(pool, now)
            for pool in unknown
            if pool not in self._known.clusters.knew
            and orphans.may_be_anothers(self._known.queue.jobs[pool], self._last_seen())
        }
        self._known.clusters.knew &= self._known.clusters.pools.keys() | unknown
        due = {
            pool
            for pool in unknown
            if now - self._asked.get(pool, 0.0) >= _ASK_AGAIN
            and now - self._never_seen.get(pool, -math.inf) >= self._never_seen_seconds
        }
        if not due:
            return
        jobs = [job for pool in due for job in self._known.queue.jobs[pool]]
        removal = orphans.removal(jobs, await self._there(jobs), self._known.queue.identity)
        self._asked |= dict.fromkeys(due, now)
        if removal is None:
            return
        _log.warning("%d jobs of pools that are gone are removed", len(removal.jobs))
        await self._ports.condor.remove(removal.jobs, removal.reason)
        for pool in due:  # the anchor is next, once they have left
            del self._asked[pool]

    async def _there(self, jobs: Sequence[Job]) -> dict[str, set[PoolUid]]:
        """The pools of each of our namespaces that these jobs name, where the API server tells."""
        there = {}
        for namespace in sorted({job.namespace for job in jobs}.intersection(self._namespaces)):
            try:
                there[namespace] = {pool.uid for pool in await self._ports.kube.pools(namespace)}
            except KubeError as error:
                _log.warning("Cannot tell whether pools of %s are gone: %s", namespace, error)
        return there
