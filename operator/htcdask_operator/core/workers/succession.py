"""A worker that is about to retire has a successor: submitted before, and connected when it has gone.

Called by `pools.cluster` (who counts) and by `pools.submit` (who comes). The wait for a slot, which may be
long, so falls into the time in which the worker still works. The scheduler retires whoever connects beyond
its number, and would choose the newcomer, who holds nothing: so the successor waits in its slot until its
predecessor has retired, and nobody has to tell the scheduler, which would end adapt(). Both names are in the
queue. It is a courtesy: nothing waits for a successor, and where a limit has no room for both, it gives way.

    works -> its successor is submitted, and is early -> the successor's turn: it is counted, and who retires
    is not -> retired -> the successor connects
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
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
TURN_SECONDS: Final = AFTER_SECONDS + 15.0
"""So long before it connects is it a successor's turn; clocks may differ a little."""
GRACE_SECONDS: Final = 60.0
"""So long may a retirement take; who stays on counts again, and the scheduler has one too many."""
ASKED_SECONDS: Final = 30.0
"""For so long a successor that was asked for may take to be in the queue."""
AT_ONCE: Final = 10
"""Each is a submit of its own."""
_WAITS: Final = frozenset(
    {State.SUBMITTING, State.IDLE, State.HELD, State.SUSPENDED, State.KEPT, State.STARTING}
)
_WHO_CAN_TELL: Final = frozenset({State.NOT_ASKED, State.UNNAMED})
_STOPPED: Final = (State.HELD, State.SUSPENDED)
_NOT_GIVEN_UP: Final = (State.HELD, State.KEPT)
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
    """With successors marked before their turn, and those in whose place one counts."""
    heirs = _heirs(workers)
    if not heirs:
        return tuple(workers)
    found = []
    for worker in workers:
        if worker.job.succeeds and _is_early(worker, heirs, now):
            found.append(worker._replace(early=True))
        elif (heir := heirs.get(worker.job.worker)) is not None and _is_succeeded(worker, heir, heirs, now):
            found.append(worker._replace(succeeded=True))
        else:
            found.append(worker)
    return tuple(found)


def retiring(workers: Sequence[Worker]) -> int:
    """How many run and have a successor."""
    have = {worker.job.succeeds for worker in workers if worker.job.succeeds and worker.state in LIVE}
    return sum(worker.job.worker in have and worker.state in RUNS for worker in workers) if have else 0


def giving_way(workers: Sequence[Worker], count: int) -> tuple[Worker, ...]:
    """So many that leave for workers that are missing.

    First successors before their turn, the last to connect first. Then those that were stopped before they
    could retire, and whose successors count in their place.
    """
    if count <= 0:
        return ()
    early = [worker for worker in workers if worker.early and worker.state not in _NOT_GIVEN_UP]
    early.sort(key=lambda worker: (-(worker.job.connects_at or 0.0), worker.job.worker))
    stopped = [worker for worker in workers if worker.succeeded and worker.state in _STOPPED]
    return (*early, *stopped)[:count]


def without_predecessors(workers: Sequence[Worker]) -> frozenset[WorkerName]:
    """Successors before their turn whose predecessors have gone already: others have come in their place."""
    there = {worker.job.worker for worker in workers if worker.state in LIVE}
    return frozenset(
        worker.job.worker for worker in workers if worker.early and worker.job.succeeds not in there
    )


def second(workers: Sequence[Worker]) -> frozenset[WorkerName]:
    """Successors of a worker that has one already, from a submit whose answer was lost: nobody needs them."""
    heirs = _heirs(workers)
    return frozenset(
        worker.job.worker for worker in workers if worker.early and heirs[worker.job.succeeds] is not worker
    )


def counts_otherwise_at(workers: Sequence[Worker], now: float) -> list[float]:
    """When time alone makes others of pairs count, if nothing happens before."""
    retire = {worker.job.worker: retires_at(worker.job) or 0.0 for worker in workers if worker.succeeded}
    times = []
    for worker in workers:
        if (connects_at := worker.job.connects_at) is None:
            continue
        if worker.early:
            times.append(connects_at - TURN_SECONDS)
        elif worker.job.succeeds in retire and worker.state in RUNS:
            times.append(max(retire[worker.job.succeeds], connects_at) + GRACE_SECONDS)
    return [at for at in times if at > now]


def due(workers: Sequence[Worker], given: Collection[WorkerName], now: float) -> Due:
    """The successors that are needed, for a pool that has all it should have, and of which all is shown.

    `given`: who got one already. Whatever became of one that was there, there is no second one.
    """
    usual, soon, later = _usual_lead(workers), [], []
    have = {worker.job.succeeds for worker in workers if worker.job.succeeds}
    for worker in workers:
        at = retires_at(worker.job)
        if at is None or worker.state is not State.CONNECTED or worker.job.worker in have:
            continue
        begins = at - min(usual, (worker.job.lifetime or 0) / _LEAD_SHARE)
        if now < begins:
            later.append(begins)
        elif now < at and worker.job.worker not in given:
            soon.append(Succession(worker.job.worker, at + AFTER_SECONDS))
    on_their_way = sum(worker.early or (worker.succeeded and worker.state in RUNS) for worker in workers)
    room = max(0, math.ceil(live(workers) / SHARE) - on_their_way)
    soon.sort(key=lambda succession: (succession.connects_at, succession.of))
    return Due(tuple(soon[: min(room, AT_ONCE)]), min(later, default=None))


def given(
    before: Mapping[WorkerName, float], new: Collection[WorkerName], workers: Sequence[Worker], now: float
) -> Mapping[WorkerName, float]:
    """Who got a successor, of those that are there, and until when that is believed.

    A successor that was in the queue is proof for good. One that is only asked for now may get no answer, or
    be left out: nobody asks again before the queue has had the time to show it.
    """
    shown = {worker.job.succeeds: math.inf for worker in workers if worker.job.succeeds}
    every = {**before, **dict.fromkeys(new, now + ASKED_SECONDS), **shown}
    return {worker.job.worker: every[worker.job.worker] for worker in workers if worker.job.worker in every}


def retires_at(job: Job) -> float | None:
    """When a worker that runs retires by itself; None: not because of its time."""
    if job.lifetime is None or job.started_at is None:
        return None
    return job.started_at + lifetime.of_worker(job.lifetime, job.worker)


def _heirs(workers: Sequence[Worker]) -> dict[WorkerName, Worker]:
    """The successor of each that has one: the first, where a submit's lost answer has made two."""
    heirs: dict[WorkerName, Worker] = {}
    for worker in workers:
        if worker.job.succeeds and worker.state in LIVE:
            heirs.setdefault(worker.job.succeeds, worker)
    return heirs


def _is_early(worker: Worker, heirs: Mapping[WorkerName, Worker], now: float) -> bool:
    """Whether it does not run, or as far as anybody can tell only holds its slot, and will for a while.

    A second successor of one worker has no turn.
    """
    before = (worker.job.connects_at or 0.0) > now + TURN_SECONDS
    if worker.state in _WAITS:
        return before or heirs.get(worker.job.succeeds) is not worker
    return before and worker.state in _WHO_CAN_TELL


def _is_succeeded(worker: Worker, heir: Worker, heirs: Mapping[WorkerName, Worker], now: float) -> bool:
    if _is_early(heir, heirs, now):
        return False
    if worker.state in _STOPPED:  # whoever has stopped it may want to look at it; its time is over
        return True
    if worker.state not in RUNS:
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
