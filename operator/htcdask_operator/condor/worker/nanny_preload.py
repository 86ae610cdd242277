"""Loaded by a nanny (`--preload-nanny`): it finds the scheduler through the proxy, and hands over on SIGTERM.

Runs on the execute node, where there is no HTCDask: distributed and the standard library only.
"""

import asyncio
import logging
import signal
from typing import Any

_log = logging.getLogger("distributed.htcdask")

# bundle.py sets them at the end of this file. HTCondor's SIGKILL comes after both times together.
SERVER_NAME = ""  # by which the proxy knows the scheduler
RETIRE_SECONDS = 0.0  # for handing data over after SIGTERM
CLOSE_SECONDS = 0.0  # for the end of the worker's process after that


async def dask_setup(nanny: Any) -> None:
    """Give the nanny the name that --scheduler-sni gives to its worker only, and take SIGTERM over."""
    nanny.connection_args["server_hostname"] = SERVER_NAME
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()

    async def close() -> None:
        try:
            if nanny.worker_address:
                # By the scheduler: the worker process itself must keep the default SIGTERM, with which
                # the nanny ends and restarts it when it exceeds its memory.
                retire = nanny.scheduler.retire_workers(
                    workers=[nanny.worker_address], close_workers=True, remove=True
                )
                await asyncio.wait_for(retire, RETIRE_SECONDS)
        except Exception:
            _log.exception("No graceful end; closing at once")
        await nanny.close(timeout=CLOSE_SECONDS)

    def begin() -> None:
        if not closing:
            _log.info("SIGTERM: handing over data and closing")
            nanny.close_gracefully()  # a worker that ends now is not to be restarted
            closing.add(loop.create_task(close()))

    # Once the command line has installed its own handler.
    loop.call_soon(loop.add_signal_handler, signal.SIGTERM, begin)
