"""Checks of the moment: what time, or somebody else's work, will mend.

Listed in order in `chains.MOMENT` and `chains.WORKERS`.
"""

from __future__ import annotations

from collections.abc import Sequence

from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import Disputed, Unseen
from htcdask_operator.core.pool_state import Finding, PoolState
from htcdask_operator.core.workers import backoff, identity


def cluster_is_pending(state: PoolState) -> Finding | None:
    """Make sure the scheduler runs and its credentials are there."""
    cluster = state.cluster
    if cluster is None or (cluster.running and cluster.credentials_secret is not None):
        return None
    waits = f": {state.observed.scheduler_waits}" if state.observed.scheduler_waits else ""
    return Finding(
        reasons.CLUSTER_PENDING,
        f"The scheduler of cluster {cluster.name} is starting (phase {cluster.phase}){waits.rstrip('.')}.",
    )


def pool_is_not_finalized(state: PoolState) -> Finding | None:
    """Make sure the pool cannot vanish without us."""
    if state.pool.finalized:
        return None
    return Finding(reasons.NOT_FINALIZED, "The pool has no finalizer of this operator yet.")


def pool_is_not_adopted(state: PoolState) -> Finding | None:
    """Make sure the pool goes with its cluster."""
    if state.pool.owner_uid is not None:
        return None
    return Finding(reasons.NOT_ADOPTED, "The pool does not belong to its DaskCluster yet.")


def condor_is_unreachable(state: PoolState) -> Finding | None:
    """Make sure we know what is in the queue."""
    if not isinstance(state.observed.jobs, Unseen):
        return None
    if isinstance(state.observed.jobs, Disputed):
        return Finding(reasons.ANOTHER_OPERATOR, f"Nothing is done: {state.observed.jobs.why}.", stalled=True)
    return Finding(reasons.CONDOR_UNREACHABLE, f"HTCondor's queue cannot be seen: {state.observed.jobs.why}")


def condor_identity_is_unknown(state: PoolState) -> Finding | None:
    """Make sure the token is good: reading needs none, so an answer alone proves nothing."""
    if state.observed.condor_identity is not None:
        return None
    return Finding(
        reasons.CONDOR_IDENTITY_UNKNOWN, "The access point has not accepted the operator's token (yet)."
    )


def another_identity_has_jobs(state: PoolState) -> Finding | None:
    """Make sure nothing is submitted beside jobs that only an earlier identity may touch."""
    us = state.observed.condor_identity
    if len(state.ours) == len(state.jobs) or isinstance(state.observed.jobs, Unseen):
        return None
    older = identity.older(state.jobs, state.pool, us)
    if us is None or not older:
        return None
    message = identity.blocked_by(older, state.pool, us)
    return Finding(reasons.ANOTHER_IDENTITY, message, stalled=True)


def identity_is_not_recorded(state: PoolState) -> Finding | None:
    """Make sure these jobs will be found when the token is replaced by somebody else's."""
    if state.pool.submitted_as == state.observed.condor_identity:
        return None
    return Finding(
        reasons.IDENTITY_NOT_RECORDED, "The pool's status does not say yet as whom its jobs are submitted."
    )


def jobs_are_not_shown(state: PoolState) -> Finding | None:
    """Make sure that what was submitted can be seen: else more and more would be, and nobody would know."""
    missing = state.ledger.not_shown(state.now)
    if not missing:
        return None
    until = min(state.ledger.accepted_jobs[job].at for job in missing) + state.policy.job_expiry_seconds
    return Finding(
        reasons.JOBS_NOT_SHOWN,
        f"The access point accepted {counted(len(missing), 'job')} ({_some(missing)}) that its queue does "
        "not show to the operator, so no more are submitted. Look on the access point: condor_q -allusers "
        f"{missing[0]}, condor_history {missing[0]}. Another user's than "
        f"{state.observed.condor_identity}, changed by a transform or a JobRouter, or removed at once? "
        f"Next try at {timestamps.written(until)}.",
        stalled=True,
        until=until,
    )


def anchor_is_removed(state: PoolState) -> Finding | None:
    """Make sure an anchor that somebody removes again and again does not come again and again."""
    found = state.anchor_backoff
    if state.anchors.usable is not None or found.allowed is None or found.until is None:
        return None
    if state.anchors.refused is not None:  # none comes
        return None
    next_try = f"{found.why} Next try at {timestamps.written(found.until)}."
    reason = found.stalled or reasons.BACKING_OFF
    return Finding(reason, next_try, stalled=found.stalled is not None, until=found.until)


_NO_ACCOUNT = "The name before the @ of the token's identity has to be an account of the access point."


def submit_was_refused(state: PoolState) -> Finding | None:
    """Make sure a submit that was refused is not repeated at once."""
    refusal = state.remembered.refusal
    if refusal is None or not _lacks_a_job(state):
        return None
    until = backoff.refused_until(refusal.at, refusal.times, state.policy)
    if until <= state.now:
        return None
    refused = "the job that keeps the workers' files, and asks for what they ask for"
    hint = f" {_NO_ACCOUNT}" if "not a valid OS account" in refusal.why else ""
    return Finding(
        reasons.SUBMIT_REFUSED,
        # The site's own words come first: the rest is for those whom they do not help.
        f"{refusal.why.rstrip('.')}. Refused was {refused if refusal.anchor else 'a worker'}.{hint} "
        f"Next try at {timestamps.written(until)}.",
        stalled=refusal.times >= state.policy.breaker_failures,
        until=until,
    )


def _lacks_a_job(state: PoolState) -> bool:
    """Whether there is something to submit, or soon may be, as who retires gets a successor."""
    retires = state.template.max_runtime_seconds is not None
    return state.missing > 0 or state.anchors.usable is None or retires


def anchor_is_not_ready(state: PoolState) -> Finding | None:
    """Make sure the workers' files are on the access point."""
    if state.anchors.usable is not None or state.anchors.refused is not None:
        return None
    return Finding(reasons.ANCHOR_SPOOLING, "The workers' files are being sent to the access point.")


def scheduler_is_unreachable(state: PoolState) -> Finding | None:
    """Make sure a worker would find its scheduler."""
    if not isinstance(state.observed.connected, Unseen):
        return None
    return Finding(
        reasons.SCHEDULER_UNREACHABLE, f"The Dask scheduler does not answer: {state.observed.connected.why}"
    )


def workers_fail(state: PoolState) -> Finding | None:
    """Make sure failing workers do not come in crowds."""
    found = state.backoff
    if not state.missing or (found.allowed is None and found.stalled is None):
        return None
    next_try = f" Next try at {timestamps.written(found.until)}." if found.until is not None else ""
    if found.stalled is not None:
        return Finding(found.stalled, f"{found.why}{next_try}", stalled=True, until=found.until)
    if found.until is None:
        trial = {0: "The next worker is on trial.", 1: "One worker is on trial."}.get(
            found.on_trial, f"{found.on_trial} wait; no more come until one is connected."
        )
        return Finding(reasons.BACKING_OFF, f"{trial} {found.why}")
    return Finding(reasons.BACKING_OFF, f"{found.why}{next_try}", until=found.until)


def pace_is_reached(state: PoolState) -> Finding | None:
    """Make sure no pool submits without end, whatever becomes of its jobs."""
    if not state.missing or (until := state.more_at) is None:
        return None
    return Finding(
        reasons.SUBMITTING_SLOWLY,
        f"{counted(state.pace.burst, 'job')} at once, and one more in each {state.pace.seconds:.0f} s, are "
        "the most for this pool, as its workers end soon and are replaced: see recentFailures. "
        f"The next comes at {timestamps.written(until)}.",
        until=until,
    )


def _some(jobs: Sequence[str]) -> str:
    return ", ".join(jobs[:3]) + (", ..." if len(jobs) > 3 else "")
