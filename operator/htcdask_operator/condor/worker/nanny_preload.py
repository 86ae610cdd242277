"""Loaded by a nanny (`--preload-nanny`): it finds the scheduler through the proxy, and hands over on SIGTERM.

Runs on the execute node, where there is no HTCDask: distributed and the standard library only.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any

import dask
from distributed.preloading import process_preloads

_log = logging.getLogger("distributed.htcdask")
_others: list[Any] = []

# bundle.py sets them at the end of this file. HTCondor's SIGKILL comes after both times together.
SERVER_NAME = ""  # by which the proxy knows the scheduler
RETIRE_SECONDS = 0.0  # for handing data over after SIGTERM
CLOSE_SECONDS = 0.0  # for the end of the worker's process after that
WORKER_PRELOADS: list[str] = []  # of the site
NANNY_PRELOADS: list[str] = []


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
    _add_others_to_worker(nanny)
    await _start_others(nanny)


async def dask_teardown(nanny: Any) -> None:
    """As Dask would have ended them."""
    for preload in reversed(_others):
        await preload.teardown()


def _add_others_to_worker(nanny: Any) -> None:
    """The site's preloads, then those of the configuration, in whose place Dask takes its command line's."""
    names = dask.config.get("distributed.worker.preload") or []
    names = [names] if isinstance(names, str) else list(names)
    arguments = list(dask.config.get("distributed.worker.preload-argv") or [])
    if not arguments or isinstance(arguments[0], str):
        arguments = [arguments for _ in names]
    before = [*nanny.preload, *WORKER_PRELOADS]
    nanny.preload_argv = [*([] for _ in before), *arguments]
    nanny.preload = [*before, *names]


async def _start_others(nanny: Any) -> None:
    """The nanny's own, likewise."""
    try:
        _others.extend(process_preloads(nanny, NANNY_PRELOADS, [], file_dir=nanny.local_directory))
        _others.extend(
            process_preloads(
                nanny,
                dask.config.get("distributed.nanny.preload") or [],
                dask.config.get("distributed.nanny.preload-argv") or [],
                file_dir=nanny.local_directory,
            )
        )
    except Exception:
        _log.critical("A preload of the configuration cannot be loaded, so the nanny ends", exc_info=True)
        sys.exit(1)  # as Dask does; it would go on after an exception of this preload
    for preload in _others:
        try:
            await preload.start()
        except Exception:
            _log.exception("Failed to start preload: %s", preload.name)
