"""Loaded by a worker without a nanny (`--preload`): SIGTERM makes it hand over its data before it goes.

Runs on the execute node, where there is no HTCDask: distributed and the standard library only.
"""

import asyncio
import logging
import signal
from typing import Any

_log = logging.getLogger("distributed.htcdask")
_PATIENCE = 25.0  # HTCondor sends SIGKILL after job_max_vacate_time


async def dask_setup(worker: Any) -> None:
    """Take SIGTERM over from distributed, whose own handler closes without handing anything over."""
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()

    async def close() -> None:
        try:
            await asyncio.wait_for(worker.close_gracefully(), _PATIENCE)
        except Exception:
            _log.exception("No graceful end; closing at once")
            await worker.close()

    def begin() -> None:
        if not closing:
            _log.info("SIGTERM: handing over data and closing")
            closing.add(loop.create_task(close()))

    # Once the command line has installed its own handler.
    loop.call_soon(loop.add_signal_handler, signal.SIGTERM, begin)
