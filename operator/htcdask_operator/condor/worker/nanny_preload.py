"""Loaded by a nanny (`--preload-nanny`): it finds the scheduler through the proxy, and hands over on SIGTERM.

Runs on the execute node, where there is no HTCDask: distributed and the standard library only.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
from distributed.preloading import process_preloads

_log = logging.getLogger("distributed.htcdask")
_ends: list[tuple[str, Callable[[], Any]]] = []

# bundle.py sets them at the end of this file. HTCondor's SIGKILL comes after both times together.
SERVER_NAME = ""  # by which the proxy knows the scheduler
RETIRE_SECONDS = 0.0  # for handing data over after SIGTERM
CLOSE_SECONDS = 0.0  # for the end of the worker's process after that
NANNY_PRELOADS: list[str] = []  # of the site


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
                if not await asyncio.wait_for(retire, RETIRE_SECONDS):
                    _log.error("No other worker can take its data; closing without")
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
    await _start_others(nanny)


async def dask_teardown(nanny: Any) -> None:
    """As Dask would have ended them."""
    for name, end in reversed(_ends):
        try:
            ended = end()
            if inspect.isawaitable(ended):
                await ended
        except Exception:
            _log.exception("Failed to tear down preload: %s", name)


async def _start_others(nanny: Any) -> None:
    """The site's preloads, then those of the configuration, in whose place Dask takes its command line's.

    The site's are set up before the others are loaded: of two files of one name Python knows the last.
    """
    others = dask.config.get("distributed.nanny.preload") or []
    arguments = dask.config.get("distributed.nanny.preload-argv") or []
    for whose, names, argv in (("the site", NANNY_PRELOADS, []), ("the configuration", others, arguments)):
        folder = Path(nanny.local_directory, f"preload of {whose}")
        try:
            folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
            loaded = list(process_preloads(nanny, names, argv, file_dir=str(folder)))
        except Exception:
            _log.critical("A preload of %s cannot be loaded, so the nanny ends", whose, exc_info=True)
            sys.exit(1)  # as Dask does; it would go on after an exception of this preload
        for preload in loaded:
            end = getattr(preload.module, "dask_teardown", None)
            if end is not None:
                _ends.append((preload.name, functools.partial(end, nanny)))
            try:
                await preload.start()
            except Exception:
                _log.exception("Failed to start preload: %s", preload.name)
