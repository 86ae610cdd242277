"""What is published of a pool: counts, explanations, failures and conditions.

Called by `plan` for each pool. By the kstatus rules: Ready always there, Stalled only when a person has to do
something, Reconciling while something is under way. Nothing in a status moves unless something happened, so
an unchanged pool has an equal status and nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from htcdask_api import Condition, PoolStatus, SchedulerTold, names, status
from htcdask_operator.core import reasons, sanitize, timestamps
from htcdask_operator.core.counted import counted
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import ClusterFacts, Disputed, Gone, Unnamed, Unseen
from htcdask_operator.core.pool_state import Finding, PoolState, Sight
from htcdask_operator.core.scaling import scale_scheduler
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.setback import STALLED
from htcdask_operator.core.status.counts import Counts, counts_of
from htcdask_operator.core.status.explain import explanations, reachable
from htcdask_operator.core.workers import identity

Truth = Literal["True", "False", "Unknown"]

_UNNAMED: Final = (
    "The scheduler answers and has no page that names its workers, so those that run count as connected: "
    "distributed.scheduler.http.routes of its image lacks distributed.http.scheduler.info."
)
_NAMED: Final = 3  # finalizers of others in a message


def summarize(state: PoolState, finding: Finding | None) -> PoolStatus:
    """The pool's new status. `finding`: what keeps workers away."""
    record, counts = state.record, counts_of(state)
    explanation, analyzed = state.pool.status.explanation, state.remembered.analyzed
    if not isinstance(state.observed.jobs, Unseen):
        explanation = explanations(
            state.missed,
            state.allocation or Allocation(0),
            state.unaffordable,
            state.crowded_out,
            state.held_back,
            state.policy.scheduler_address,
            state.now,
            analyzed.found if analyzed is not None and state.idle else None,
            tuple(state.avoided),
        )
    told = PoolStatus(
        observed_generation=state.pool.generation,
        desired_replicas=counts.desired,
        replicas=counts.live,
        selector=f"{names.POOL_UID_LABEL}={state.uid}",
        user=_user(state),
        submitting=counts.submitting,
        idle=counts.idle,
        running=counts.running,
        connected=counts.connected,
        held=counts.held,
        retiring=counts.retiring,
        finished=record.finished,
        failed=record.failed,
        explanation=explanation,
        recent_failures=record.recent,
        memory_request=state.memory_request,
        scheduler_told=_scheduler_told(state),
        submitted_as=state.pool.submitted_as,
        conditions=_conditions(state, counts, finding),
    )
    return sanitize.status(told)


def _user(state: PoolState) -> str | None:
    """Whose cluster it is, or was."""
    cluster = state.observed.cluster
    if not isinstance(cluster, ClusterFacts) or state.pool.owner_uid not in (None, cluster.uid):
        return state.pool.status.user
    return sanitize.name(cluster.username) if cluster.username else state.pool.status.user


def _scheduler_told(state: PoolState) -> SchedulerTold | None:
    """What the scheduler was told for other pools than this one, which follows the gateway."""
    cluster = state.observed.cluster
    if state.uid != state.gateway_pool or state.over is not None:
        return None
    if not isinstance(cluster, ClusterFacts):
        return state.pool.status.scheduler_told
    return scale_scheduler.written(state.memory.last_scale, cluster)


def mistaken(state: Sight, mistake: Mistake) -> PoolStatus:
    """The pool's status where nothing could be decided: all that was known of it stays."""
    before = state.pool.status
    message = (
        f"The operator cannot plan this pool ({mistake.kind}): a mistake of the operator, not of the pool. "
        "Its jobs are left as they are, and deleting it works. Tell the site's people: the operator's log "
        "says where."
    )
    said: Sequence[tuple[str, Truth, str]] = (
        (status.READY, "False", message),
        (status.RECONCILING, "False", ""),
        (status.STALLED, "True", message),
    )
    ours = tuple(_condition(state, kind, truth, reasons.OPERATOR_MISTAKE, text) for kind, truth, text in said)
    kinds = {condition.type for condition in ours}
    others = tuple(condition for condition in before.conditions if condition.type not in kinds)
    changes = {"conditions": (*ours, *others), "observed_generation": state.pool.generation}
    return sanitize.status(before.model_copy(update=changes))


def _conditions(state: PoolState, counts: Counts, finding: Finding | None) -> tuple[Condition, ...]:
    ready = _ready(state, counts, finding)
    is_ready, reason, message, stalled = ready
    ended = (state.over is not None and _nothing_left(state)) or (_let_go(state) and not state.jobs)
    waits = state.allocation is not None and state.allocation.waits
    at_rest = is_ready or stalled or ended or (reason == reasons.CAPPED and not waits)
    said: Sequence[tuple[str, Truth, str, str]] = (
        (status.READY, _truth(is_ready), reason, message),
        (status.RECONCILING, _truth(not at_rest), reason, "" if at_rest else message),
        (status.STALLED, _truth(stalled), reason, message if stalled else ""),
        (status.CLUSTER_ACTIVE, *_cluster_active(state)),
        (status.CONDOR_REACHABLE, *_condor_reachable(state)),
        *state.memory.ended.said,
    )
    return tuple(_condition(state, *one) for one in said)


def _ready(state: PoolState, counts: Counts, finding: Finding | None) -> tuple[bool, str, str, bool]:
    """(ready, reason, message, stalled)"""
    if state.pool.deleting:
        return _deleting(state)
    if state.over is not None:
        if state.over.reason == reasons.CLUSTER_INACTIVE and _nothing_left(state):
            return True, reasons.ENDED, f"{state.over.message} Nothing of this pool is left.", False
        hidden = counted(len(state.not_yet_shown), "job", "are")
        stays = (
            f" {hidden} waited for that no answer of the access point shows." if state.not_yet_shown else ""
        )
        return False, state.over.reason, f"{state.over.message}{stays}", False
    if finding is not None:
        too_many = f" {_too_many(state, counts)}" if state.surplus.until is not None else ""
        return False, finding.reason, f"{finding.message}{too_many}", finding.stalled
    unnamed = f" {_UNNAMED}" if isinstance(state.observed.connected, Unnamed) else ""
    if counts.live > counts.desired:
        return False, reasons.SCALING_DOWN, _too_many(state, counts) + unnamed, False
    if counts.connected < counts.desired:
        message = (
            f"{counts.connected} of {counts.desired} workers are connected; "
            f"{counts.idle} idle, {counts.starting} starting, {counts.held} held."
        )
        waits = reasons.WAITING_FOR_SCHEDULER if state.unaffordable else reasons.WAITING_FOR_WORKERS
        return False, waits, message + unnamed, False
    if counts.desired == 0:
        return _none_wanted(state)
    if unnamed:
        return True, reasons.WORKERS_RUNNING, f"{counted(counts.connected, 'worker', 'run')}.{unnamed}", False
    return True, reasons.WORKERS_CONNECTED, f"{counted(counts.connected, 'worker', 'are')} connected.", False


def _none_wanted(state: PoolState) -> tuple[bool, str, str, bool]:
    """Nobody asks for a worker, or none of those that are asked for may be this pool's."""
    capped_by = None if state.allocation is None else state.allocation.capped_by
    if state.pool.spec.max_replicas == 0:
        return True, reasons.NO_WORKERS_WANTED, "maxReplicas of this pool is 0.", False
    if capped_by is not None:
        return False, reasons.CAPPED, capped_by, False
    cluster, manual = state.observed.cluster, state.pool.spec.scaling == "Manual"
    last, message = state.memory.last_scale, "The scheduler asks for no worker."
    if manual:
        message = "spec.replicas of this pool asks for no worker."
    elif isinstance(cluster, ClusterFacts) and (asked := scale_scheduler.own_number(last, cluster)):
        asked_for = f"{counted(asked, 'worker', 'are')} asked for"
        message = f"{asked_for}, and none is left for this pool: the cluster's Manual pools come first."
    elif isinstance(cluster, ClusterFacts) and scale_scheduler.ended_adapt(last, cluster):
        message = (
            f"{message} It was told a number for Manual pools, which ended adapt(): ask for workers again."
        )
    return True, reasons.NO_WORKERS_WANTED, message, False


def _too_many(state: PoolState, counts: Counts) -> str:
    """Who may stay for now, and for how long at the most."""
    surplus, waits = state.surplus, ""
    latest = "" if surplus.until is None else f"{timestamps.written(surplus.until)} at the latest"
    if surplus.busy:
        waits = f"; {surplus.busy} may finish their tasks first" + (f", until {latest}" if latest else "")
    elif latest:
        waits = f"; the surplus leaves by {latest}"
    return f"{counted(counts.live, 'worker', 'are')} there, {counts.desired} wanted{waits}."


def _nothing_left(state: PoolState) -> bool:
    """Once it was seen, it stays so while the access point is silent: nothing more was submitted."""
    if isinstance(state.observed.jobs, Unseen):
        ready = state.pool.status.condition(status.READY)
        return ready is not None and ready.reason == reasons.ENDED
    return not state.jobs and not state.not_yet_shown


def _let_go(state: Sight) -> bool:
    """The pool is being deleted, and it is not our finalizer that keeps it."""
    return state.pool.deleting and not state.pool.finalized


def _released(state: PoolState) -> tuple[bool, str, str, bool]:
    """What keeps it is somebody else's: nothing to do, and nothing to wait for, that is ours."""
    kept_by = state.pool.kept_by
    if isinstance(state.observed.jobs, Unseen):
        ours = "HTCDask has let this pool go; jobs that may be left end with their lease."
    elif state.jobs:
        ours = f"HTCDask has let this pool go; jobs of it that are leaving the queue: {len(state.jobs)}."
    else:
        ours = "Nothing of HTCDask is left of this pool."
    more = f" and {len(kept_by) - _NAMED} more" if len(kept_by) > _NAMED else ""
    some = ", ".join(kept_by[:_NAMED]) + more
    others = f" It is kept by finalizers that are not HTCDask's: {some}." if kept_by else ""
    return False, reasons.RELEASED, f"{ours}{others}", False


def _deleting(state: PoolState) -> tuple[bool, str, str, bool]:
    if _let_go(state):
        return _released(state)
    observed, pool = state.observed, state.pool
    us, why = observed.condor_identity, None
    if isinstance(observed.jobs, Disputed):
        why = observed.jobs.why
    elif isinstance(observed.jobs, Unseen):
        why = f"HTCondor's queue cannot be seen ({observed.jobs.why})"
    elif observed.condor_identity is None and len(state.jobs):
        why = "the access point has not accepted the operator's token"
    elif us is not None and (older := identity.older(observed.jobs, pool, us)):
        why = identity.blocked_by(older, pool, us).rstrip(".")
    elif (setback := state.remembered.setback) and setback.waits and setback.removal:
        why = setback.why
    elif not state.jobs and (hidden := state.ledger.not_shown(state.now)):
        why = (
            f"the access point accepted {counted(len(hidden), 'job')}, such as {hidden[0]}, that its queue "
            "does not show"
        )
    failed = state.waits
    if why is None and failed is not None and failed.finalizer:
        message = f"The pool's finalizer cannot be taken away: {failed.why}. It is tried again."
        return False, reasons.ACTION_FAILED, message, failed.times >= STALLED
    if why is None:
        leaving = f"{counted(len(state.jobs), 'job', 'are')} leaving the queue."
        return False, reasons.REMOVING_JOBS, leaving, False
    message = (
        f"The pool's jobs cannot be removed: {why}. It is tried again until it works; to let the pool go "
        f"without, set the annotation {names.RELEASE_ANNOTATION} (jobs that are left end with their lease)."
    )
    return False, reasons.CLEANUP_BLOCKED, message, True


def _cluster_active(state: PoolState) -> tuple[Truth, str, str]:
    cluster = state.observed.cluster
    if isinstance(cluster, Unseen):
        return "Unknown", reasons.CLUSTER_UNSEEN, cluster.why
    if state.over is not None:
        return "False", state.over.reason, state.over.message
    if isinstance(cluster, Gone):
        return "False", reasons.CLUSTER_NOT_FOUND, "There is no DaskCluster of this name."
    return "True", reasons.CLUSTER_ACTIVE, ""


def _condor_reachable(state: PoolState) -> tuple[Truth, str, str]:
    observed = state.observed
    if isinstance(observed.jobs, Disputed):
        return "Unknown", reasons.ANOTHER_OPERATOR, observed.jobs.why
    if isinstance(observed.jobs, Unseen):
        return "False", reasons.CONDOR_UNREACHABLE, observed.jobs.why
    if observed.condor_identity is None:
        return (
            "Unknown",
            reasons.CONDOR_IDENTITY_UNKNOWN,
            "The access point has not accepted the operator's token (yet).",
        )
    return "True", *reachable(observed.condor_identity, state.remembered.refused_anchor)


def _condition(state: Sight, kind: str, truth: Truth, reason: str, message: str) -> Condition:
    before = state.pool.status.condition(kind)
    flipped = before is None or before.status != truth
    return Condition(
        type=kind,
        status=truth,
        reason=reason,
        message=sanitize.line(message),
        last_transition_time=timestamps.written(state.now)
        if flipped or before is None
        else before.last_transition_time,
        observed_generation=state.pool.generation,
    )


def _truth(value: bool) -> Truth:
    return "True" if value else "False"
