"""The numbers of a pool's status: how many workers are wanted, and how many there are of each state.

Called by `summary`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Unseen
from htcdask_operator.core.pool_state import PoolState
from htcdask_operator.core.workers import succession
from htcdask_operator.core.workers.states import RUNS, State, live

_STARTING: Final = RUNS - {State.CONNECTED, State.UNNAMED}


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of a status."""

    desired: int
    live: int
    submitting: int
    idle: int
    running: int
    starting: int
    connected: int
    held: int
    retiring: int


def counts_of(state: PoolState) -> Counts:
    """As the queue and the scheduler have it; what is not seen stays as it was."""
    before, observed = state.pool.status, state.observed
    desired = before.desired_replicas if state.allocation is None else state.allocation.replicas
    if isinstance(observed.jobs, Unseen):
        return Counts(
            desired,
            before.replicas,
            before.submitting,
            before.idle,
            before.running,
            max(0, before.running - before.connected),
            before.connected,
            before.held,
            before.retiring,
        )
    states = Counter([worker.state for worker in state.workers])
    unknown = isinstance(observed.connected, Unseen)
    running = sum(states[state] for state in RUNS)
    return Counts(
        desired=desired,
        live=live(state.workers),
        submitting=states[State.SUBMITTING],
        idle=states[State.IDLE],
        running=running,
        starting=sum(
            worker.state is not State.CONNECTED  # nearly all of a large pool
            and worker.state in _STARTING
            and not (worker.early or worker.succeeded)
            for worker in state.workers
        ),
        connected=min(before.connected, running)
        if unknown
        else states[State.CONNECTED] + states[State.UNNAMED],
        held=states[State.HELD],
        retiring=states[State.REMOVED] + succession.retiring(state.workers),
    )
