"""Write what changed: a pool's status once a cycle, then the Events that the change deserves.

Called by `cycle` at the end of a cycle. Nothing is written when nothing changed, so a status does not
wake anybody who waits for news; and what changes without end is written as often as `token_bucket` allows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from htcdask_api import PoolStatus
from htcdask_operator.core import mistake, sanitize, setback, token_bucket
from htcdask_operator.core.model import PoolFacts, PoolUid
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.status.events import Event, between, within
from htcdask_operator.core.token_bucket import Publicity
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube
from htcdask_operator.reconcile.unpublished import Unpublished

_log = logging.getLogger(__name__)

_LONGEST = 1000  # characters of a refusal in the log

KeepBack = Callable[[PoolFacts, Event, float], bool]


def _never(_pool: PoolFacts, _event: Event, _now: float) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Published:
    """What was spent of the pool's budget; and if the status has to wait, until when."""

    publicity: Publicity
    until: float | None = None


async def publish_all(
    kube: Kube,
    pools: Mapping[PoolUid, PoolFacts],
    waiting: Unpublished,
    now: float,
    keep_back: KeepBack = _never,
) -> float | None:
    """Write what was decided of every pool; when to come again for what was refused or has to wait.

    `keep_back`: takes an Event that may be about everybody's trouble, and is posted later, or never.

    A status that the API server refuses concerns its pool alone. KubeError if the API server does not answer.
    """
    waits: list[float] = []
    for uid in sorted(waiting.statuses, key=lambda uid: uid in waiting.refused):
        last = waiting.refused.get(uid)
        if last is not None and setback.in_next_cycle(last, now).waits:
            continue
        try:
            until = await _publish_one(kube, pools[uid], waiting, now, keep_back)
        except KubeError as error:
            _refused(waiting, pools[uid], str(error), now)
            if error.status is None:
                raise
        except Exception as error:
            _refused(waiting, pools[uid], str(mistake.of(error)), now)
        else:
            waiting.refused.pop(uid, None)
            if until is None:
                del waiting.statuses[uid]  # until it is written, it is kept
            else:
                waits.append(until)
    waits += [setback.wake_at(last, now) for last in waiting.refused.values()]
    return min(waits, default=None)


async def _publish_one(
    kube: Kube, pool: PoolFacts, waiting: Unpublished, now: float, keep_back: KeepBack
) -> float | None:
    spent = await post(kube, pool, waiting.events.pop(pool.uid, ()), waiting.spent(pool.uid), now, keep_back)
    waiting.publicity[pool.uid] = spent
    published = await publish(kube, pool, waiting.statuses[pool.uid], spent, now, keep_back)
    waiting.publicity[pool.uid] = published.publicity
    return published.until


def _refused(waiting: Unpublished, pool: PoolFacts, why: str, now: float) -> None:
    """Said once, not at every try."""
    last = waiting.refused.get(pool.uid)
    if last is None or last.why != why:
        said = sanitize.line(why, _LONGEST)
        _log.warning("Pool %s: its status could not be written, and is kept: %s", pool.name, said)
    waiting.refused[pool.uid] = setback.one_more(last, Setback(why, now))


async def publish(
    kube: Kube,
    pool: PoolFacts,
    status: PoolStatus,
    publicity: Publicity,
    now: float,
    keep_back: KeepBack = _never,
) -> Published:
    """Make `status` the pool's, unless it has to wait. KubeError if it could not be written."""
    if status == pool.status:
        return Published(publicity)
    if not publicity.statuses.left(token_bucket.STATUSES, now):
        return Published(publicity, publicity.statuses.next_at(token_bucket.STATUSES, now))
    try:
        await kube.publish(pool, status)
    except KubeError as error:
        if error.gone:
            return Published(publicity)  # nobody is left to read it
        raise
    publicity = replace(publicity, statuses=publicity.statuses.one_more(token_bucket.STATUSES, now))
    return Published(await post(kube, pool, between(pool.status, status), publicity, now, keep_back))


async def post(
    kube: Kube,
    pool: PoolFacts,
    told: Sequence[Event],
    publicity: Publicity,
    now: float,
    keep_back: KeepBack = _never,
) -> Publicity:
    """Post the Events that the budget allows."""
    posted, spent = within(told, publicity.events, now)
    for event in posted:
        if keep_back(pool, event, now):
            continue
        try:
            await kube.post_event(pool, event.kind, event.reason, event.message)
        except KubeError as error:
            # The status says the same; an Event is a courtesy.
            _log.warning("Pool %s: Event %s could not be posted: %s", pool.name, event.reason, error)
    return replace(publicity, events=spent)
