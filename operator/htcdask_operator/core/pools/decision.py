"""One pool, decided; and the small things that every decision about a pool has in common.

Used by `ending` and `life`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from htcdask_api import PoolStatus
from htcdask_operator.core.actions import Action, Adopt, ForceRemove, RecordIdentity, Remove
from htcdask_operator.core.mistake import Mistake
from htcdask_operator.core.model import Job, JobStatus, Standing
from htcdask_operator.core.pool_state import Finding
from htcdask_operator.core.pools.cluster import Pool
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.scaling.scale_down import Surplus
from htcdask_operator.core.status import summary
from htcdask_operator.core.workers.failures import Record

LEAVE_SECONDS: Final = 60.0
"""So much longer than its process may take does a removed job stay, if its execute node is there."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one pool, and what to publish of it."""

    actions: tuple[Action, ...]
    status: PoolStatus
    submitted: int = 0
    wake: tuple[float, ...] = ()
    standing: Standing = ()
    mistake: Mistake | None = None  # why nothing else could be decided


def adopt(pool: Pool) -> tuple[Action, ...]:
    """Make the cluster the pool's owner, at first sight."""
    cluster, facts = pool.case.cluster, pool.case.pool
    if cluster is None or facts.owner_uid is not None:
        return ()
    return (Adopt(facts.uid, cluster.uid),)


def record_identity(pool: Pool) -> tuple[Action, ...]:
    """Write down under whom the pool's jobs are going to be submitted, once no earlier identity has any."""
    case = pool.case
    us = case.observed.condor_identity
    if us is None or case.pool.submitted_as == us or len(pool.ours) < len(pool.jobs):
        return ()
    return (RecordIdentity(case.pool.uid, us),)


def remove(jobs: Iterable[Job], why: str) -> Remove:
    """Remove these jobs, all of one pool and one at the least, and say why."""
    its = tuple(jobs)
    return Remove(its[0].pool_uid, tuple(job.id for job in its), f"HTCDask: {why}")


def stuck(pool: Pool) -> tuple[list[Action], tuple[float, ...]]:
    """Take out what was removed and does not leave; and when to look again at what is leaving."""
    patience = pool.case.policy.vacate_seconds + LEAVE_SECONDS
    leaving = [job for job in pool.ours if job.status is JobStatus.REMOVED]
    late = tuple(job.id for job in leaving if pool.case.now - job.status_since >= patience)
    wake = tuple(job.status_since + patience for job in leaving)
    reason = "HTCDask: its execute node does not answer"
    return ([ForceRemove(pool.uid, late, reason)] if late else []), wake


def publish(
    pool: Pool,
    share: Allocation | None,
    finding: Finding | None = None,
    record: Record | None = None,
    unaffordable: int = 0,
    surplus: Surplus | None = None,
) -> PoolStatus:
    """The pool's new status."""
    before = pool.case.pool.status
    if record is None:
        record = Record(before.finished, before.failed, tuple(before.recent_failures))
    return summary.summarize(
        summary.Picture(
            case=pool.case,
            workers=pool.workers,
            jobs=len(pool.jobs),
            share=share,
            over=pool.over,
            finding=finding,
            record=record,
            unaffordable=unaffordable,
            surplus=surplus or Surplus(),
        )
    )
