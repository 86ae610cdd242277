"""Kubernetes Events of a pool: what changed between two statuses that a person would want to hear of.

Called by `publish` after the new status was written. Pure, and quiet: the same status twice says nothing, and
a pool that changes without end says no more than its budget allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from htcdask_api import Condition, PoolStatus, status
from htcdask_operator.core import reasons, timestamps, token_bucket
from htcdask_operator.core.token_bucket import Spent

_LONGEST: Final = 800  # of the last message before a silence: the API server takes 1024 bytes
_BAD_WHEN_FALSE = (status.CLUSTER_ACTIVE, status.CONDOR_REACHABLE, status.HEARTBEAT_FITS)


@dataclass(frozen=True, slots=True)
class Event:
    """One Event on the pool."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    about: str = ""  # the reason for which something is, or was, wrong: it may be everybody's


def between(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    """What to tell about the step from `old` to `new`, in the order in which one would tell it."""
    return (*_scaled(old, new), *_failed(old, new), *_memory(old, new), *_conditions(old, new))


def _is_new_road(before: Condition | None, now: Condition) -> bool:
    """Whether workers get their files in another way from now on, and slower."""
    new = before is None or before.reason != now.reason
    return new and now.reason == reasons.FILES_SPOOLED_WITH_WORKERS


def within(told: Sequence[Event], spent: Spent, now: float) -> tuple[tuple[Event, ...], Spent]:
    """Those that may be posted now; the last one says until when the others are withheld."""
    posted = []
    for event in told[: max(0, spent.left(token_bucket.EVENTS, now))]:
        spent = spent.one_more(token_bucket.EVENTS, now)
        if not spent.left(token_bucket.EVENTS, now):
            next_at = timestamps.written(spent.next_at(token_bucket.EVENTS, now))
            rest = f" More Events of this pool are withheld until {next_at}: read its status."
            event = replace(event, message=event.message[:_LONGEST] + rest)
        posted.append(event)
    return tuple(posted), spent


def _scaled(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    if old.desired_replicas == new.desired_replicas:
        return ()
    message = f"Workers wanted: {new.desired_replicas} instead of {old.desired_replicas}."
    return (Event("Normal", reasons.SCALED, message),)


def _failed(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    """Once its last lines have come, or will not: what they say is in the message."""
    known = {failure.worker for failure in old.recent_failures if failure.log_tail is not None}
    fresh = [
        failure
        for failure in reversed(new.recent_failures)
        if failure.worker not in known and failure.log_tail is not None
    ]
    return tuple(Event("Warning", failure.reason, failure.message, failure.reason) for failure in fresh)


def _memory(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    """Workers request more than before."""
    before, after = old.memory_request, new.memory_request
    if after is None or (before is not None and after.request_mib <= before.request_mib):
        return ()
    return (Event("Normal", reasons.MEMORY_RAISED, after.message),)


def _conditions(old: PoolStatus, new: PoolStatus) -> tuple[Event, ...]:
    told = []
    for condition in new.conditions:
        if new.has_ended and condition.type == status.CONDOR_REACHABLE:
            continue  # it needs none
        before = old.condition(condition.type)
        was = before.status if before is not None else None
        bad = Event("Warning", condition.reason, condition.message, condition.reason)
        since = before.reason if before is not None else ""
        if condition.type == status.READY:
            if condition.status == "True" and was != "True":
                told.append(Event("Normal", condition.reason, condition.message, since))
        elif condition.type == status.STALLED:
            new_reason = before is None or before.reason != condition.reason
            if condition.status == "True" and (was != "True" or new_reason):
                told.append(bad)
        elif condition.type in _BAD_WHEN_FALSE:
            if condition.status == "False" and was != "False":
                ended = condition.reason == reasons.CLUSTER_INACTIVE  # as all do, mostly by their users' wish
                told.append(replace(bad, kind="Normal") if ended else bad)
            elif condition.status == "True" and (was == "False" or _is_new_road(before, condition)):
                told.append(Event("Normal", condition.reason, condition.message or "It is back.", since))
    return tuple(told)
