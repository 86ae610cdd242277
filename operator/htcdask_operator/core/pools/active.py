"""The middle of a pool's life: its anchor, its workers up and down, what ended, and when to look again.

Called by `plan` for each pool that is not at its end. What is done is listed in `steps`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Action, Remove, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.checks import chains
from htcdask_operator.core.model import Unseen, WorkerName
from htcdask_operator.core.pool_state import Finding, PoolState
from htcdask_operator.core.pools import kept_logs, steps
from htcdask_operator.core.pools.decision import Decision
from htcdask_operator.core.setback import STALLED, Setback
from htcdask_operator.core.status import summary
from htcdask_operator.core.workers import succession
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.states import State


def decide(state: PoolState) -> Decision:
    """The pool is in the middle of its life."""
    spec = state.refused
    if state.cluster is None or state.allocation is None or isinstance(state.observed.jobs, Unseen):
        # Not known what is wanted, or not what is there: no job is touched.
        status = summary.summarize(state, chains.first(chains.ALL, state))
        actions = (*steps.add_finalizer(state).actions, *steps.adopt(state).actions)
        return Decision(actions, status, state.remembered, sound=spec is None)
    if state.waits is not None:
        status = summary.summarize(state, spec or _setback(state.waits))
        return Decision((), status, state.remembered, sound=spec is None)
    done = [step(state) for step in steps.STEPS]
    actions = tuple(action for step in done for action in step.actions)
    finding = spec or chains.first((*chains.MOMENT, *chains.WORKERS), state)
    times = [step.recheck_at for step in done] + [None if finding is None else finding.until]
    return Decision(
        actions,
        summary.summarize(state, finding),
        replace(
            state.remembered,
            standing=state.standing,
            ledger=_after(state, actions),
            analyzed=state.remembered.analyzed if state.idle else None,
            logs=kept_logs.after(state),
            memory_request=state.memory_request,
            successors=_successors(state, actions),
        ),
        min((at for at in times if at is not None), default=None),
        ask_first=bool(state.lost) or any(isinstance(a, SubmitAnchor | SubmitWorkers) for a in actions),
        sound=spec is None,
    )


def _successors(state: PoolState, actions: tuple[Action, ...]) -> Mapping[WorkerName, float]:
    new = [action.succeeds for action in actions if isinstance(action, SubmitWorkers) and action.succeeds]
    return succession.given(state.remembered.successors, new, state.workers, state.now)


def _after(state: PoolState, actions: tuple[Action, ...]) -> Ledger:
    """The ledger, with what is going to be done."""
    submitted, after = 0, state.ledger
    for action in actions:
        if isinstance(action, Remove):
            after = after.removing(action.jobs, state.now)
        elif isinstance(action, SubmitWorkers):
            submitted += len(action.names)
        elif isinstance(action, SubmitAnchor):
            submitted += 1
    # Who ended well, or goes because fewer are wanted, makes room for another that costs nothing: once, as
    # the access point may have to be asked for the same removal again and again.
    finished = (
        worker
        for worker in state.ended
        if worker.state is State.FINISHED and worker.reason is None and state.ledger.owes_nothing(worker.job)
    )
    free = {worker.job.id for worker in (*finished, *state.surplus.go)} - state.ledger.removed.keys()
    after = after.gave_back(len(free), state.pace, state.now)
    return after.submitting(submitted, state.pace, state.now) if submitted else after


def _setback(setback: Setback) -> Finding:
    """Nothing is done for this pool until its next try; HTCondor's failures the conditions tell as such."""
    return Finding(
        reasons.ACTION_FAILED,
        f"What has to be done for this pool failed: {setback.why}. It is tried again.",
        stalled=setback.times >= STALLED,
    )
