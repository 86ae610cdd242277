"""What the shell alone can remember of a cluster between two cycles; losing it costs nothing but time.

Kept by `reconcile`, one for each cluster; `recall` puts it beside what was observed, for the core.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from htcdask_api import PoolStatus
from htcdask_operator.core import setback
from htcdask_operator.core.model import (
    ClusterFacts,
    LastScale,
    Observed,
    PoolUid,
    Refusal,
    Remembered,
    WorkerName,
)
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.status.events import Event
from htcdask_operator.core.token_bucket import Publicity
from htcdask_operator.core.workers.contact import Contact


@dataclass(slots=True)
class Memory:
    """Of one cluster."""

    statuses: dict[PoolUid, PoolStatus] = field(default_factory=dict)  # decided, but not written yet
    logs: dict[WorkerName, str] = field(default_factory=dict)
    refusals: dict[PoolUid, Refusal] = field(default_factory=dict)
    setbacks: dict[PoolUid, Setback] = field(default_factory=dict)  # pools of which an action failed
    unwritten: dict[PoolUid, Setback] = field(default_factory=dict)  # pools whose status was refused
    told: LastScale | None = None
    events: dict[PoolUid, list[Event]] = field(default_factory=dict)  # not posted yet
    publicity: dict[PoolUid, Publicity] = field(default_factory=dict)
    remembered: Remembered = field(default_factory=Remembered)  # the plan's own
    _wanted: tuple[int, float] | None = None
    _contact: Contact = field(default_factory=Contact)

    def recall(self, observed: Observed, now: float) -> Observed:
        """`observed`, with what is remembered."""
        self._contact = self._contact.after(observed, now)
        return replace(
            observed,
            logs=dict(self.logs),
            dropped=self._contact.dropped,
            refusals=dict(self.refusals),
            setbacks=dict(self.setbacks),
            told=self.told,
            wanted_since=self._since(observed, now),
        )

    def _since(self, observed: Observed, now: float) -> float | None:
        if isinstance(observed.cluster, ClusterFacts):
            wanted = observed.cluster.wanted
            if self._wanted is None or self._wanted[0] != wanted:
                self._wanted = (wanted, now)
        return None if self._wanted is None else self._wanted[1]

    def begin(self, now: float) -> None:
        """A new cycle begins: who failed before is tried again, if it is time."""
        failed = {pool: last for pool, last in self.setbacks.items() if last.times}
        self.setbacks = {pool: setback.in_next_cycle(last, now) for pool, last in failed.items()}

    def failed(self, failures: Mapping[PoolUid, Setback]) -> None:
        """Actions of these pools failed, or were not done because of another's."""
        for pool, failure in failures.items():
            before = self.setbacks.get(pool)
            if failure.times:
                self.setbacks[pool] = setback.one_more(before, failure)
            else:
                times, at = (before.times, before.at) if before is not None else (0, failure.at)
                self.setbacks[pool] = replace(failure, times=times, at=at)

    def got_through(self) -> None:
        """A cycle is over: who did not fail in it has no setback any more."""
        self.setbacks = {pool: last for pool, last in self.setbacks.items() if last.waits}

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

    def recorded(self, pool: PoolUid, identity: str) -> None:
        """It was written as whom the pool's jobs are submitted: what was decided before must not undo it."""
        if pool in self.statuses:
            self.statuses[pool] = self.statuses[pool].model_copy(update={"submitted_as": identity})

    def uncount(self, finished: Mapping[PoolUid, int]) -> None:
        """Put back how many workers had finished (a failed one is known by name and never counted twice)."""
        for pool, count in finished.items():
            if pool in self.statuses:
                self.statuses[pool] = self.statuses[pool].model_copy(update={"finished": count})

    def keep_only(self, pools: Collection[PoolUid]) -> None:
        """Forget the pools that are gone."""
        self.statuses = {pool: status for pool, status in self.statuses.items() if pool in pools}
        self.refusals = {pool: refusal for pool, refusal in self.refusals.items() if pool in pools}
        self.setbacks = {pool: last for pool, last in self.setbacks.items() if pool in pools}
        self.unwritten = {pool: last for pool, last in self.unwritten.items() if pool in pools}
        self.events = {pool: events for pool, events in self.events.items() if pool in pools}
        self.publicity = {pool: spent for pool, spent in self.publicity.items() if pool in pools}
