"""What the shell alone can remember of a cluster between two cycles; losing it costs nothing but time.

Kept by `reconcile`, one for each cluster; `recall` puts it beside what was observed, for the core.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from htcdask_api import PoolStatus
from htcdask_operator.core.budget import Publicity
from htcdask_operator.core.events import Event
from htcdask_operator.core.model import (
    ClusterFacts,
    JobStatus,
    Observed,
    PoolUid,
    Refusal,
    Remembered,
    Told,
    Unseen,
    WorkerName,
)


@dataclass(slots=True)
class Memory:
    """Of one cluster."""

    statuses: dict[PoolUid, PoolStatus] = field(default_factory=dict)  # decided, but not written yet
    logs: dict[WorkerName, str] = field(default_factory=dict)
    refusals: dict[PoolUid, Refusal] = field(default_factory=dict)
    told: Told | None = None
    events: dict[PoolUid, list[Event]] = field(default_factory=dict)  # not posted yet
    publicity: dict[PoolUid, Publicity] = field(default_factory=dict)
    remembered: Remembered = field(default_factory=Remembered)  # the plan's own
    _wanted: tuple[int, float] | None = None
    _were_connected: frozenset[WorkerName] = frozenset()
    _dropped: dict[WorkerName, float] = field(default_factory=dict)

    def recall(self, observed: Observed, now: float) -> Observed:
        """`observed`, with what is remembered."""
        if not isinstance(observed.jobs, Unseen) and not isinstance(observed.connected, Unseen):
            running = {job.worker for job in observed.jobs if job.status is JobStatus.RUNNING}
            self._were_connected = (self._were_connected | observed.connected) & running
            missing = self._were_connected - observed.connected
            self._dropped = {worker: self._dropped.get(worker, now) for worker in missing}
        return replace(
            observed,
            logs=dict(self.logs),
            dropped=dict(self._dropped),
            refusals=dict(self.refusals),
            told=self.told,
            wanted_since=self._since(observed, now),
        )

    def _since(self, observed: Observed, now: float) -> float | None:
        if isinstance(observed.cluster, ClusterFacts):
            wanted = observed.cluster.wanted
            if self._wanted is None or self._wanted[0] != wanted:
                self._wanted = (wanted, now)
        return None if self._wanted is None else self._wanted[1]

    def refused(self, pool: PoolUid, why: str, now: float) -> None:
        """The access point refused a submit of this pool."""
        before = self.refusals.get(pool)
        self.refusals[pool] = Refusal(why, now, before.times + 1 if before is not None else 1)

    def decided(self, statuses: Mapping[PoolUid, PoolStatus]) -> None:
        """These are to be published; logs that they carry need not be remembered any longer."""
        self.statuses.update(statuses)
        waiting = {
            failure.worker
            for status in self.statuses.values()
            for failure in status.recent_failures
            if failure.log_tail is None
        }
        self.logs = {worker: text for worker, text in self.logs.items() if worker in waiting}

    def spent(self, pool: PoolUid) -> Publicity:
        """What was written of this pool lately."""
        return self.publicity.get(pool, Publicity())

    def uncount(self, finished: Mapping[PoolUid, int]) -> None:
        """Put back how many workers had finished (a failed one is known by name and never counted twice)."""
        for pool, count in finished.items():
            if pool in self.statuses:
                self.statuses[pool] = self.statuses[pool].model_copy(update={"finished": count})

    def keep_only(self, pools: Collection[PoolUid]) -> None:
        """Forget the pools that are gone."""
        self.statuses = {pool: status for pool, status in self.statuses.items() if pool in pools}
        self.refusals = {pool: refusal for pool, refusal in self.refusals.items() if pool in pools}
        self.events = {pool: events for pool, events in self.events.items() if pool in pools}
        self.publicity = {pool: spent for pool, spent in self.publicity.items() if pool in pools}
