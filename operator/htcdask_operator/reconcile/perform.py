"""Turn each action of a plan into one port call.

Called by `cycle`, in the plan's order. An action that fails ends the round for its pool alone, but for
what is to leave the queue, with a sentence that the pool's status tells. Only an access point that is silent
ends what the others need of HTCondor, so that not each of them waits for the same deadline; what they need of
Kubernetes is done all the same. Courtesies, such as a log's last lines, never fail anything.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

from htcdask_api.worker_log import MAX_BYTES
from htcdask_operator import metrics
from htcdask_operator.condor.errors import (
    CondorError,
    CondorNotAsked,
    CondorRefused,
    CondorUnreachable,
    RuleRefused,
    SubmitRefused,
    SubmitTooLate,
)
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core import mistake, sanitize
from htcdask_operator.core.actions import (
    Action,
    AddFinalizer,
    Adopt,
    Analyze,
    Bundle,
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
)
from htcdask_operator.core.counted import counted
from htcdask_operator.core.memory import RefusedSubmit
from htcdask_operator.core.model import (
    ClusterFacts,
    JobId,
    Observed,
    PoolFacts,
    PoolUid,
    WorkerName,
)
from htcdask_operator.core.status.events import Event
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Credentials
from htcdask_operator.ports import Ports
from htcdask_operator.reconcile.outcome import Outcome
from htcdask_operator.scheduler.port import SchedulerError
from htcdask_operator.state.log_budget import LogBudget

_log = logging.getLogger(__name__)


async def perform(
    ports: Ports,
    actions: Sequence[Action],
    pools: Mapping[PoolUid, PoolFacts],
    observed: Observed,
    clock: Callable[[], float],
    budget: LogBudget,
) -> Outcome:
    """Do `actions`, in order, each unless something failed that it depends on."""
    outcome = Outcome()
    for action in actions:
        if outcome.hinders(action):
            outcome.leave_out(action, clock())
            continue
        try:
            await _one(ports, action, pools, observed, outcome, clock, budget)
        except CondorError as error:
            if not_sent := _is_not_sent(action, error):
                outcome.not_submitted(action)
            if isinstance(action, SubmitWorkers) and action.succeeds and not _is_silence(error):
                _log.warning("No successor of worker %s: %s", action.succeeds, sanitize.line(str(error)))
                metrics.FAILED_ACTIONS.labels("SubmitSuccessor").inc()
                outcome.declined.setdefault(action.pool, set()).add(action.succeeds)
                continue
            if isinstance(error, SubmitRefused) and isinstance(action, SubmitAnchor | SubmitWorkers):
                outcome.refused[action.pool] = _refused(action, error)
                metrics.FAILED_ACTIONS.labels(type(action).__name__).inc()
                continue
            if isinstance(error, CondorUnreachable):
                outcome.silent, outcome.in_vain = str(error), {Analyze, ReadLogs}
                if isinstance(action, SubmitWorkers) and not action.succeeds and not not_sent:
                    outcome.unanswered[action.pool] = len(action.names)
            outcome.fail(action, str(error), clock())
        except KubeError as error:
            outcome.not_submitted(action)  # its files were not even made
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


def _is_silence(error: CondorError) -> bool:
    """It concerns all that is asked of the access point."""
    return isinstance(error, CondorUnreachable | CondorRefused)


def _is_not_sent(action: Action, error: CondorError) -> bool:
    """Whether a submit certainly left no job; what `refused` tells the core is not told twice."""
    if isinstance(error, CondorNotAsked):
        return True
    if not isinstance(action, SubmitWorkers):
        return False
    if isinstance(error, SubmitRefused):
        return bool(action.succeeds)
    # A token that expires between a job and its files leaves the job.
    return isinstance(error, SubmitTooLate) or (isinstance(error, CondorRefused) and action.bundle is None)


def _refused(action: SubmitAnchor | SubmitWorkers, error: SubmitRefused) -> RefusedSubmit:
    if isinstance(action, SubmitWorkers):
        return RefusedSubmit(str(error), len(action.names))
    by_rule = action.template_hash if isinstance(error, RuleRefused) else None
    return RefusedSubmit(str(error), 1, anchor=True, template_hash=by_rule)


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
    clock: Callable[[], float],
    budget: LogBudget,
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
            content = await _rendered(ports, bundle, pools[pool], observed)
            outcome.anchors[pool] = await ports.condor.submit_anchor(
                description, content, observed.condor_identity
            )
            _log.info("Pool %s: anchor submitted", pools[pool].name)
        case SubmitWorkers(pool):
            made = await _submit_workers(ports, action, pools[pool], observed)
            outcome.workers[pool] = (*outcome.workers.get(pool, ()), *made)
            metrics.SUBMITTED.inc(len(action.names))
            _log.info("Pool %s: %s submitted", pools[pool].name, counted(len(action.names), "worker"))
        case HoldAnchor(_, jobs, reason):
            await ports.condor.hold(jobs, reason)
        case Remove(_, jobs, reason):
            await ports.condor.remove(jobs, reason)
            _log.info("%s removed: %s", counted(len(jobs), "job"), reason)
        case ForceRemove(_, jobs, reason):
            await ports.condor.force_remove(jobs, reason)
            _log.warning("%s taken out of the queue: %s", counted(len(jobs), "job"), reason)
        case ReadLogs():
            await _read_logs(ports, action, outcome)
        case Analyze():
            await _analyze(ports, action, outcome)
        case WriteLogs():
            if budget.reserve(clock()):
                size = await _write_logs(ports, action, pools[action.pool], outcome, clock())
                budget.wrote(size, clock())
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
    # The queue may have answered for half a minute since the cluster was asked.
    cluster = await ports.kube.cluster(pool.namespace, pool.spec.cluster_ref.name)
    decided_on = (action.instead_of, action.word)
    if not isinstance(cluster, ClusterFacts) or (cluster.replicas, cluster.word) != decided_on:
        return  # the next round decides anew
    outcome.scaled = action
    credentials = await _credentials(ports, pool, observed)
    await ports.scheduler.scale(
        pool.namespace, pool.spec.cluster_ref.name, action.count, credentials.api_token
    )
    outcome.events.append((action.pool, Event("Normal", action.reason, action.message)))


async def _read_logs(ports: Ports, action: ReadLogs, outcome: Outcome) -> None:
    """An empty text says that it was looked for in vain, also where it failed: nobody asks for ever."""
    found: Mapping[WorkerName, str] = {}
    try:
        found = await ports.condor.logs(action.keeper, action.workers)
    except CondorError as error:
        if isinstance(error, CondorUnreachable):
            outcome.in_vain.add(ReadLogs)
        _log.warning("The last lines of %d workers could not be read: %s", len(action.workers), error)
    except Exception as error:
        _log.error(
            "The last lines of %d workers could not be read: %s", len(action.workers), mistake.of(error)
        )
    outcome.logs.update({worker: found.get(worker, "") for worker in action.workers})


async def _write_logs(ports: Ports, action: WriteLogs, pool: PoolFacts, outcome: Outcome, now: float) -> int:
    """How many bytes, for all we know.

    What is refused is forgotten, as it would be refused again; what nobody took is kept for a while.
    """
    size = MAX_BYTES
    try:
        size = await ports.kube.write_log(pool, action.workers, now)
    except KubeError as error:
        why = sanitize.line(str(error))
        outcome.unwritten[action.pool] = f"Pool {pool.name}: what its workers printed is not written: {why}"
        nobody = error.status is None and not error.unserved
        size = MAX_BYTES if nobody else 0
        if nobody or error.status in (409, 429) or (error.status or 0) >= 500:
            return size
    except Exception as error:
        _log.error("Pool %s: what its workers printed is not written: %s", pool.name, mistake.of(error))
    outcome.written[action.pool] = tuple(log.name for log in action.workers)
    return size


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


async def _submit_workers(
    ports: Ports, action: SubmitWorkers, pool: PoolFacts, observed: Observed
) -> tuple[JobId, ...]:
    submit, identity = (action.description, action.names), observed.condor_identity
    if action.bundle is None:
        return await ports.condor.submit_workers(*submit, identity)
    content = await _rendered(ports, action.bundle, pool, observed)
    return await ports.condor.spool_workers(*submit, content, identity)


async def _rendered(ports: Ports, bundle: Bundle, pool: PoolFacts, observed: Observed) -> bytes:
    credentials = await _credentials(ports, pool, observed)
    return render(bundle, credentials.certificate, credentials.key)


async def _credentials(ports: Ports, pool: PoolFacts, observed: Observed) -> Credentials:
    cluster = observed.cluster
    if not isinstance(cluster, ClusterFacts) or cluster.credentials_secret is None:
        raise KubeError(f"pool {pool.name}", "its cluster names no Secret with credentials yet")
    return await ports.kube.credentials(cluster.namespace, cluster.credentials_secret)
