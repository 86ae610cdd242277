"""Which workers their scheduler has lost: connected once, and missing in every answer since.

Kept by the shell between two cycles and not looked into. Only answers count, and only time between two
answers that follow each other: while the scheduler is not asked, or does not answer, nobody is missing any
longer than before. So no single answer, such as that of a scheduler that has just started anew, makes a
worker lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_operator.core.model import Job, Observed, Unseen, WorkerName
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers import states

MOST_SECONDS: Final = 30.0
"""So much of the time between two answers counts at most: two minutes without a worker are five answers."""


@dataclass(frozen=True, slots=True)
class Contact:
    """What is remembered of one cluster's workers."""

    connected: frozenset[WorkerName] = frozenset()  # once, and their jobs still run
    missing: Mapping[WorkerName, float] = field(default_factory=dict)  # for so many seconds of answers
    answered_at: float = 0.0
    gap: bool = False  # since then a question was not asked, or failed

    def after(self, observed: Observed, now: float) -> Contact:
        """With what was seen now."""
        if not isinstance(observed.connected, frozenset) or isinstance(observed.jobs, Unseen):
            return replace(self, gap=True)
        running = {job.worker for job in states.running(observed.jobs)}
        connected = (self.connected | observed.connected) & running
        passed = 0.0 if self.gap else max(0.0, min(now - self.answered_at, MOST_SECONDS))
        missing = {
            worker: self.missing[worker] + passed if worker in self.missing else 0.0
            for worker in connected - observed.connected
        }
        return Contact(connected, missing, now)

    @property
    def dropped(self) -> dict[WorkerName, float]:
        """Since when each has been missing, as of the last answer."""
        return {worker: self.answered_at - seconds for worker, seconds in self.missing.items()}


def began(job: Job) -> float:
    """When its process began, or as near to that as the queue shows."""
    return job.started_at or job.status_since


def serves(worker: states.Worker, policy: Policy, now: float) -> bool:
    """Whether its scheduler has it: by its word, or where it names nobody, after some time."""
    if worker.state is states.State.UNNAMED:
        return now >= states.connected_by(worker.job, policy)
    return worker.state is states.State.CONNECTED
