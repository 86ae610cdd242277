"""The pool's anchor: the held job whose spool directory keeps the workers' files.

Called by `pools.complete` for each pool. The road of an anchor:

    SubmitAnchor -> code 16, spooling -> staged, idle -> HoldAnchor -> held: usable -> ... -> Remove
                         -> still code 16 after 2 min, or 2 min after StageInFinish: Remove, and a new one
    the template's hash changed: a new one; the old goes when no worker of its template is left
    a worker did not find its files there: a new one; the old goes when no worker of it is left
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core import size
from htcdask_operator.core.model import Job, PoolFacts, Role
from htcdask_operator.core.size import NOTHING, Size
from htcdask_operator.core.submit import spooled
from htcdask_operator.core.submit.spooled import RefusedAnchor
from htcdask_operator.core.workers import states

HOLD_REASON: Final = "HTCDask: keeps the workers' files of pool {pool}; goes with the pool"


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of one pool, sorted by what to do with them."""

    usable: Job | None = None  # workers may be submitted against it
    pending: Job | None = None  # on its way to be usable
    hold: tuple[Job, ...] = ()
    remove: tuple[Job, ...] = ()
    all: tuple[Job, ...] = ()  # but for those that are leaving the queue anyway, or have lost their files
    refused: RefusedAnchor | None = None  # there is none, and this is why none is asked for now


def sort(
    jobs: Sequence[Job],
    template_hash: str | None,
    now: float,
    refused: RefusedAnchor | None = None,
    missed_at: float = 0.0,
) -> Anchors:
    """What the pool's anchors are, for workers of this template_hash (None: it cannot be known).

    `missed_at`: when a worker did not find its files the last time; an anchor from before may have lost them.
    """
    anchors = sorted(
        (job for job in jobs if job.role is Role.ANCHOR), key=lambda job: (job.queued_at, job.id)
    )
    there = [job for job in anchors if not states.is_leaving(job)]
    broken = [job for job in there if states.never_spooled(job, now) or states.has_ended(job)]
    sound = [job for job in there if job not in broken]
    hold = tuple(job for job in sound if _to_hold(job))
    if template_hash is None:
        return Anchors(None, None, hold, tuple(broken), tuple(there))
    lost = [job for job in sound if job.queued_at < missed_at and job.understood]
    ours = [job for job in sound if job.template_hash == template_hash and job not in lost]
    usable = next((job for job in ours if _usable(job)), None)
    pending = None if usable else next(iter(ours), None)
    # A second one, from a submit whose answer was lost, has no workers unless it is usable too.
    twins = [job for job in ours if job not in (usable, pending) and not _usable(job) and job.understood]
    stale = [job for job in sound if job.template_hash != template_hash and job.understood]
    if stale or lost:  # a worker that does not say which anchor it uses may use any
        workers = [job for job in jobs if job.may_be_worker and not states.has_ended(job)]
        templates, used = {job.template_hash for job in workers}, {job.anchor for job in workers}
        stale = [job for job in stale if not templates & {job.template_hash, ""}]
        stale += [job for job in lost if job not in stale and not used & {job.id, ""}]
    gone = (*broken, *twins, *stale)
    there = [job for job in there if job not in lost]
    why = None if ours or refused is None or not refused.holds(template_hash, now) else refused
    return Anchors(usable, pending, tuple(job for job in hold if job not in gone), gone, tuple(there), why)


def keeper(jobs: Iterable[Job]) -> Job | None:
    """The newest anchor that has its directory, of whatever template: what workers printed lies in it."""
    there = [job for job in jobs if job.role is Role.ANCHOR and not states.is_leaving(job) and _usable(job)]
    return max(there, key=lambda job: job.place, default=None)


def hold_reason(pool: PoolFacts) -> str:
    """What condor_q -hold says of an anchor."""
    return HOLD_REASON.format(pool=f"{pool.namespace}/{pool.name}")


def shown_request(jobs: Iterable[Job], template: Size, current: Callable[[], str | None]) -> Size:
    """What the newest of a pool's anchors requests in the queue, or of its workers that need none.

    Transforms of the access point have done to it what they will do to the next worker. Of several templates'
    anchors those of the `current` one's hash count, which costs something to know: it is not asked where
    nobody requests more than the `template`. Workers always need to have it: a new anchor comes whatever one
    of before requests, but a worker's size would keep the smaller ones of a new template away for ever.
    """
    its = tuple(jobs)
    anchors = [job for job in its if job.role is Role.ANCHOR]
    shown = anchors or [job for job in its if spooled.has_files(job)]
    if all(size.larger(template, its) == template for its in {job.size for job in shown}):
        return NOTHING
    if not anchors or len({job.template_hash for job in anchors}) > 1:
        hash_of_now = current()
        shown = [job for job in shown if job.template_hash == hash_of_now]
    return max(shown, key=lambda job: job.place).size if shown else NOTHING


def _staged(job: Job) -> bool:
    return job.stage_in_finish is not None and job.iwd is not None and job.iwd.isprintable()


def _usable(job: Job) -> bool:
    # Whoever holds it: it never runs, and its directory is there.
    return states.is_held(job) and not job.spooling and _staged(job)


def _to_hold(job: Job) -> bool:
    # Until it is held, only its impossible Requirements keep it from running.
    return job.understood and not states.is_held(job) and job.stage_in_finish is not None
