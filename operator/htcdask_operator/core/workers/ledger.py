"""What a pool has submitted and how it went: births, deaths, and the pace that no submit escapes.

Kept from plan to plan (`memory`). Without it only what the queue shows now would count: jobs that somebody
removes, or that the access point never shows, would be replaced for ever. After a restart it begins anew from
the pool's status and the queue; wiping the status loses only the memory of failures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import Job, JobId
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.token_bucket import Rate, Spent
from htcdask_operator.core.workers import contact, endings, states
from htcdask_operator.core.workers.states import State, Worker

FORGET_SECONDS: Final = 3600.0
"""So long ago, a failure or what a submit was refused for says nothing about the next one."""
SHOWN_SECONDS: Final = 30.0
"""A job that was accepted is in the next answer of the queue. One that is not by then will not be."""
LARGEST_SUBMIT: Final = 1000
"""Jobs: it takes the access point about a second."""

_LIVES: Final = 3  # of each wanted worker, in ten minutes
_FEWEST: Final = 20
_WINDOW: Final = 600.0
_ALIKE: Final = 8  # failures of one reason that are remembered
_REMOVED_SECONDS: Final = 900.0  # for so long a job that we removed may take to leave
_GROWTH: Final = 4
_NOT_STAGED: Final = "Staging of job files failed"  # RemoveReason, where the agent ended while it sent them


@dataclass(frozen=True, slots=True)
class Batch:
    """How many jobs one submit may have, by what the access point took and refused."""

    accepted: int = 0  # the most
    refused: int | None = None  # the fewest; None: none, or nobody has tried for long
    at: float = 0.0

    def size(self, now: float) -> int:
        """How many to try next: between the two, quickly down and quickly up."""
        if self.refused is None or now - self.at >= FORGET_SECONDS:
            return min(LARGEST_SUBMIT, self.accepted * _GROWTH) if self.accepted else LARGEST_SUBMIT
        if not self.accepted:
            return max(1, self.refused // _GROWTH)
        return max(
            1, self.accepted, (self.accepted + self.refused) // 2 if self.refused > self.accepted + 1 else 1
        )

    def took(self, count: int) -> Batch:
        """A submit of so many was accepted."""
        refused = None if self.refused is not None and count >= self.refused else self.refused
        return replace(self, accepted=max(self.accepted, count), refused=refused)

    def too_many(self, count: int, now: float) -> Batch:
        """A submit of so many was refused, or was not answered in time."""
        return Batch(self.accepted if self.accepted < count else 0, count, now)


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job that the access point accepted, and that no answer has shown since."""

    at: float
    anchor: bool


@dataclass(frozen=True, slots=True)
class Ledger:
    """Of one pool."""

    live: Mapping[JobId, Job] = field(default_factory=dict)  # in the last answer, and not on their way out
    looked_at: float = 0.0
    accepted_jobs: Mapping[JobId, Submitted] = field(default_factory=dict)
    removed: Mapping[JobId, float] = field(default_factory=dict)  # by us, and when
    let_go: Mapping[JobId, bool] = field(default_factory=dict)  # there when fewer were wanted; at no cost?
    let_go_at: float = 0.0  # when somebody was let go at no cost
    failures: tuple[Failure, ...] = ()  # one for each event, newest first
    succeeded_at: float = 0.0  # when the youngest worker that was of use had started
    submits: Spent = field(default_factory=Spent)
    batch: Batch = field(default_factory=Batch)
    untaken: int = 0  # jobs that were refused or never sent, and are still counted as submitted

    def failed(self, new: Iterable[Failure], now: float) -> Ledger:
        """With these events, newest first; those that are long ago are forgotten."""
        kept, alike, every = [], Counter[str](), (*new, *self.failures)
        if not every:
            return self
        for failure in every:
            alike[failure.reason] += 1
            if alike[failure.reason] <= _ALIKE and now - timestamps.read(failure.time) < FORGET_SECONDS:
                kept.append(failure)
        return replace(self, failures=tuple(kept))

    def told(self, recent: Sequence[Failure]) -> Ledger:
        """After the last lines of some have come, which are in their messages."""
        newest = {failure.worker: failure for failure in recent}
        failures = tuple(newest.get(failure.worker, failure) for failure in self.failures)
        return self if failures == self.failures else replace(self, failures=failures)

    def succeeded(self, workers: Iterable[Worker], policy: Policy, now: float) -> Ledger:
        """With the workers that are connected for so long that they are of use."""
        latest = self.succeeded_at
        for worker in workers:
            began = contact.began(worker.job)
            if latest < began <= now - states.EARLY_SECONDS and contact.serves(worker, policy, now):
                latest = began
        return self if latest == self.succeeded_at else replace(self, succeeded_at=latest)

    def removing(self, jobs: Iterable[JobId], now: float) -> Ledger:
        """We ask for the removal of these jobs."""
        return replace(self, removed={**self.removed, **dict.fromkeys(jobs, now)})

    def submitting(self, count: int, rate: Rate, now: float) -> Ledger:
        """So many jobs are about to be submitted."""
        return replace(self, submits=_within(self.submits, rate).more(count, rate, now))

    def gave_back(self, count: int, rate: Rate, now: float) -> Ledger:
        """So many workers ended as somebody wished: whoever comes in their place is free."""
        return replace(self, submits=_within(self.submits.more(-count, rate, now), rate)) if count else self

    def owes_nothing(self, job: Job) -> bool:
        """Whether the next worker costs nothing, as this one ended well: after its share of the time, or as
        somebody wished. Workers that end by themselves soon after a minute would else be jobs without end.
        """
        lived = job.ran is not None and job.ran >= _WINDOW / _LIVES
        return lived or bool(job.succeeds) or job.id in self.let_go

    def settled(self, rate: Rate, now: float) -> Ledger:
        """Where the access point took no job, none was submitted."""
        return replace(self.gave_back(self.untaken, rate, now), untaken=0) if self.untaken else self

    def left(self, rate: Rate, now: float) -> int:
        """How many jobs may be submitted now."""
        return _within(self.submits, rate).left(rate, now)

    def more_at(self, rate: Rate, now: float) -> float:
        """When one may be."""
        return _within(self.submits, rate).next_at(rate, now)

    def not_shown(self, now: float) -> tuple[JobId, ...]:
        """Jobs that were accepted and that the queue does not show."""
        late = (job for job, its in self.accepted_jobs.items() if now - its.at >= SHOWN_SECONDS)
        return tuple(sorted(late, key=_by_number))

    def expected(self) -> int:
        """Workers that were accepted, and that an answer has yet to show."""
        return sum(not its.anchor for its in self.accepted_jobs.values())


def known(remembered: Ledger | None, status: PoolStatus) -> Ledger:
    """What is remembered; if the operator has just started, all that the status tells."""
    return remembered or Ledger(failures=tuple(status.recent_failures))


def of_use_at(workers: Iterable[Worker], policy: Policy, now: float) -> float | None:
    """When the next of these has been connected for so long that it is of use."""
    serving = (worker.job for worker in workers if contact.serves(worker, policy, now))
    times = (contact.began(job) + states.EARLY_SECONDS for job in serving)
    return min((at for at in times if at > now), default=None)


def pace(replicas: int) -> Rate:
    """How many jobs a pool of so many workers may submit: at once, and one more after so many seconds."""
    burst = max(_FEWEST, _LIVES * replicas)
    return Rate(burst, _WINDOW / burst)


def after_answer(
    ledger: Ledger, jobs: Sequence[Job], longest_gap: float, expiry: float, now: float
) -> tuple[Ledger, tuple[Job, ...]]:
    """With what the queue shows of the pool, and the jobs that somebody else has removed since.

    After a longer gap nobody knows whether a job that is gone had ended by itself. What was not shown is
    given up once its own expiry would have ended it.
    """
    shown = {job.id: job for job in jobs}
    leaving = states.leaving(jobs)
    lost: list[Job] = []
    if now - ledger.looked_at <= longest_gap:
        lost += [job for id_, job in ledger.live.items() if id_ not in shown and id_ not in ledger.removed]
        lost += [job for job in leaving if job.id in ledger.live and job.id not in ledger.removed]
    removed = {
        id_: at for id_, at in ledger.removed.items() if id_ in shown or now - at < _REMOVED_SECONDS
    } | dict.fromkeys((job.id for job in lost), now)
    missing = not_yet_shown(ledger, jobs, expiry, now)
    live = shown
    for job in leaving:
        live.pop(job.id, None)
    after = replace(ledger, live=live, looked_at=now, removed=removed, accepted_jobs=missing)
    return after, tuple(sorted(lost, key=lambda job: (job.queued_at, job.id)))


def not_yet_shown(
    ledger: Ledger, jobs: Iterable[Job], expiry: float, now: float
) -> Mapping[JobId, Submitted]:
    """What was accepted, and is not among these jobs."""
    if not ledger.accepted_jobs:
        return {}
    shown = {job.id for job in jobs}
    return {
        id_: its for id_, its in ledger.accepted_jobs.items() if id_ not in shown and now - its.at < expiry
    }


def removed_by_others(job: Job) -> Worker:
    """A worker's job that somebody else has removed: the access point itself, if its files did not come."""
    whose = f"The job {job.id} of worker {job.worker}"
    if job.spooling or (job.remove_reason or "").startswith(_NOT_STAGED):
        message = f"{whose} has left the queue before its files had been sent."
        return Worker(job, State.FAILED, reasons.NEVER_SPOOLED, message)
    message = f"{whose} was removed by somebody else: {endings.who_removed(job)}."
    return Worker(job, State.FAILED, reasons.REMOVED_BY_OTHERS, message)


def accepted(ledger: Ledger, jobs: Collection[JobId], now: float, *, anchor: bool) -> Ledger:
    """The access point took these."""
    more = {**ledger.accepted_jobs, **{job: Submitted(now, anchor) for job in jobs}}
    batch = ledger.batch if anchor else ledger.batch.took(len(jobs))
    return replace(ledger, accepted_jobs=more, batch=batch)


def _within(spent: Spent, rate: Rate) -> Spent:
    """A pool that wants fewer workers than before has not spent more than it may."""
    return Spent(min(rate.burst, spent.used), spent.at)


def _by_number(job: JobId) -> tuple[int, ...]:
    return tuple(int(part) for part in job.split(".") if part.isdigit())
