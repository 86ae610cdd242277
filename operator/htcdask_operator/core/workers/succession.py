"""A worker that is about to retire has a successor: submitted before, and connected when it has gone.

Called by `pools.cluster` (who counts) and by `steps` (who comes). The wait for a slot, which may be long, so
falls into the time in which the worker still works. The scheduler retires whoever connects beyond its number,
and would choose the newcomer, who holds nothing: so the successor waits in its slot until its predecessor has
retired, and nobody has to tell the scheduler, which would end adapt(). Both names are in the queue. It is a
courtesy: nothing waits for a successor, and what comes of it is nobody's failure.

    works -> soon retires: its successor is submitted, and it is not counted -> retired -> successor connects
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Job, WorkerName
from htcdask_operator.core.workers import lifetime
from htcdask_operator.core.workers.states import LIVE, RUNS, State, Worker, live

LEAST_LEAD: Final = 60.0
LEAD: Final = 600.0
"""So long before it retires does a worker get its successor, at the most; so long may a slot be held."""
_LEAD_SHARE: Final = 4  # of its lifetime
AFTER_SECONDS: Final = 30.0
"""So long after it began may a retirement take, data and all, before the successor begins to connect."""
EARLY_SECONDS: Final = AFTER_SECONDS + 15.0
"""If its predecessor goes sooner than this before its turn, it waits too long; clocks may differ a little."""
GRACE_SECONDS: Final = 60.0
"""So long may a retirement take; who stays on counts again, and the scheduler has one too many."""
AT_ONCE: Final = 10
"""Each is a submit of its own."""
_BEFORE: Final = (
    *(State.SUBMITTING, State.IDLE, State.HELD, State.STARTING),
    *(State.NOT_ASKED, State.UNNAMED),
)
SHARE: Final = 10
"""One successor for so many workers, and one at the least, is on its way at a time."""


@dataclass(frozen=True, slots=True)
class Succession:
    """One worker that is to come."""

    of: WorkerName
    connects_at: float


@dataclass(frozen=True, slots=True)
class Due:
    """Who gets a successor now, the first to retire first; and when to look again."""

    now: tuple[Succession, ...] = ()
    recheck_at: float | None = None


def judged(workers: Sequence[Worker], now: float) -> tuple[Worker, ...]:
    """With those marked whose successors are there, and successors that came early."""
    heirs = {
        worker.job.succeeds: worker for worker in workers if worker.job.succeeds and worker.state in LIVE
    }
    if not heirs:
        return tuple(workers)
    there = {worker.job.worker for worker in workers if worker.state in LIVE}
    found = []
    for worker in workers:
        if _is_succeeded(worker, heirs.get(worker.job.worker), now):
            found.append(worker._replace(succeeded=True))
        elif worker.job.succeeds and worker.job.succeeds not in there and _waits(worker, now):
            found.append(worker._replace(early=True))
        else:
            found.append(worker)
    return tuple(found)


def due(workers: Sequence[Worker], given: Collection[WorkerName], now: float) -> Due:
    """The successors that are needed, for a pool that has all it should have, and of which all is shown.

    `given`: who got one already. Whatever became of it, there is no second one.
    """
    usual, soon, later = _usual_lead(workers), [], []
    for worker in workers:
        at = retires_at(worker.job)
        if at is None or worker.state is not State.CONNECTED or worker.succeeded:
            continue
        begins = at - min(usual, (worker.job.lifetime or 0) / _LEAD_SHARE)
        if now < begins:
            later.append(begins)
        elif now < at and worker.job.worker not in given:
            soon.append(Succession(worker.job.worker, at + AFTER_SECONDS))
    room = max(0, math.ceil(live(workers) / SHARE) - sum(worker.succeeded for worker in workers))
    soon.sort(key=lambda succession: (succession.connects_at, succession.of))
    return Due(tuple(soon[: min(room, AT_ONCE)]), min(later, default=None))


def waiting(workers: Sequence[Worker]) -> frozenset[WorkerName]:
    """Successors that nobody misses yet: their predecessors work, or others have come in their place."""
    succeeded = {worker.job.worker for worker in workers if worker.succeeded}
    return frozenset(
        worker.job.worker for worker in workers if worker.early or worker.job.succeeds in succeeded
    )


def given(
    before: Collection[WorkerName], now: Collection[WorkerName], workers: Sequence[Worker]
) -> frozenset[str]:
    """Who got a successor, of those that are there."""
    every = {*before, *now}
    return frozenset(every.intersection(worker.job.worker for worker in workers) if every else ())


def retires_at(job: Job) -> float | None:
    """When a worker that runs retires by itself; None: not because of its time."""
    if job.lifetime is None or job.started_at is None:
        return None
    return job.started_at + lifetime.of_worker(job.lifetime, job.worker)


def _waits(worker: Worker, now: float) -> bool:
    """Whether it does not run, or as far as anybody can tell only holds its slot, and will for a while."""
    return worker.state in _BEFORE and (worker.job.connects_at or 0.0) > now + EARLY_SECONDS


def _is_succeeded(worker: Worker, heir: Worker | None, now: float) -> bool:
    if heir is None or worker.state not in RUNS:
        return False
    retired = max(retires_at(worker.job) or 0.0, heir.job.connects_at or 0.0)
    return heir.state not in RUNS or now < retired + GRACE_SECONDS


def _usual_lead(workers: Sequence[Worker]) -> float:
    """Twice as long as the pool's workers of now had to wait for their slots."""
    waits = (
        worker.job.started_at - worker.job.queued_at
        for worker in workers
        if worker.state in RUNS and worker.job.started_at is not None
    )
    return min(LEAD, max(LEAST_LEAD, 2 * max(waits, default=0.0)))
