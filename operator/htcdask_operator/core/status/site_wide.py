"""Trouble that many pools have for one reason: a silent access point, a full disk, a proxy that is gone.

Called by `reconcile/announce` with what all pools of the operator say: it is told once, to who runs the site,
and the pools' own Events about it are not written. Their statuses stay complete. What stands is a value.
"""

from __future__ import annotations

import enum
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_api import PoolStatus, status
from htcdask_operator.core import reasons, sanitize, timestamps
from htcdask_operator.core.counted import counted
from htcdask_operator.core.status.events import Event

POOLS: Final = 5
"""At least so many pools have the same trouble,"""
CLUSTERS: Final = 3
"""of at least so many clusters, and half of all pools that could have it;"""
USERS: Final = 3
"""or, of what a user may bring about alone, at least so many users, and half of all who could have it."""
KEPT_SECONDS: Final = 600.0
"""An Event that could not be posted for so long, and is true no more, is not posted any more."""
HOLD_SECONDS: Final = 30.0
"""For so long a pool's own Event waits for others that say the same: a thousand clusters need some of it."""

AGAIN_SECONDS: Final = 1800.0
"""So often is told again what stands: an API server drops Events after an hour."""

_RECENT: Final = 1200.0  # seconds for which a worker's end says what is wrong: tries are ten minutes apart
_CALM: Final = 120.0  # seconds without it, or it is not over: what flaps is one trouble
_LONGEST: Final = 500  # characters of the pools' own words
_PRINTED: Final = " It said: "  # before a worker's own words, which are its user's
_NAMED: Final = re.compile(r"\b([Ww]orker) [a-z][0-9a-z]{11}\b")

EVERYBODYS: Final = frozenset({reasons.CONDOR_UNREACHABLE, reasons.ANOTHER_OPERATOR})
"""A pool without workers has these too, and no user brings them about: pools are counted, not users."""
REASONS: Final = EVERYBODYS | {
    *(reasons.SUBMIT_REFUSED, reasons.JOBS_NOT_SHOWN, reasons.ACCESS_POINT_FILES, reasons.TRANSFER_FAILED),
    *(reasons.CREDENTIAL_INVALID, reasons.HELD_BY_SITE, reasons.HELD_BY_POLICY, reasons.POLICY_BROKEN),
    *(reasons.WORKER_FAILED, reasons.WORKERS_KEEP_FAILING, reasons.NEVER_STARTED, reasons.BAD_IMAGE),
    *(reasons.MACHINE_REFUSED, reasons.MACHINE_FAILED, reasons.CONTACT_LOST, reasons.SCHEDULER_UNREACHABLE),
    *(reasons.REMOVED_BY_OTHERS, reasons.ANCHOR_REMOVED, reasons.NEVER_SPOOLED),
}
"""What may have one cause outside of the pools. How a worker ends by its own doing is not among these."""
_SAME: Final = {reasons.CONDOR_IDENTITY_UNKNOWN: reasons.CONDOR_UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Seen:
    """One pool, as its last plan has it."""

    cluster: str
    user: str
    status: PoolStatus
    lately: Mapping[str, str] = field(default_factory=dict)  # what it had, by its Events that are kept back


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands."""

    since: float
    seen_at: float
    told_at: float
    pools: int  # at the most
    text: str  # in the words of most


class Fate(enum.Enum):
    """Of a pool's Event that was kept back."""

    WAIT = "wait"
    POST = "post"
    DROP = "drop"


def of(reason: str) -> str | None:
    """As which trouble of a site this reason counts, if it can be one."""
    known = _SAME.get(reason, reason)
    return known if known in REASONS else None


def lately(kept: Iterable[Event]) -> Mapping[str, str]:
    """What a pool with these Events has had in the last half minute, and in which words; "": it is over."""
    found: dict[str, str] = {}
    for event in kept:
        if (known := of(event.about)) is not None:
            found[known] = event.message if event.kind == "Warning" else found.get(known, "")
    return found


def said_by(pool: PoolStatus, now: float) -> Mapping[str, str]:
    """What this pool says that may be everybody's trouble, and in which words."""
    told = [(condition.reason, condition.message) for condition in pool.conditions if _is_bad(condition)]
    if pool.desired_replicas and not pool.connected:  # where one lives, others ended for their own reasons
        recent = (one for one in pool.recent_failures if now - timestamps.read(one.time) < _RECENT)
        told += [(failure.reason, failure.message) for failure in recent]
    found: dict[str, str] = {}
    for reason, message in told:
        if (known := of(reason)) is not None:
            found.setdefault(known, message)
    return found


def look(
    before: Mapping[str, Trouble], pools: Sequence[Seen], now: float
) -> tuple[Mapping[str, Trouble], tuple[Event, ...]]:
    """What stands now, by its reason, and what to tell who runs the site.

    What was over before anybody looked, or while there was no operator, begins and ends like any other: else
    each pool would tell of it. Pools of which nothing is left have no trouble.
    """
    pools = [pool for pool in pools if not pool.status.has_ended]
    found: dict[str, list[tuple[Seen, str]]] = {reason: [] for reason in before}
    still: dict[str, list[Seen]] = {reason: [] for reason in before}
    for pool in pools:
        says = said_by(pool.status, now)
        for reason in says:
            still.setdefault(reason, []).append(pool)
        for reason, text in {**pool.lately, **says}.items():
            found.setdefault(reason, []).append((pool, text))
    after, told = dict(before), []
    for reason, them in sorted(found.items()):
        known, affected = before.get(reason), [pool for pool, _ in them]
        able = _able(pools, reason)
        if known is None:
            if _begins(reason, affected, able):
                after[reason] = Trouble(now, now, now, len(them), _words(reason, them))
                told.append(_began(reason, after[reason], affected, len(able), now))
        elif _lasts(reason, still[reason], able):
            most = max(known.pools, len(still[reason]))
            after[reason] = replace(known, seen_at=now, pools=most)
            if now - known.told_at >= AGAIN_SECONDS:
                after[reason] = replace(after[reason], told_at=now, text=_words(reason, them))
                told.append(_stands(reason, after[reason], len(still[reason]), now))
        elif now - known.seen_at >= _CALM:
            del after[reason]
            told.append(_over(reason, known))
    return after, tuple(told)


def fate(
    event: Event,
    kept_at: float,
    before: Mapping[str, Trouble],
    standing: Mapping[str, Trouble],
    says: Mapping[str, str],
    now: float,
) -> Fate:
    """What becomes of this Event of a pool that `says` this now. `before`: what stood until this look."""
    reason = of(event.about)
    if reason in standing:
        return Fate.WAIT
    if reason in before:  # it is over: who has it still is alone with it, and is told
        return Fate.POST if event.kind == "Warning" and reason in says else Fate.DROP
    if now - kept_at >= KEPT_SECONDS and reason is not None and reason not in says:
        return Fate.DROP
    return Fate.POST if now - kept_at >= HOLD_SECONDS else Fate.WAIT


def _is_bad(condition: status.Condition) -> bool:
    if condition.type == status.READY:
        return condition.status == "False"
    if condition.type == status.STALLED:
        return condition.status == "True"
    return condition.type == status.CONDOR_REACHABLE and condition.status != "True"


def _able(pools: Sequence[Seen], reason: str) -> Sequence[Seen]:
    """Those that could have this trouble."""
    if reason in EVERYBODYS:
        return pools
    return [pool for pool in pools if pool.status.desired_replicas or pool.status.replicas]


def _begins(reason: str, affected: Sequence[Seen], able: Sequence[Seen]) -> bool:
    """A silent access point is nobody's mistake; one user's are not the site's, in however many pools."""
    if len(affected) < POOLS or len({pool.cluster for pool in affected}) < CLUSTERS:
        return False
    if reason in EVERYBODYS:
        return 2 * len(affected) >= len(able)
    users = _users(affected)
    return len(users) >= USERS and 2 * len(users) >= len(_users(able))


def _lasts(reason: str, affected: Sequence[Seen], able: Sequence[Seen]) -> bool:
    """While a quarter has it. A user alone keeps none standing that mutes the others."""
    if reason in EVERYBODYS:
        return bool(affected) and 4 * len(affected) >= len(able)
    users = _users(affected)
    return len(users) > 1 and 4 * len(users) >= len(_users(able))


def _users(pools: Sequence[Seen]) -> frozenset[str]:
    """Whose they are, as far as it is known."""
    return frozenset(pool.user for pool in pools if pool.user)


def _words(reason: str, them: Sequence[tuple[Seen, str]]) -> str:
    """Those of most, and of what a user may bring about only those of several: one could say anything."""
    if not any(text for _, text in them):
        return "it was over before it was seen."
    if reason in EVERYBODYS:
        return Counter(text for _, text in them if text).most_common(1)[0][0]
    by_user = {(pool.user, _nobodys(text)) for pool, text in them if text and pool.user}
    told = Counter(text for _, text in by_user)
    most, count = max(sorted(told.items()), key=lambda one: one[1], default=("", 0))
    return most if count >= USERS else f"no {USERS} of them in the same words."


def _nobodys(text: str) -> str:
    """Without what one worker printed, and without its name, in which the same words of others differ."""
    return _NAMED.sub(r"\1", text.partition(_PRINTED)[0])


def _began(reason: str, trouble: Trouble, affected: Sequence[Seen], others: int, now: float) -> Event:
    users = counted(len({pool.user for pool in affected}), "user")
    message = (
        f"{trouble.pools} of {max(others, trouble.pools)} pools, of {users}, have told of {reason} by "
        f"{timestamps.written(now)}: {sanitize.line(trouble.text, _LONGEST)} Their own Events about it are "
        "not written while it lasts; their statuses say it."
    )
    return Event("Warning", reason, message)


def _stands(reason: str, trouble: Trouble, affected: int, now: float) -> Event:
    message = (
        f"{reason} stands, by {timestamps.written(now)} for {timestamps.lasted(now - trouble.since)}: "
        f"{counted(affected, 'pool')} now, {trouble.pools} at the most. "
        f"{sanitize.line(trouble.text, _LONGEST)} Their own Events about it are "
        "not written while it lasts; their statuses say it."
    )
    return Event("Warning", reason, message)


def _over(reason: str, trouble: Trouble) -> Event:
    lasted = timestamps.lasted(trouble.seen_at - trouble.since)
    message = (
        f"{reason} is over. It was seen for {lasted}, from {timestamps.written(trouble.since)} on, of "
        f"{counted(trouble.pools, 'pool')} at the most. It was: {sanitize.line(trouble.text, _LONGEST)}"
    )
    return Event("Normal", reasons.SITE_TROUBLE_OVER, message)
