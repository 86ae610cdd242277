"""When the next workers may be submitted, after some ended badly.

Called by `plan`. The memory is `status.recentFailures` alone, so a restarted operator waits as long as the
one before. Each entry there is one *event* (`failures` merges workers that ended together), so five entries
are enough to count in.

    event -> pause (10 s, doubling) -> one worker on trial while none is connected -> it connects: all clear
                                                                                   -> it fails: next event
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import Policy, Refusal
from htcdask_operator.core.workers.states import LIVE, State, Worker


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """How a failure of some reason slows down what follows. The default doubles until the breaker trips."""

    penalty: bool = True  # counts towards doubling and the breaker
    pause: bool = True  # the next worker waits at least the first delay
    events: int | None = None  # so many in a row: nothing but a person helps
    machines: int | None = None  # the same on so many execute nodes: it is not the node


_FREE: Final = FailurePolicy(penalty=False, pause=False)
_PAUSE: Final = FailurePolicy(penalty=False)
_STOP: Final = FailurePolicy(events=1)

BY_REASON: Final[Mapping[str, FailurePolicy]] = {
    reasons.EVICTED: _FREE,
    reasons.RUN_TIME_OVER: _FREE,
    reasons.CONTACT_LOST: _FREE,
    reasons.MACHINE_FAILED: _PAUSE,
    reasons.NEVER_STARTED: _PAUSE,
    reasons.NEVER_SPOOLED: _PAUSE,
    reasons.BAD_IMAGE: FailurePolicy(machines=2),
    reasons.MACHINE_REFUSED: FailurePolicy(machines=3),
    reasons.OUT_OF_RESOURCES: FailurePolicy(events=3),
    reasons.REMOVED_BY_OTHERS: FailurePolicy(events=3),
    reasons.ACCESS_POINT_FILES: FailurePolicy(events=2),
    reasons.HELD: FailurePolicy(events=2),
    reasons.HELD_BY_POLICY: _STOP,
    reasons.HELD_BY_SITE: _STOP,
    reasons.CREDENTIAL_INVALID: _STOP,
    reasons.POLICY_BROKEN: _STOP,
}
_DEFAULT: Final = FailurePolicy()


@dataclass(frozen=True, slots=True)
class Backoff:
    """What the recent failures leave open."""

    allowed: int | None = None  # how many may be submitted now; None: as many as wanted
    until: float | None = None  # when more may be
    stalled: str | None = None  # the reason for which somebody should look
    why: str = ""  # the last failure, in words


def after(failures: Sequence[Failure], workers: Sequence[Worker], policy: Policy, now: float) -> Backoff:
    """What may be submitted for a pool with these failures, newest first."""
    streak = _since_last_success(failures, workers)
    if not streak:
        return Backoff()
    connected = any(worker.state is State.CONNECTED for worker in workers)
    events = [failure for failure in streak if _pace(failure).penalty]
    stalled = None if connected else _stalled(events, policy)
    why = _words((events or streak)[0])
    until = max(_until(failure, len(events), stalled, policy) for failure in streak)
    if until > now:
        return Backoff(0, until, stalled, why)
    if events and not connected:
        on_trial = sum(worker.state in LIVE and worker.state is not State.HELD for worker in workers)
        return Backoff(max(0, 1 - on_trial), None, stalled, why)
    return Backoff(None, None, stalled, why)


def refused_until(refusal: Refusal, policy: Policy) -> float:
    """When a submit that the access point refused may be tried again."""
    return refusal.at + _doubled(refusal.times, policy)


def _since_last_success(failures: Sequence[Failure], workers: Sequence[Worker]) -> list[Failure]:
    """A worker that started after a failure and is connected ends what came before it."""
    starts = [
        worker.job.started_at or worker.job.status_since
        for worker in workers
        if worker.state is State.CONNECTED
    ]
    success = max(starts, default=0.0)
    return [failure for failure in failures if timestamps.read(failure.time) > success]


def _until(failure: Failure, events: int, stalled: str | None, policy: Policy) -> float:
    pace = _pace(failure)
    delay = policy.backoff_first_seconds if pace.pause else 0.0
    if pace.penalty:
        delay = _doubled(events, policy) if stalled is None else policy.backoff_last_seconds
    return timestamps.read(failure.time) + delay


def _doubled(times: int, policy: Policy) -> float:
    return timestamps.doubled(policy.backoff_first_seconds, times, policy.backoff_last_seconds)


def _stalled(events: Sequence[Failure], policy: Policy) -> str | None:
    """The reason for which nothing but a person helps, if any: the newest events of one reason decide."""
    if not events:
        return None
    reason = events[0].reason
    alike = [failure for failure in events if failure.reason == reason]
    pace = _pace(events[0])
    machines = {failure.machine for failure in alike if failure.machine}
    if pace.events is not None and len(alike) >= pace.events:
        return reason
    if pace.machines is not None and len(machines) >= pace.machines:
        return reason
    # The status remembers five events: a breaker set higher could never trip.
    return reasons.WORKERS_KEEP_FAILING if len(events) >= min(policy.breaker_failures, 5) else None


def _words(failure: Failure) -> str:
    """The failure, with the last thing that the worker said."""
    lines = [line.strip() for line in (failure.log_tail or "").splitlines() if line.strip()]
    said = f" Its log ends with: {lines[-1][:300]}" if lines else ""
    return f"{failure.message or failure.reason}{said}"


def _pace(failure: Failure) -> FailurePolicy:
    return BY_REASON.get(failure.reason, _DEFAULT)
