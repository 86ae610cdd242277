"""Whom to ask, and how often: of the access point, and of each Dask scheduler.

Used by `watch.poller` and `watch.schedulers`, which ask. User code in a scheduler may answer late, never or
badly: who did that lately is asked less often, and in a lane of its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from htcdask_operator.core import timestamps
from htcdask_operator.core.model import Job
from htcdask_operator.core.workers import states

BUSY_SECONDS: Final = 10.0
"""So long after a change the next one is likely."""
SLOW_SECONDS: Final = 1.0
"""A page of 1,000 workers takes a tenth of it."""

_TROUBLE: Final = 2  # good answers that it takes to make up for a bad one
_MOST_TROUBLE: Final = 10
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0


@dataclass(frozen=True, slots=True)
class PollIntervals:
    """How often the site wants the access point to be asked."""

    active_seconds: float = 1.0
    quiet_seconds: float = 15.0

    @property
    def attentive_seconds(self) -> float:
        """Until a cluster with workers is looked after again, although nothing moves.

        A worker that ends by itself is noticed within a few seconds; an empty queue has no surprises.
        """
        return min(self.quiet_seconds, 5 * self.active_seconds)

    def interval(self, *, moving: bool, workers: bool) -> float:
        """Seconds until the access point is asked again. `moving`: something is about to change."""
        if moving:
            return self.active_seconds
        return self.attentive_seconds if workers else self.quiet_seconds


def lease_is_behind(jobs: Iterable[Job], identity: str | None, job_expiry_seconds: float, now: float) -> bool:
    """Whether a job of this identity has less than half of its lease left.

    The others' are renewed at a third of it, so the edit that went to all of them has not reached this one:
    an access point may show a job late, or not for a while.
    """
    least = now + job_expiry_seconds / 2
    return any(
        job.lease is not None
        and job.lease < least
        and job.owner == identity
        and not (states.is_leaving(job) or states.has_ended(job))
        for job in jobs
    )


@dataclass(frozen=True, slots=True)
class Heard:
    """One scheduler, as far as it matters for when to ask it again."""

    asked_at: float = -math.inf
    silent: int = 0  # failures in a row
    trouble: int = 0  # of late

    def is_due(self, intervals: PollIntervals, now: float, *, unsettled: bool) -> bool:
        """Whether to ask it now. `unsettled`: jobs run that are not connected, or the reverse."""
        since = now - self.asked_at
        return since >= self._pause and (unsettled or since >= intervals.attentive_seconds)

    def answered(self, seconds: float, *, failed: bool) -> Heard:
        """After an answer that took so long, or none."""
        if failed or seconds > SLOW_SECONDS:
            trouble = min(self.trouble + _TROUBLE, _MOST_TROUBLE)
        else:
            trouble = max(0, self.trouble - 1)
        return replace(self, silent=self.silent + 1 if failed else 0, trouble=trouble)

    @property
    def _pause(self) -> float:
        """So long it is left alone, because it did not answer."""
        return timestamps.doubled(_FIRST_PAUSE, self.silent, _LONGEST_PAUSE) if self.silent else 0.0
