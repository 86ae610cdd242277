"""Loaded by every worker (`--preload`): the scheduler's name for its clients too, and a graceful end.

Runs on the execute node, where there is no HTCDask: distributed and the standard library only.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
from distributed.preloading import process_preloads
from distributed.security import Security

_log = logging.getLogger("distributed.htcdask")
_ends: list[tuple[str, Callable[[], Any]]] = []
# A loop keeps no task alive.
_retiring: set[asyncio.Task[None]] = set()
_closing: set[asyncio.Task[None]] = set()

AGAIN_SECONDS = 5.0
"""So long after a retirement that failed, or found nobody, it is tried again."""

# bundle.py sets them at the end of this file. HTCondor's SIGKILL comes after both times together.
SERVER_NAME = ""  # by which the proxy knows the scheduler
RETIRE_SECONDS = 0.0  # for handing data over after SIGTERM
CLOSE_SECONDS = 0.0  # for closing after that
WORKER_PRELOADS: list[str] = []  # of the site
# And the wrapper this one, where there is such a time: in seconds since the epoch.
RETIRES_AT = 0


class _NamedSecurity(Security):  # type: ignore[misc]
    """Every connection names the scheduler to the proxy; --scheduler-sni names it in the first only."""

    __slots__ = ()

    def get_connection_args(self, role: str) -> dict[str, Any]:
        args: dict[str, Any] = super().get_connection_args(role)
        return {**args, "server_hostname": SERVER_NAME}


async def dask_setup(worker: Any) -> None:
    """Prepare the worker: `get_client()` in its tasks goes through the proxy, SIGTERM loses no data."""
    worker.security.__class__ = _NamedSecurity
    if worker.nanny is None:  # else SIGTERM is the nanny's word to a worker that exceeds its memory
        _close_gracefully_on_sigterm(worker)
    if RETIRES_AT:
        _retire_in_time(worker)
    await _start_others(worker)


async def dask_teardown(worker: Any) -> None:
    """As Dask would have ended them."""
    for name, end in reversed(_ends):
        try:
            ended = end()
            if inspect.isawaitable(ended):
                await ended
        except Exception:
            _log.exception("Failed to tear down preload: %s", name)


async def _start_others(worker: Any) -> None:
    """The site's preloads, then those of the configuration, in whose place Dask takes its command line's.

    The site's are set up before the others are loaded: of two files of one name Python knows the last.
    """
    others = dask.config.get("distributed.worker.preload") or []
    arguments = dask.config.get("distributed.worker.preload-argv") or []
    for whose, names, argv in (("the site", WORKER_PRELOADS, []), ("the configuration", others, arguments)):
        folder = Path(worker.local_directory, f"preload of {whose}")
        try:
            folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
            loaded = list(process_preloads(worker, names, argv, file_dir=str(folder)))
        except Exception:
            _log.critical("A preload of %s cannot be loaded, so the worker ends", whose, exc_info=True)
            # As Dask does; it would go on after an exception of this preload.
            if worker.nanny is None:
                sys.exit(1)
            logging.shutdown()
            os._exit(1)  # or what the process says of its end hides the cause
        for preload in loaded:
            end = getattr(preload.module, "dask_teardown", None)
            if end is not None:
                _ends.append((preload.name, functools.partial(end, worker)))
            try:
                await preload.start()
            except Exception:
                _log.exception("Failed to start preload: %s", preload.name)


def _retire_in_time(worker: Any) -> None:
    """As Dask's own --lifetime, which a restarted process would begin anew, and a failure would end."""

    async def retire() -> None:
        await asyncio.sleep(max(0.0, RETIRES_AT - time.time()))
        _log.info("Its time is over: handing over data and closing")
        try:
            await asyncio.wait_for(_until_handed_over(worker), RETIRE_SECONDS)
        except asyncio.TimeoutError:  # noqa: UP041  (another one before Python 3.11)
            _log.error("Nobody took its data in %g s; closing without", RETIRE_SECONDS)
        # A close that is broken off never ends: it is a task of its own, which SIGTERM lets go on.
        _closing.add(loop.create_task(_close(worker)))

    loop = asyncio.get_running_loop()
    _retiring.add(loop.create_task(retire()))


async def _until_handed_over(worker: Any) -> None:
    """The others may be full or paused for a moment, and a successor comes half a minute later."""
    while True:
        try:
            if await _hand_over(worker):
                return
            _log.warning("No other worker can take its data now; it is tried again")
        except Exception:
            _log.exception("Nothing could be handed over; it is tried again")
        await asyncio.sleep(AGAIN_SECONDS)


async def _hand_over(worker: Any) -> bool:
    """The scheduler gives its tasks and data to others; False: nobody can take them, so it stays."""
    retire = worker.scheduler.retire_workers
    return bool(await retire(workers=[worker.address], close_workers=False, remove=True))


async def _close(worker: Any) -> None:
    """A task that still runs has been given to another worker: nobody waits for it here."""
    # The scheduler's word that it runs on, as nobody can take its data, may come when it closes already.
    # Distributed then closes it a second time, and the two wait for each other for half a minute.
    worker.stream_handlers["worker-status-change"] = lambda **message: None
    await worker.close(timeout=CLOSE_SECONDS, executor_wait=False)


def _close_gracefully_on_sigterm(worker: Any) -> None:
    """Distributed's own handler closes without handing anything over."""
    loop = asyncio.get_running_loop()

    async def close() -> None:
        # Once: the last worker of a cluster that ends would wait for nobody.
        try:
            if not await asyncio.wait_for(_hand_over(worker), RETIRE_SECONDS):
                _log.error("No other worker can take its data; closing without")
        except Exception:
            _log.exception("No graceful end; closing at once")
        await _close(worker)

    def begin() -> None:
        if not _closing:
            for retirement in _retiring:
                retirement.cancel()
            _log.info("SIGTERM: handing over data and closing")
            _closing.add(loop.create_task(close()))

    # Once the command line has installed its own handler.
    loop.call_soon(loop.add_signal_handler, signal.SIGTERM, begin)
