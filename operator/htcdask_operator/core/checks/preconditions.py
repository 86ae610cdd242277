"""Checks of the moment: what time, or somebody else's work, will mend.

Listed in order in `checks.MOMENT` and `checks.WORKERS`.
"""

from __future__ import annotations

from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import Disputed, Unseen
from htcdask_operator.core.pool_state import Finding, PoolState
from htcdask_operator.core.workers import backoff, identity


def cluster_is_pending(case: PoolState) -> Finding | None:
    """Make sure the scheduler runs and its credentials are there."""
    cluster = case.cluster
    if cluster is None or (cluster.running and cluster.credentials_secret is not None):
        return None
    return Finding(
        reasons.CLUSTER_PENDING,
        f"The scheduler of cluster {cluster.name} is starting (phase {cluster.phase}).",
    )


def pool_is_not_finalized(case: PoolState) -> Finding | None:
    """Make sure the pool cannot vanish without us."""
    if case.pool.finalized:
        return None
    return Finding(reasons.NOT_FINALIZED, "The pool has no finalizer of this operator yet.")


def pool_is_not_adopted(case: PoolState) -> Finding | None:
    """Make sure the pool goes with its cluster."""
    if case.pool.owner_uid is not None:
        return None
    return Finding(reasons.NOT_ADOPTED, "The pool does not belong to its DaskCluster yet.")


def condor_is_unreachable(case: PoolState) -> Finding | None:
    """Make sure we know what is in the queue."""
    if not isinstance(case.observed.jobs, Unseen):
        return None
    if isinstance(case.observed.jobs, Disputed):
        return Finding(reasons.ANOTHER_OPERATOR, f"Nothing is done: {case.observed.jobs.why}.", stalled=True)
    return Finding(reasons.CONDOR_UNREACHABLE, f"The access point does not answer: {case.observed.jobs.why}")


def condor_identity_is_unknown(case: PoolState) -> Finding | None:
    """Make sure the token is good: reading needs none, so an answer alone proves nothing."""
    if case.observed.condor_identity is not None:
        return None
    return Finding(
        reasons.CONDOR_IDENTITY_UNKNOWN, "The access point has not accepted the operator's token (yet)."
    )


def another_identity_has_jobs(case: PoolState) -> Finding | None:
    """Make sure nothing is submitted beside jobs that only an earlier identity may touch."""
    us, jobs = case.observed.condor_identity, case.observed.jobs
    older = () if isinstance(jobs, Unseen) else identity.older(jobs, case.pool, us)
    if us is None or not older:
        return None
    message = identity.blocked_by(older, case.pool, us)
    return Finding(reasons.ANOTHER_IDENTITY, message, stalled=True)


def identity_is_not_recorded(case: PoolState) -> Finding | None:
    """Make sure these jobs will be found when the token is replaced by somebody else's."""
    if case.pool.submitted_as == case.observed.condor_identity:
        return None
    return Finding(
        reasons.IDENTITY_NOT_RECORDED, "The pool's status does not say yet as whom its jobs are submitted."
    )


def submit_was_refused(case: PoolState) -> Finding | None:
    """Make sure a submit that was refused is not repeated at once."""
    refusal = case.observed.refusals.get(case.pool.uid)
    if refusal is None or (until := backoff.refused_until(refusal, case.policy)) <= case.now:
        return None
    return Finding(
        reasons.SUBMIT_REFUSED,
        f"The access point refused the submit: {refusal.why} Next try at {timestamps.written(until)}.",
        stalled=refusal.times >= case.policy.breaker_failures,
        until=until,
    )


def anchor_is_not_ready(case: PoolState) -> Finding | None:
    """Make sure the workers' files are on the access point."""
    if case.anchors.usable is not None:
        return None
    return Finding(reasons.ANCHOR_SPOOLING, "The workers' files are being sent to the access point.")


def scheduler_is_unreachable(case: PoolState) -> Finding | None:
    """Make sure a worker would find its scheduler."""
    if not isinstance(case.observed.connected, Unseen):
        return None
    return Finding(
        reasons.SCHEDULER_UNREACHABLE, f"The Dask scheduler does not answer: {case.observed.connected.why}"
    )


def workers_fail(case: PoolState) -> Finding | None:
    """Make sure failing workers do not come in crowds."""
    outlook = case.outlook
    if not case.missing or (outlook.allowed is None and outlook.stalled is None):
        return None
    next_try = f" Next try at {timestamps.written(outlook.until)}." if outlook.until is not None else ""
    if outlook.stalled is not None:
        return Finding(outlook.stalled, f"{outlook.why}{next_try}", stalled=True, until=outlook.until)
    if outlook.until is None:
        return Finding(reasons.BACKING_OFF, f"One worker is on trial. {outlook.why}")
    return Finding(reasons.BACKING_OFF, f"{outlook.why}{next_try}", until=outlook.until)
