"""What came of a round of actions: for the core's memory, the log, and the actions that come after."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from htcdask_operator import metrics
from htcdask_operator.core.actions import (
    Action,
    Analyze,
    Courtesy,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    Remove,
    RemoveFinalizer,
    ScaleScheduler,
    SubmitAnchor,
    SubmitWorkers,
    pool_of,
)
from htcdask_operator.core.memory import RefusedSubmit, Results
from htcdask_operator.core.model import Analysis, JobId, PoolUid, WorkerName
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.status.events import Event

_CONDOR: Final = (HoldAnchor, Remove, ForceRemove, SubmitAnchor, SubmitWorkers, Analyze, ReadLogs)
_REMOVALS: Final = (Remove, ForceRemove)


@dataclass(slots=True)
class Outcome:
    """What came of a round of actions."""

    undone: list[Action] = field(default_factory=list)  # failed, or left out because something failed
    logs: dict[WorkerName, str] = field(default_factory=dict)
    analyses: dict[PoolUid, Analysis | None] = field(default_factory=dict)
    written: dict[PoolUid, tuple[WorkerName, ...]] = field(default_factory=dict)
    unwritten: dict[PoolUid, str] = field(default_factory=dict)  # WriteLogs that failed, for the log
    workers: dict[PoolUid, tuple[JobId, ...]] = field(default_factory=dict)  # accepted
    anchors: dict[PoolUid, JobId] = field(default_factory=dict)  # accepted
    refused: dict[PoolUid, RefusedSubmit] = field(default_factory=dict)
    declined: dict[PoolUid, set[WorkerName]] = field(default_factory=dict)  # whose successors were refused
    untaken: dict[PoolUid, int] = field(default_factory=dict)  # jobs that were certainly not submitted
    unanswered: dict[PoolUid, int] = field(default_factory=dict)
    recorded: dict[PoolUid, str] = field(default_factory=dict)
    scaled: ScaleScheduler | None = None
    events: list[tuple[PoolUid, Event]] = field(default_factory=list)
    setbacks: dict[PoolUid, Setback] = field(default_factory=dict)
    failure: str | None = None  # of an action that belongs to no pool
    silent: str | None = None  # what HTCondor said last, when it did not answer any more
    in_vain: set[type[Courtesy]] = field(default_factory=set)  # of these, the rest waits for another cycle

    @property
    def results(self) -> Results:
        """What the core has to hear of it."""
        return Results(
            workers=self.workers,
            anchors=self.anchors,
            refused=self.refused,
            declined=self.declined,
            untaken=self.untaken,
            unanswered=self.unanswered,
            failed=self.setbacks,
            logs=self.logs,
            analyses=self.analyses,
            written=self.written,
            scaled=self.scaled,
        )

    def hinders(self, action: Action) -> bool:
        """Whether this action is of no use after what failed before it."""
        if isinstance(action, RemoveFinalizer):
            return False
        if type(action) in self.in_vain:
            return True
        if self.silent is not None and isinstance(action, _CONDOR):
            return True
        # What is to leave the queue depends on nothing else, and would wait for ever for what fails for ever.
        return pool_of(action) in self.setbacks and not isinstance(action, _REMOVALS)

    def leave_out(self, action: Action, now: float) -> None:
        """It is not done. Where the silence of HTCondor is all the reason, its pool has not failed itself."""
        self.undone.append(action)
        self.not_submitted(action)
        pool = pool_of(action)
        if pool is not None and pool not in self.setbacks and not isinstance(action, Courtesy):
            removal = isinstance(action, _REMOVALS)
            self.setbacks[pool] = Setback(self.silent or "", now, times=0, condor=True, removal=removal)

    def not_submitted(self, action: Action) -> None:
        """Of a submit that certainly did not happen: its jobs are not counted as submitted."""
        if isinstance(action, SubmitAnchor | SubmitWorkers):
            count = len(action.names) if isinstance(action, SubmitWorkers) else 1
            self.untaken[action.pool] = self.untaken.get(action.pool, 0) + count

    def fail(self, action: Action, why: str, now: float) -> None:
        """It could not be done, and what its pool waits for is not done in this round."""
        metrics.FAILED_ACTIONS.labels(type(action).__name__).inc()
        self.undone.append(action)
        pool = pool_of(action)
        if pool is None:
            self.failure = why
        else:
            before = self.setbacks.get(pool)
            self.setbacks[pool] = Setback(
                why,
                now,
                condor=isinstance(action, _CONDOR),
                removal=isinstance(action, _REMOVALS),
                # It comes first, and a removal that fails after it does not undo that.
                finalizer=isinstance(action, RemoveFinalizer) or (before is not None and before.finalizer),
            )
