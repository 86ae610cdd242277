"""Whose a job is: found by what we wrote into it, acted on only as who we are.

Anybody may write our id into a job of theirs. So a job counts only if it belongs to the identity that the
access point sees in us now, or to the one under which this pool's jobs were submitted: `submittedAs` in the
pool's status, which only the operator writes, and before the first submit. A job of that other identity is
there, and nothing more: we may not touch it, so nothing is submitted beside it, and its pool is not let go.
"""

from __future__ import annotations

from collections.abc import Iterable

from htcdask_api import names
from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import Job, PoolFacts


def believed(jobs: Iterable[Job], pool: PoolFacts, identity: str | None) -> tuple[Job, ...]:
    """Those of the pool's jobs that it can have been submitted as."""
    return tuple(job for job in jobs if not is_foreign(job, identity) or job.owner == pool.submitted_as)


def is_foreign(job: Job, identity: str | None) -> bool:
    """Whether the job is another identity's. Who we are is asked before the queue is."""
    return identity is not None and job.owner != identity


def older(jobs: Iterable[Job], pool: PoolFacts, identity: str | None) -> tuple[Job, ...]:
    """The pool's jobs that were submitted as somebody else."""
    return tuple(job for job in jobs if job.pool_uid == pool.uid and is_foreign(job, identity))


def blocked_by(jobs: tuple[Job, ...], pool: PoolFacts, identity: str | None) -> str:
    """A sentence about those jobs, and what a person can do."""
    owner = jobs[0].owner
    return (
        f"{counted(len(jobs), 'job')} of this pool, submitted as {owner}, cannot be touched: the operator's "
        f"token is now of {identity}. Put a token of {owner} back, or have an admin of the access "
        f'point end them: condor_rm -constraint \'{names.AD_POOL_UID} == "{pool.uid}" && User == "{owner}"\'.'
    )
