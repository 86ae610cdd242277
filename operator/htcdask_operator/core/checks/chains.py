"""What keeps a pool from having workers: ordered, named checks; the first that finds something wins.

Called by `pools.step`, `active` and `cluster` for each pool. `SPEC` and `MOMENT` decide whether an anchor may
be submitted, `WORKERS` in addition whether workers may; the conditions say what was found. The order has a
test of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from htcdask_operator.core import reasons
from htcdask_operator.core.checks import preconditions, spec
from htcdask_operator.core.model import Gone, Unseen
from htcdask_operator.core.pool_state import Check, Finding, Sight

SpecCheck = Callable[[Sight], Finding | None]
S = TypeVar("S", bound=Sight)


def first(chain: tuple[Callable[[S], Finding | None], ...], state: S) -> Finding | None:
    """The first finding of a chain."""
    return next((finding for check in chain if (finding := check(state)) is not None), None)


def cluster_is_over(sight: Sight) -> Finding | None:
    """Make sure no worker outlives its cluster."""
    cluster, pool = sight.observed.cluster, sight.pool
    name = pool.spec.cluster_ref.name
    if isinstance(cluster, Unseen):
        return None
    gone = Finding(
        reasons.CLUSTER_GONE, f"The DaskCluster {name} that this pool belonged to no longer exists."
    )
    if isinstance(cluster, Gone):
        # A pool that no cluster ever owned waits for its cluster: `cluster_is_not_found`.
        return gone if pool.owner_uid is not None or _has_jobs(sight) else None
    if pool.owner_uid is not None and pool.owner_uid != cluster.uid:
        return Finding(
            reasons.CLUSTER_GONE,
            f"The DaskCluster {name} that this pool belonged to (uid {pool.owner_uid}) no longer exists: the "
            "one of that name is another. Make a new pool for it.",
        )
    if not cluster.active:
        phase = "" if cluster.running else f" (phase {cluster.phase})"  # which may be behind
        return Finding(reasons.CLUSTER_INACTIVE, f"The cluster {name} has ended{phase}.")
    return None


def _has_jobs(sight: Sight) -> bool:
    """Whether it was owned once: nothing is submitted before, and somebody may have taken the owner away."""
    return not isinstance(sight.observed.jobs, Unseen) and bool(sight.jobs)


SPEC: Final[tuple[SpecCheck, ...]] = (
    spec.pool_is_invalid,
    spec.cluster_is_unseen,
    spec.cluster_is_not_found,
    spec.cluster_uses_kubernetes_workers,
    spec.another_pool_follows_gateway,
    spec.profile_is_unknown,
    spec.profile_is_not_allowed,
    spec.image_is_missing,
    spec.image_is_not_allowed,
    spec.image_is_a_window,
    spec.run_time_is_too_long,
    spec.expressions_are_not_allowed,
    spec.expressions_name_the_profiles,
    spec.template_is_unusable,
)
"""What is asked for makes sense: without this, no anchor, and no worker is wanted."""

MOMENT: Final[tuple[Check, ...]] = (
    preconditions.cluster_is_pending,
    preconditions.pool_is_not_finalized,
    preconditions.pool_is_not_adopted,
    preconditions.condor_is_unreachable,
    preconditions.condor_identity_is_unknown,
    preconditions.another_identity_has_jobs,
    preconditions.identity_is_not_recorded,
    preconditions.jobs_are_not_shown,
    preconditions.submit_was_refused,
    preconditions.anchor_is_removed,
)
"""An anchor can be submitted now."""

WORKERS: Final[tuple[Check, ...]] = (
    preconditions.anchor_is_not_ready,
    preconditions.scheduler_is_unreachable,
    preconditions.workers_fail,
    preconditions.pace_is_reached,
)
"""Workers can be submitted now (`workers_fail` may still let one through)."""

ALL: Final[tuple[Check, ...]] = (*SPEC, *MOMENT, *WORKERS)
"""The order in which a pool says what it waits for."""
