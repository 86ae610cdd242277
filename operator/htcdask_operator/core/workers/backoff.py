"""When the next workers may be submitted, after some ended badly.

Called by `pools.complete`, with the failures that the pool's ledger remembers: one for each *event*, as
workers that ended together are one. Each reason is counted by itself, and an hour later it is forgotten.

    event -> pause (10 s, doubling) -> one worker on trial while none is connected -> it is of use: all clear
                                                                                   -> it fails: next event
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers import contact, failure_policy
from htcdask_operator.core.workers.ledger import FORGET_SECONDS
from htcdask_operator.core.workers.states import LIVE, State, Worker


@dataclass(frozen=True, slots=True)
class Backoff:
    """What the recent failures leave open."""

    allowed: int | None = None  # how many may be submitted now; None: as many as wanted
    until: float | None = None  # when more may be
    stalled: str | None = None  # the reason for which somebody should look
    why: str = ""  # the last failure, in words
    on_trial: int = 0  # workers of which one has to be of use before more may come


def after(
    failures: Sequence[Failure],
    workers: Sequence[Worker],
    policy: Policy,
    now: float,
    succeeded_at: float = 0.0,
) -> Backoff:
    """What may be submitted for a pool with these failures, newest first.

    `succeeded_at`: when the youngest worker that was of use had started. What failed before counts no more.
    """
    streak = [failure for failure in failures if _counts(failure, succeeded_at, now)]
    if not streak:
        return Backoff()
    connected = any(contact.serves(worker, policy, now) for worker in workers)
    alike = Counter(failure.reason for failure in streak)
    events = [failure for failure in streak if failure_policy.of(failure.reason).penalty]
    stalled = None if connected else _stalled(events, policy)
    last = (events or streak)[0]
    why = last.message or last.reason
    until = max(_until(failure, alike[failure.reason], stalled, policy) for failure in streak)
    if until > now:
        return Backoff(0, until, stalled, why)
    if events and not connected:
        # A successor before its turn proves nothing yet.
        on_trial = sum(
            worker.state in LIVE and worker.state is not State.HELD and not worker.early for worker in workers
        )
        return Backoff(max(0, 1 - on_trial), None, stalled, why, on_trial)
    return Backoff(None, None, stalled, why)


def of_workers(failures: Iterable[Failure]) -> list[Failure]:
    """Those that say something about the next worker."""
    return [failure for failure in failures if failure.reason != reasons.ANCHOR_REMOVED]


def of_anchors(failures: Iterable[Failure]) -> list[Failure]:
    """Those that say something about the next anchor."""
    return [failure for failure in failures if failure.reason == reasons.ANCHOR_REMOVED]


def refused_until(at: float, times: int, policy: Policy) -> float:
    """When a submit that the access point refused, for so many times, may be tried again."""
    return at + _doubled(times, policy)


def _counts(failure: Failure, succeeded_at: float, now: float) -> bool:
    at = timestamps.read(failure.time)
    return at > succeeded_at and now - at < FORGET_SECONDS


def _until(failure: Failure, times: int, stalled: str | None, policy: Policy) -> float:
    follows = failure_policy.of(failure.reason)
    delay = policy.backoff_first_seconds if follows.pause else 0.0
    if follows.penalty:
        delay = _doubled(times, policy) if stalled is None else policy.backoff_last_seconds
    return timestamps.read(failure.time) + delay


def _doubled(times: int, policy: Policy) -> float:
    return timestamps.doubled(policy.backoff_first_seconds, times, policy.backoff_last_seconds)


def _stalled(events: Sequence[Failure], policy: Policy) -> str | None:
    """The reason for which nothing but a person helps, if any; each reason is counted by itself."""
    for reason in dict.fromkeys(failure.reason for failure in events):
        alike = [failure for failure in events if failure.reason == reason]
        follows = failure_policy.of(reason)
        machines = {failure.machine for failure in alike if failure.machine}
        if follows.events is not None and len(alike) >= follows.events:
            return reason
        if follows.machines is not None and len(machines) >= follows.machines:
            return reason
    counted = sum(failure_policy.of(failure.reason).breaker for failure in events)
    return reasons.WORKERS_KEEP_FAILING if counted >= policy.breaker_failures else None
