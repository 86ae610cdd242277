"""Jobs whose pool no longer exists: somebody took the pool's finalizer away, or the cluster was rebuilt.

Called by the shell after a poll that showed jobs of pools that nobody knows. That a pool is gone is believed
only of a namespace whose pools were listed after the jobs were seen; jobs of other namespaces are not ours to
judge. The anchor goes last here too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Job, JobId, PoolUid
from htcdask_operator.core.workers import states
from htcdask_operator.core.workers.identity import is_foreign

REASON = "HTCDask: the HTCWorkerPool of this job no longer exists"


SLACK_SECONDS: Final = 360.0
"""So long after its last renewal an operator may have submitted, whatever lease it had; and clocks differ."""


@dataclass(frozen=True, slots=True)
class Removal:
    """Jobs to remove, of any number of pools that are gone."""

    jobs: tuple[JobId, ...]
    reason: str


def may_be_anothers(jobs: Iterable[Job], last_seen: float | None) -> bool:
    """Whether jobs of a pool that we never saw came when no operator of this installation was at work.

    A copy of the Kubernetes cluster, with an operator of its own, submits such jobs.
    """
    return last_seen is None or any(job.queued_at > last_seen + SLACK_SECONDS for job in jobs)


def removal(
    jobs: Iterable[Job], there: Mapping[str, Collection[PoolUid]], identity: str | None
) -> Removal | None:
    """What to remove of `jobs`, where `there` are the pools of each namespace that was listed.

    A job that names no pool belongs to none that is gone, and another identity's is not ours to remove.
    """
    orphans = [
        job
        for job in jobs
        if job.pool_uid
        and job.namespace in there
        and job.pool_uid not in there[job.namespace]
        and not is_foreign(job, identity)
    ]
    with_workers = {job.pool_uid for job in orphans if job.may_be_worker}
    due = tuple(
        job.id
        for job in orphans
        if not states.is_leaving(job) and (job.may_be_worker or job.pool_uid not in with_workers)
    )
    return Removal(due, REASON) if due else None
