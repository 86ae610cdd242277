"""Run the operator's long-lived tasks together: when one ends, all end, and the process says which and why.

Used by `__main__`. A loop that died quietly inside a living process is the one failure that nobody notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from htcdask_operator.core import mistake

_log = logging.getLogger(__name__)


async def supervise(services: Mapping[str, Coroutine[Any, Any, None]], stop: asyncio.Event) -> bool:
    """Run all services until `stop` is set. False when one ended before that, which it never should."""
    tasks = [asyncio.create_task(service, name=name) for name, service in services.items()]
    stopping = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
    for task in (stopping, *tasks):
        task.cancel()
    await asyncio.gather(stopping, *tasks, return_exceptions=True)
    if stop.is_set():
        _log.info("Ended, as asked")
        return True
    for task in done - {stopping}:
        error = None if task.cancelled() else task.exception()
        _log.critical("The task %r ended, so the operator ends: %s", task.get_name(), _words(error))
    return False


def _words(error: BaseException | None) -> str:
    """Why it ended. Only our own errors are quoted: others may tell what a user wrote."""
    if error is None:
        return "without an error"
    ours = type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
    return str(error) if ours or isinstance(error, OSError) else str(mistake.of(error))
