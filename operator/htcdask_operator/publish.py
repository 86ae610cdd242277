"""Write what changed: a pool's status once a cycle, then the Events that the change deserves.

Called by `reconcile` at the end of a cycle. Nothing is written when nothing changed, so a status does not
wake anybody who waits for news; and what changes without end is written no more often than `budget` allows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from htcdask_api import PoolStatus
from htcdask_operator.core import budget
from htcdask_operator.core.budget import Publicity
from htcdask_operator.core.events import Event, events, within
from htcdask_operator.core.model import PoolFacts, PoolUid
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube
from htcdask_operator.memory import Memory

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """What was spent of the pool's budget; and if the status has to wait, until when."""

    publicity: Publicity
    until: float | None = None


async def publish_all(
    kube: Kube, pools: Mapping[PoolUid, PoolFacts], memory: Memory, now: float
) -> float | None:
    """Write what was decided, and forget it once it is written. When to come again, if one has to wait."""
    waits = []
    for uid, status in list(memory.statuses.items()):
        spent = await post(kube, pools[uid], memory.events.pop(uid, ()), memory.spent(uid), now)
        memory.publicity[uid] = spent
        published = await publish(kube, pools[uid], status, spent, now)
        memory.publicity[uid] = published.publicity
        if published.until is None:
            del memory.statuses[uid]
        else:
            waits.append(published.until)
    return min(waits, default=None)


async def publish(
    kube: Kube, pool: PoolFacts, status: PoolStatus, publicity: Publicity, now: float
) -> Published:
    """Make `status` the pool's, unless it has to wait. KubeError if it could not be written."""
    if status == pool.status:
        return Published(publicity)
    if not publicity.statuses.left(budget.STATUSES, now):
        return Published(publicity, publicity.statuses.next_at(budget.STATUSES, now))
    try:
        await kube.publish(pool, status)
    except KubeError as error:
        if error.gone:
            return Published(publicity)  # nobody is left to read it
        raise
    publicity = replace(publicity, statuses=publicity.statuses.one_more(budget.STATUSES, now))
    return Published(await post(kube, pool, events(pool.status, status), publicity, now))


async def post(
    kube: Kube, pool: PoolFacts, told: Sequence[Event], publicity: Publicity, now: float
) -> Publicity:
    """Post the Events that the budget allows."""
    posted, spent = within(told, publicity.events, now)
    for event in posted:
        try:
            await kube.post_event(pool, event.kind, event.reason, event.message)
        except KubeError as error:
            # The status says the same; an Event is a courtesy.
            _log.warning("Pool %s: Event %s could not be posted: %s", pool.name, event.reason, error)
    return replace(publicity, events=spent)
