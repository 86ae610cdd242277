"""Write what changed: a pool's status once a cycle, then the Events that the change deserves.

Called by `reconcile` at the end of a cycle. Nothing is written when nothing changed, so a status does not
wake anybody who waits for news.
"""

from __future__ import annotations

import logging

from htcdask_api import PoolStatus
from htcdask_operator.core.events import events
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Kube

_log = logging.getLogger(__name__)


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
