"""Whether another operator acts on the same jobs under our id and identity, such as that of a cloned cluster.

Called by the poller with each answer. Every operator renews the leases of its jobs, each third of a lease, so
a lease that goes on and was not renewed by us is the sign of another one. Neither can know which of them is
meant to be there: as long as the sign is fresh, nothing is submitted or removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_operator.core.model import UNKNOWN_TIME, Disputed, Job, JobId

_CLOSE: Final = 5.0  # seconds: whole seconds, and clocks that are compared now and then
_REMEMBERED: Final = 8  # of our own renewals: one whose answer was lost may show late


@dataclass(frozen=True, slots=True)
class Renewals:
    """What is remembered between two answers."""

    leases: Mapping[JobId, float] = field(default_factory=dict)  # counted from when the job was queued
    queued: Mapping[JobId, float] = field(default_factory=dict)  # when that was, as it was shown last
    ours: tuple[float, ...] = ()  # until when we renewed
    sign_at: float | None = None  # when the last renewal by another was seen

    def renewed(self, until: float) -> Renewals:
        """We are about to renew all leases."""
        return replace(self, ours=(until, *self.ours)[:_REMEMBERED])

    def look(self, jobs: Iterable[Job], now: float) -> Renewals:
        """After an answer that showed these jobs."""
        leases, sign_at = {}, self.sign_at
        shown = [(job, job.lease) for job in jobs if job.lease is not None and job.queued_at != UNKNOWN_TIME]
        queued = {job.id: job.queued_at for job, _ in shown}
        ours = self._moved(queued)
        for job, lease in shown:
            # When the access point's clock is set, all times move, and this does not.
            leases[job.id] = lease - job.queued_at
            longer = leases[job.id] - self.leases.get(job.id, leases[job.id])
            if longer > _CLOSE and not any(abs(lease - until) <= _CLOSE for until in ours):
                sign_at = now
        return replace(self, leases=leases, queued=queued, ours=ours, sign_at=sign_at)

    def _moved(self, queued: Mapping[JobId, float]) -> tuple[float, ...]:
        """Our renewals as they show now: when the clocks are compared anew, they move like all times."""
        moves = (at - self.queued[job] for job, at in queued.items() if job in self.queued)
        if not (moved := next(moves, 0.0)):
            return self.ours
        return tuple(end for until in self.ours for end in (until + moved, until))[:_REMEMBERED]

    def dispute(self, now: float, job_expiry_seconds: float) -> Disputed | None:
        """Why nothing may be done now, if it may not."""
        if self.sign_at is None or now - self.sign_at >= job_expiry_seconds / 2:
            return None
        return Disputed(
            "another operator with the same id and identity renews the leases of this one's jobs: is there a "
            "copy of this Kubernetes cluster? Until only one is left, and half a lease longer, nothing is "
            "submitted or removed here"
        )
