"""Which workers go when fewer are wanted.

Called by `plan` for each pool. What costs nothing goes first, the newest first. A connected worker never goes
here: the scheduler retires its own surplus, because it knows which worker holds what.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.triage import State, Worker, live

ORDER: Final = (State.SUBMITTING, State.PAUSED, State.IDLE, State.LATE, State.STARTING)


def surplus(workers: Sequence[Worker], desired: int) -> tuple[Worker, ...]:
    """The workers to remove so that no more than `desired` live, as far as that is ours to do."""
    too_many = live(workers) - desired
    candidates = [worker for worker in workers if worker.state in ORDER]
    # The last that were queued are the last that would have started.
    candidates.sort(key=lambda worker: (-worker.job.queued_at, worker.job.worker))
    candidates.sort(key=lambda worker: ORDER.index(worker.state))
    return tuple(candidates[: max(0, too_many)])


def everything(workers: Sequence[Worker]) -> tuple[Worker, ...]:
    """All jobs that are not leaving already: each process is told to close gracefully."""
    return tuple(worker for worker in workers if worker.job.status is not JobStatus.REMOVED)
