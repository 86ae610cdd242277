"""For how long surplus workers may stay because they are busy, or because their scheduler should retire them.

Called by `pools.complete` for each pool. The scheduler's word is user code's: one that calls everybody busy,
retires nobody, names nobody, or does not answer at all, would keep a lowered cap from ever coming true. So
what has been too many for `limits.drainSeconds` goes, gracefully, whatever the scheduler says. How many are
too many, and which jobs there are, is not its word.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from htcdask_operator.core.scaling.scale_down import Surplus
from htcdask_operator.core.workers import states, succession
from htcdask_operator.core.workers.states import State, Worker

Standing = tuple[tuple[int, float], ...]
"""How many workers are too many, and since when: so many since then, so many more since later."""

DRAINED: Final = (State.DISCONNECTED, State.SUSPENDED, State.CONNECTED, State.NOT_ASKED, State.UNNAMED)


def standing(before: Standing, count: int, now: float) -> Standing:
    """`count` workers are too many now; of fewer than before, the latest have gone."""
    after = []
    for many, since in before:
        if count > 0:
            after.append((min(many, count), since))
        count -= many
    return (*after, (count, now)) if count > 0 else tuple(after)


def too_many(workers: Sequence[Worker], desired: int) -> int:
    """How many are too many, beyond those that cost nothing and go at once; of a pair one."""
    there = [worker for worker in workers if worker.state in DRAINED]
    count = states.live(there)
    if count < len(there):
        heirs = {worker.job.succeeds for worker in there if states.counts(worker)}
        count += sum(worker.succeeded and worker.job.worker not in heirs for worker in there)
    return max(0, count - desired)


def limited(
    surplus: Surplus, workers: Sequence[Worker], stands: Standing, now: float, seconds: float
) -> Surplus:
    """The surplus, with those whose time is over, beyond those that go anyway."""
    due = sum(many for many, since in stands if now >= since + seconds)
    due -= sum(worker.state in DRAINED for worker in surplus.go)
    overdue = tuple(_candidates(workers, surplus.go, now)[:due]) if due > 0 else ()
    until = min((since + seconds for _, since in stands if now < since + seconds), default=None)
    return replace(surplus, busy=max(0, surplus.busy - len(overdue)), overdue=overdue, until=until)


def _candidates(workers: Sequence[Worker], going: Collection[Worker], now: float) -> list[Worker]:
    found = [
        worker
        for worker in workers
        # A successor that waits in its slot has no task, and was never one too many.
        if worker.state in DRAINED and worker not in going and (worker.job.connects_at or now) <= now
    ]
    found.sort(key=lambda worker: (-worker.job.queued_at, worker.job.worker))
    found.sort(key=lambda worker: DRAINED.index(worker.state))
    # Who should have retired by now is the one too many, if somebody is.
    return sorted(found, key=lambda worker: (succession.retires_at(worker.job) or now) >= now)
