"""Which workers go when fewer are wanted.

Called by `pools.complete` for each pool. What costs nothing goes first, the newest first. The scheduler
retires its own surplus, because it knows which worker holds what; only where it cannot know, because the
cluster's total fits what it asked for, a connected worker goes here: gracefully, and one in the middle of a
task only once its time is up (`drain`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Job, WorkerName
from htcdask_operator.core.workers import states, succession
from htcdask_operator.core.workers.states import RUNS, State, Worker, live

FIRST_TO_GO: Final = (State.SUBMITTING, State.HELD, State.IDLE, State.NOT_CONNECTED, State.STARTING)

# No connected worker goes in the place of one of these: it may be they that are too many (`drain`).
_STOPPED_OR_UNHEARD: Final = (State.DISCONNECTED, State.SUSPENDED, State.NOT_ASKED, State.UNNAMED)


@dataclass(frozen=True, slots=True)
class Surplus:
    """Who goes now, and how many more would but for their tasks."""

    go: tuple[Worker, ...] = ()
    busy: int = 0
    overdue: tuple[Worker, ...] = ()  # who had time enough, and goes whatever the scheduler says
    until: float | None = None  # when the next have had theirs


def surplus(
    workers: Sequence[Worker], desired: int, busy: Collection[WorkerName], *, scheduler_knows: bool
) -> Surplus:
    """The workers to remove so that no more than `desired` live, as far as that is ours to do."""
    too_many = max(0, live(workers) - desired)
    early = _early(workers, desired, too_many)
    if not too_many:
        return Surplus(early)
    counted = [worker for worker in workers if states.counts(worker)]
    # Who retires within the minute is on its way out. Only then does its successor, in whose place it would
    # count again, cost nothing.
    retiring = {worker.job.worker for worker in workers if worker.succeeded and worker.state in RUNS}
    first = [worker for worker in counted if worker.state in FIRST_TO_GO]
    candidates = [worker for worker in first if not desired or worker.job.succeeds not in retiring]
    pairs = len(first) - len(candidates)
    # The last that were queued are the last that would have started.
    candidates.sort(key=lambda worker: (-worker.job.queued_at, worker.job.worker))
    candidates.sort(key=lambda worker: FIRST_TO_GO.index(worker.state))
    # Whom the scheduler has dropped ends by itself: nobody else goes in its place.
    dropped = sum(worker.state is State.DISCONNECTED for worker in counted)
    free = (*early, *candidates[: max(0, too_many - dropped)])
    leaving = sum(worker.state in _STOPPED_OR_UNHEARD for worker in counted)
    rest = max(0, too_many - len(free) + len(early) - leaving - pairs)
    if scheduler_knows or not rest:
        return Surplus(free)
    connected = [worker for worker in counted if worker.state is State.CONNECTED]
    connected.sort(key=lambda worker: (-worker.job.queued_at, worker.job.worker))
    quiet = [worker for worker in connected if worker.job.worker not in busy][:rest]
    return Surplus((*free, *quiet), rest - len(quiet))


def _early(workers: Sequence[Worker], desired: int, too_many: int) -> tuple[Worker, ...]:
    """Successors before their turn, which are none of those that are too many, and which nobody needs."""
    waiting = [worker for worker in workers if worker.early and worker.state in FIRST_TO_GO]
    if not waiting or not desired:
        return tuple(waiting)
    unneeded = succession.second(workers)
    if too_many:
        unneeded |= succession.without_predecessors(workers)
    return tuple(worker for worker in waiting if worker.job.worker in unneeded)


def everything(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """All workers' jobs that are not leaving already: each process is told to close gracefully."""
    there = (job for job in jobs if job.may_be_worker and not states.is_leaving(job))
    return tuple(sorted(there, key=lambda job: (job.queued_at, job.worker)))
