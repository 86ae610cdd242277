"""What keeps a pool from having workers: ordered, named checks; the first that finds something wins.

Called by `plan` for each pool. `SPEC` and `MOMENT` decide whether an anchor may be submitted, `WORKERS` in
addition whether workers may; the conditions say what was found. The order has a test of its own.
"""

from __future__ import annotations

from typing import Final

from htcdask_operator.core import moment_checks, reasons, spec_checks
from htcdask_operator.core.case import Case, Check, Finding
from htcdask_operator.core.model import Gone, Unseen


def first(chain: tuple[Check, ...], case: Case) -> Finding | None:
    """The first finding of a chain."""
    return next((finding for check in chain if (finding := check(case)) is not None), None)


def cluster_is_over(case: Case) -> Finding | None:
    """Make sure no worker outlives its cluster."""
    cluster, pool = case.observed.cluster, case.pool
    name = pool.spec.cluster_ref.name
    if isinstance(cluster, Unseen):
        return None
    gone = Finding(
        reasons.CLUSTER_GONE, f"The DaskCluster {name} that this pool belonged to no longer exists."
    )
    if isinstance(cluster, Gone):
        # A pool that no cluster ever owned waits for its cluster: `cluster_is_not_found`.
        return gone if pool.owner_uid is not None or _has_jobs(case) else None
    if pool.owner_uid is not None and pool.owner_uid != cluster.uid:
        return gone
    if not cluster.active:
        return Finding(reasons.CLUSTER_INACTIVE, f"The cluster {name} has ended (phase {cluster.phase}).")
    return None


def _has_jobs(case: Case) -> bool:
    """Whether it was owned once: nothing is submitted before, and somebody may have taken the owner away."""
    jobs = case.observed.jobs
    return not isinstance(jobs, Unseen) and any(job.pool_uid == case.pool.uid for job in jobs)


SPEC: Final[tuple[Check, ...]] = (
    spec_checks.pool_is_invalid,
    spec_checks.cluster_is_unseen,
    spec_checks.cluster_is_not_found,
    spec_checks.cluster_uses_kubernetes_workers,
    spec_checks.another_pool_follows_gateway,
    spec_checks.profile_is_unknown,
    spec_checks.image_is_missing,
    spec_checks.image_is_not_allowed,
    spec_checks.image_is_a_window,
    spec_checks.expressions_are_not_allowed,
    spec_checks.template_is_unusable,
)
"""What is asked for makes sense: without this, no anchor, and no worker is wanted."""

MOMENT: Final[tuple[Check, ...]] = (
    moment_checks.cluster_is_pending,
    moment_checks.pool_is_not_finalized,
    moment_checks.pool_is_not_adopted,
    moment_checks.condor_is_unreachable,
    moment_checks.condor_identity_is_unknown,
    moment_checks.another_identity_has_jobs,
    moment_checks.identity_is_not_recorded,
    moment_checks.submit_was_refused,
)
"""An anchor can be submitted now."""

WORKERS: Final[tuple[Check, ...]] = (
    moment_checks.anchor_is_not_ready,
    moment_checks.scheduler_is_unreachable,
    moment_checks.workers_fail,
)
"""Workers can be submitted now (`workers_fail` may still let one through)."""

ALL: Final = (*SPEC, *MOMENT, *WORKERS)
"""The order in which a pool says what it waits for."""
