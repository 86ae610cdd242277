"""A pool with as much memory for its next workers as those that ran out of it call for.

Called by `cluster` for each pool, once its jobs are judged and before anything is decided: all that follows,
the workers' description, the bundle, limits and budgets, then counts what is really asked for. How much that
is, `workers.out_of_memory` says.
"""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core import size
from htcdask_operator.core.pool_state import Sight
from htcdask_operator.core.scaling import limits
from htcdask_operator.core.workers import out_of_memory
from htcdask_operator.core.workers.out_of_memory import Most


def with_memory(sight: Sight) -> Sight:
    """With as much memory as its next workers request, if some ran out of what its template says."""
    known = sight.remembered.memory_request or sight.pool.status.memory_request
    most = _most(sight)
    if sight.cluster is None:  # nobody knows its limits, and nothing is submitted
        return replace(sight, memory_request=known)
    if most is None:
        return sight
    written, own = sight.template, size.of_template(sight.template).memory_mib

    def of(mib: int) -> Sight:
        return replace(sight, template=written.model_copy(update={"memory": f"{mib}Mi"}))

    if known is None:
        known = out_of_memory.proven(sight.ours, own, lambda mib: of(mib).current_hash)
    found = out_of_memory.request(known, own, sight.workers, most)
    if found is None or found.request_mib <= own:
        return replace(sight, memory_request=found)
    after = of(found.request_mib)
    workers = out_of_memory.answered(sight.workers, found, lambda: after.current_hash)
    return replace(after, memory_request=found, workers=workers)


def _most(sight: Sight) -> Most | None:
    """What one worker may have after others ran out of less: by the profile, as far as limits allow it."""
    profile = sight.policy.profiles.get(sight.template.profile or "")
    if profile is None or profile.max_memory is None or sight.cluster is None:
        return None
    most = [Most(profile.max_memory // 2**20, f"the profile {profile.name}")]
    for limit in limits.largest_worker(sight.cluster, sight.policy):
        most.append(Most(max(0, int(limit.left)), limit.name))
    return min(most, key=lambda each: each.mib)
