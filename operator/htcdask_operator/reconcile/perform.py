"""Turn each action of a plan into one port call.

Called by `cycle`, in the plan's order. An action that fails ends the round for its pool alone, but for
what is to leave the queue, with a sentence that the pool's status tells. Only an access point that is silent
ends what the others need of HTCondor, so that not each of them waits for the same deadline; what they need of
Kubernetes is done all the same. Courtesies, such as a log's last lines, never fail anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from htcdask_operator import metrics
from htcdask_operator.condor.errors import CondorError, CondorUnreachable, SubmitRefused
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core import mistake, sanitize
from htcdask_operator.core.actions import (
    Action,
    AddFinalizer,
    Adopt,
    Analyze,
    Courtesy,
    CreatePool,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    RecordIdentity,
    Remove,
    RemoveFinalizer,
    ScaleScheduler,
    SubmitAnchor,
    SubmitWorkers,
    WriteLogs,
    pool_of,
)
from htcdask_operator.core.memory import RefusedSubmit, Results
from htcdask_operator.core.model import (
    Analysis,
    ClusterFacts,
    JobId,
    Observed,
    PoolFacts,
    PoolUid,
    WorkerName,
)
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.status.events import Event
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Credentials
from htcdask_operator.ports import Ports
from htcdask_operator.scheduler.port import SchedulerError

_log = logging.getLogger(__name__)

_CONDOR: Final = (HoldAnchor, Remove, ForceRemove, SubmitAnchor, SubmitWorkers, Analyze, ReadLogs)
_REMOVALS: Final = (Remove, ForceRemove)


@dataclass(slots=True)
class Outcome:
    """What came of a round of actions."""

    undone: list[Action] = field(default_factory=list)  # failed, or left out because something failed
    logs: dict[WorkerName, str] = field(default_factory=dict)
    analyses: dict[PoolUid, Analysis | None] = field(default_factory=dict)
    written: dict[PoolUid, tuple[WorkerName, ...]] = field(default_factory=dict)
    workers: dict[PoolUid, tuple[JobId, ...]] = field(default_factory=dict)  # accepted
    anchors: dict[PoolUid, JobId] = field(default_factory=dict)  # accepted
    refused: dict[PoolUid, RefusedSubmit] = field(default_factory=dict)
    unanswered: dict[PoolUid, int] = field(default_factory=dict)
    recorded: dict[PoolUid, str] = field(default_factory=dict)
    scaled: tuple[int, int] | None = None
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
        pool = pool_of(action)
        if pool is not None and pool not in self.setbacks and not isinstance(action, Courtesy):
            removal = isinstance(action, _REMOVALS)
            self.setbacks[pool] = Setback(self.silent or "", now, times=0, condor=True, removal=removal)

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


async def perform(
    ports: Ports,
    actions: Sequence[Action],
    pools: Mapping[PoolUid, PoolFacts],
    observed: Observed,
    clock: Callable[[], float],
) -> Outcome:
    """Do `actions`, in order, each unless something failed that it depends on."""
    outcome = Outcome()
    for action in actions:
        if outcome.hinders(action):
            outcome.leave_out(action, clock())
            continue
        try:
            await _one(ports, action, pools, observed, outcome)
        except CondorError as error:
            if isinstance(error, SubmitRefused) and isinstance(action, SubmitAnchor | SubmitWorkers):
                anchor = isinstance(action, SubmitAnchor)
                count = len(action.names) if isinstance(action, SubmitWorkers) else 1
                outcome.refused[action.pool] = RefusedSubmit(str(error), count, anchor)
                metrics.FAILED_ACTIONS.labels(type(action).__name__).inc()
                continue
            if isinstance(error, CondorUnreachable):
                outcome.silent, outcome.in_vain = str(error), {Analyze, ReadLogs}
                if isinstance(action, SubmitWorkers):
                    outcome.unanswered[action.pool] = len(action.names)
            outcome.fail(action, str(error), clock())
        except KubeError as error:
            if not _is_overtaken(action, error):
                outcome.fail(action, str(error), clock())
        except SchedulerError as error:
            # Its number will show that it has not heard: the plan tells it again, after its pause.
            _log.warning("The scheduler was not told: %s", sanitize.line(str(error)))
        except Exception as error:
            found = mistake.of(error)
            _log.error("%s failed: %s", type(action).__name__, found)
            outcome.fail(action, f"a mistake of the operator ({found.kind})", clock())
        else:
            metrics.ACTIONS.labels(type(action).__name__).inc()
    return outcome


def _is_overtaken(action: Action, error: KubeError) -> bool:
    """The pool has ended, or its finalizers are others now: the next round decides anew by what it finds."""
    if isinstance(action, AddFinalizer | RemoveFinalizer) and error.status == 409:
        return True
    return isinstance(action, AddFinalizer | RemoveFinalizer | Adopt | RecordIdentity) and error.gone


async def _one(
    ports: Ports,
    action: Action,
    pools: Mapping[PoolUid, PoolFacts],
    observed: Observed,
    outcome: Outcome,
) -> None:
    match action:
        case Adopt(pool, cluster):
            await ports.kube.adopt(pools[pool], cluster)
        case CreatePool(name, namespace, cluster_name, cluster):
            await ports.kube.create_pool(namespace, name, cluster_name, cluster)
            _log.info("Pool %s made: its cluster asked for workers and had none", name)
        case RecordIdentity(pool, identity):
            status = pools[pool].status.model_copy(update={"submitted_as": identity})
            await ports.kube.publish(pools[pool], status)
            outcome.recorded[pool] = identity
        case ScaleScheduler():
            await _tell_scheduler(ports, action, pools[action.pool], observed, outcome)
        case SubmitAnchor(pool, description, bundle):
            credentials = await _credentials(ports, pools[pool], observed)
            content = render(bundle, credentials.certificate, credentials.key)
            outcome.anchors[pool] = await ports.condor.submit_anchor(
                description, content, observed.condor_identity
            )
            _log.info("Pool %s: anchor submitted", pools[pool].name)
        case SubmitWorkers(pool, description, names):
            made = await ports.condor.submit_workers(description, names, observed.condor_identity)
            outcome.workers[pool] = (*outcome.workers.get(pool, ()), *made)
            metrics.SUBMITTED.inc(len(names))
            _log.info("Pool %s: %d workers submitted", pools[pool].name, len(names))
        case HoldAnchor(_, jobs, reason):
            await ports.condor.hold(jobs, reason)
        case Remove(_, jobs, reason):
            await ports.condor.remove(jobs, reason)
            _log.info("%d jobs removed: %s", len(jobs), reason)
        case ForceRemove(_, jobs, reason):
            await ports.condor.force_remove(jobs, reason)
            _log.warning("%d jobs taken out of the queue: %s", len(jobs), reason)
        case ReadLogs():
            await _read_logs(ports, action, outcome)
        case Analyze():
            await _analyze(ports, action, outcome)
        case WriteLogs():
            await _write_logs(ports, action, pools[action.pool], outcome)
        case AddFinalizer(pool):
            await ports.kube.add_finalizer(pools[pool])
        case RemoveFinalizer(pool):
            await ports.kube.remove_finalizer(pools[pool])
            _log.info("Pool %s: let go", pools[pool].name)
        case _:
            assert_never(action)


async def _tell_scheduler(
    ports: Ports, action: ScaleScheduler, pool: PoolFacts, observed: Observed, outcome: Outcome
) -> None:
    outcome.scaled = (action.count, action.before)
    credentials = await _credentials(ports, pool, observed)
    await ports.scheduler.scale(
        pool.namespace, pool.spec.cluster_ref.name, action.count, credentials.api_token
    )
    outcome.events.append((action.pool, Event("Normal", action.reason, action.message)))


async def _read_logs(ports: Ports, action: ReadLogs, outcome: Outcome) -> None:
    """An empty text says that it was looked for in vain, also where it failed: nobody asks for ever."""
    found: Mapping[WorkerName, str] = {}
    try:
        found = await ports.condor.logs(action.anchor, action.workers)
    except CondorError as error:
        if isinstance(error, CondorUnreachable):
            outcome.in_vain.add(ReadLogs)
        _log.warning("The last lines of %d workers could not be read: %s", len(action.workers), error)
    except Exception as error:
        _log.error(
            "The last lines of %d workers could not be read: %s", len(action.workers), mistake.of(error)
        )
    outcome.logs.update({worker: found.get(worker, "") for worker in action.workers})


async def _write_logs(ports: Ports, action: WriteLogs, pool: PoolFacts, outcome: Outcome) -> None:
    """What is refused is forgotten, as it would be refused again; what nobody took is kept for a while."""
    try:
        await ports.kube.write_log(pool, action.workers)
    except KubeError as error:
        why = sanitize.line(str(error))
        _log.warning("Pool %s: what its workers printed is not written: %s", pool.name, why)
        if error.status is None or error.status in (409, 429) or error.status >= 500:
            return
    except Exception as error:
        _log.error("Pool %s: what its workers printed is not written: %s", pool.name, mistake.of(error))
    outcome.written[action.pool] = tuple(log.name for log in action.workers)


async def _analyze(ports: Ports, action: Analyze, outcome: Outcome) -> None:
    """None says that it was asked in vain, also where it failed: the next time is not before its time."""
    outcome.analyses[action.pool] = None
    try:
        outcome.analyses[action.pool] = await ports.condor.analyze(action.job)
    except CondorError as error:
        if isinstance(error, CondorUnreachable):
            outcome.in_vain.add(Analyze)
        _log.warning("How slots look to job %s could not be asked: %s", action.job, error)
    except Exception as error:
        _log.error("How slots look to job %s could not be asked: %s", action.job, mistake.of(error))


async def _credentials(ports: Ports, pool: PoolFacts, observed: Observed) -> Credentials:
    cluster = observed.cluster
    if not isinstance(cluster, ClusterFacts) or cluster.credentials_secret is None:
        raise KubeError(f"pool {pool.name}", "its cluster names no Secret with credentials yet")
    return await ports.kube.credentials(cluster.namespace, cluster.credentials_secret)
