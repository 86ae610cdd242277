"""Write what changed: a pool's status once a cycle, then the Events that the change deserves.

Called by `reconcile` at the end of a cycle. Nothing is written when nothing changed, so a status does not
wake anybody who waits for news.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from htcdask_api import PoolStatus
from htcdask_operator.core import mistake, sanitize, setback
from htcdask_operator.core.events import events
from htcdask_operator.core.model import PoolFacts, PoolUid
from htcdask_operator.core.setback import Setback
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube
from htcdask_operator.memory import Memory

_log = logging.getLogger(__name__)

_LONGEST = 1000  # characters of a refusal in the log


async def publish_all(
    kube: Kube, pools: Mapping[PoolUid, PoolFacts], memory: Memory, now: float
) -> float | None:
    """Write what was decided of every pool; when to write again what was refused.

    A status that the API server refuses concerns its pool alone. KubeError if the API server does not answer.
    """
    for uid in sorted(memory.statuses, key=lambda uid: uid in memory.unwritten):
        last = memory.unwritten.get(uid)
        if last is not None and setback.in_next_cycle(last, now).waits:
            continue
        try:
            await publish(kube, pools[uid], memory.statuses[uid])
        except KubeError as error:
            _refused(memory, pools[uid], str(error), now)
            if error.status is None:
                raise
        except Exception as error:
            _refused(memory, pools[uid], str(mistake.of(error)), now)
        else:
            del memory.statuses[uid]  # until it is written, it is kept
            memory.unwritten.pop(uid, None)
    return min((setback.wake_at(last, now) for last in memory.unwritten.values()), default=None)


def _refused(memory: Memory, pool: PoolFacts, why: str, now: float) -> None:
    """Said once, not at every try."""
    last = memory.unwritten.get(pool.uid)
    if last is None or last.why != why:
        said = sanitize.line(why, _LONGEST)
        _log.warning("Pool %s: its status could not be written, and is kept: %s", pool.name, said)
    memory.unwritten[pool.uid] = setback.one_more(last, Setback(why, now))


async def publish(kube: Kube, pool: PoolFacts, status: PoolStatus) -> bool:
    """Make `status` the pool's; whether anything had to be written. KubeError if it could not be."""
    if status == pool.status:
        return False
    try:
        await kube.publish(pool, status)
    except KubeError as error:
        if error.gone:
            return False  # nobody is left to read it
        raise
    for event in events(pool.status, status):
        try:
            await kube.post_event(pool, event.kind, event.reason, event.message)
        except KubeError as error:
            # The status says the same; an Event is a courtesy.
            _log.warning("Pool %s: Event %s could not be posted: %s", pool.name, event.reason, error)
    return True
