"""Loaded by every worker (`--preload`): the scheduler's name for its clients too, and a graceful end.

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
from distributed.security import Security

_log = logging.getLogger("distributed.htcdask")
_others: list[Any] = []

# bundle.py sets them at the end of this file. HTCondor's SIGKILL comes after both times together.
SERVER_NAME = ""  # by which the proxy knows the scheduler
RETIRE_SECONDS = 0.0  # for handing data over after SIGTERM
CLOSE_SECONDS = 0.0  # for closing after that
WORKER_PRELOADS: list[str] = []  # of the site


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
        await _start_others(worker)  # else the nanny has named them too


async def dask_teardown(worker: Any) -> None:
    """As Dask would have ended them."""
    for preload in reversed(_others):
        await preload.teardown()


async def _start_others(worker: Any) -> None:
    """The site's preloads, then those of the configuration, in whose place Dask takes its command line's."""
    try:
        _others.extend(process_preloads(worker, WORKER_PRELOADS, [], file_dir=worker.local_directory))
        _others.extend(
            process_preloads(
                worker,
                dask.config.get("distributed.worker.preload") or [],
                dask.config.get("distributed.worker.preload-argv") or [],
                file_dir=worker.local_directory,
            )
        )
    except Exception:
        _log.critical("A preload of the configuration cannot be loaded, so the worker ends", exc_info=True)
        sys.exit(1)  # as Dask does; it would go on after an exception of this preload
    for preload in _others:
        try:
            await preload.start()
        except Exception:
            _log.exception("Failed to start preload: %s", preload.name)


def _close_gracefully_on_sigterm(worker: Any) -> None:
    """Distributed's own handler closes without handing anything over."""
    loop = asyncio.get_running_loop()
    closing: set[asyncio.Task[None]] = set()

    async def close() -> None:
        try:
            retire = worker.scheduler.retire_workers(
                workers=[worker.address], close_workers=False, remove=True
            )
            await asyncio.wait_for(retire, RETIRE_SECONDS)
        except Exception:
            _log.exception("No graceful end; closing at once")
        # A task that still runs has been given to another worker: nobody waits for it here.
        await worker.close(timeout=CLOSE_SECONDS, executor_wait=False)

    def begin() -> None:
        if not closing:
            _log.info("SIGTERM: handing over data and closing")
            closing.add(loop.create_task(close()))

    # Once the command line has installed its own handler.
    loop.call_soon(loop.add_signal_handler, signal.SIGTERM, begin)
