"""Who ended early because fewer workers were wanted: that is no failure.

Called by `pools.complete` for each pool. Work that comes in bursts makes `adapt()` let workers go within a
minute, and ask for others before their jobs have ended. So whoever was there when its cluster had more than
the scheduler asked for is remembered until its job is out of the queue.

Who comes in the place of one that was let go costs nothing of the pool's pace, unless the scheduler changed
its mind less than APART_SECONDS before: workers that end at once, and a number that goes up and down each
second, would otherwise be jobs without end.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from htcdask_operator.core import reasons
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.states import State, Worker

APART_SECONDS: Final = 15.0


def excused(
    ledger: Ledger,
    workers: Collection[Worker],
    ended: Collection[Worker],
    recorded: Collection[str],
    now: float,
    *,
    wants_fewer: bool,
    lacks: bool,
) -> tuple[Ledger, tuple[Worker, ...]]:
    """The ledger, and those that have ended without the blame for it.

    `recorded`: who has failed already, by name. A job stays in the queue until its log was read, and what was
    said of its end stays, however many are wanted meanwhile: another verdict would count it once more.
    `wants_fewer`: the scheduler asks for fewer than there are. `lacks`: the pool has fewer than it should.
    One that keeps its reason counts for the pace all the same.
    """
    if not (wants_fewer or ledger.let_go or (ended and not lacks)):
        return ledger, tuple(ended)
    new = [worker for worker in ended if worker.job.worker not in recorded]
    if not lacks:
        wants_fewer = wants_fewer or any(worker.reason == reasons.ENDED_EARLY for worker in new)
    ledger = _remembering(ledger, (*workers, *new), now, wants_fewer=wants_fewer)
    return ledger, tuple(_judged(worker, ledger, lacks=lacks) for worker in ended)


def _remembering(ledger: Ledger, there: Collection[Worker], now: float, *, wants_fewer: bool) -> Ledger:
    let_go = {
        worker.job.id: ledger.let_go[worker.job.id] for worker in there if worker.job.id in ledger.let_go
    }
    new = {worker.job.id for worker in there} - let_go.keys() if wants_fewer else set()
    if not new:
        return ledger if let_go == ledger.let_go else replace(ledger, let_go=let_go)
    free = now - ledger.let_go_at >= APART_SECONDS
    let_go |= dict.fromkeys(new, free)
    return replace(ledger, let_go=let_go, let_go_at=now if free else ledger.let_go_at)


def _judged(worker: Worker, ledger: Ledger, *, lacks: bool) -> Worker:
    if worker.reason != reasons.ENDED_EARLY or worker.job.id not in ledger.let_go:
        return worker
    free = ledger.let_go[worker.job.id] or not lacks
    return Worker(worker.job, State.FINISHED, None if free else worker.reason)
