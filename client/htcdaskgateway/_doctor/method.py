"""`gateway.doctor()`: the base class of `HTCGateway` that has it."""

import asyncio
import contextlib
import sys
import threading
import time
from typing import Any, Final

from dask.utils import parse_timedelta
from dask_gateway import Gateway

from htcdaskgateway._doctor.case import Case
from htcdaskgateway._doctor.examination import examine
from htcdaskgateway._doctor.report import Report

DEFAULT_SECONDS: Final = 300.0
SHUTTING_DOWN: Final = "the probe cluster is being shut down: a moment\n"  # to who interrupts once more
_END_SECONDS: Final = 60.0  # to shut a probe cluster down, after an interruption


def read_seconds(timeout: float | str) -> float:
    """The probe's time in seconds; ValueError if it is none, or never ends."""
    try:
        seconds = float(parse_timedelta(timeout))
    except (LookupError, TypeError, ValueError):
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ValueError(f"timeout must be a time above 0, such as 300 or '5m', got {timeout!r}")
    return seconds


class ExaminedGateway(Gateway):  # type: ignore[misc]
    """A gateway client that can look at its own site."""

    def doctor(
        self, probe: bool = False, timeout: float | str = DEFAULT_SECONDS, **cluster_options: Any
    ) -> Any:
        """What stands between this notebook and HTCondor workers: one line a check, with its remedy.

        The answer prints as text, has `good`, and is data by `.to_dict()` (to be awaited if asynchronous).

        Parameters
        ----------
        probe : bool, optional
            Make a cluster with one worker, see whether that reaches its scheduler, and shut it down again.
        timeout : float or str, optional
            How long the probe's scheduler and worker may take: seconds, or such as "10m".
        **cluster_options :
            The probe cluster's, as for `new_cluster`.
        """
        seconds = read_seconds(timeout)
        if cluster_options and not probe:
            raise ValueError(f"{', '.join(cluster_options)} is for a probe cluster: say probe=True")
        case = Case(
            lambda auth=None: _twin(self),
            probe=probe,
            worker_seconds=seconds,
            cluster_options=cluster_options,
        )
        if self.asynchronous:
            return examine(case)
        if not self._loop_runner.is_started():
            raise ValueError(f"{self!r} is closed: make a new one")
        return _finish(self.loop.asyncio_loop, case)


def _twin(gateway: Gateway) -> Gateway:
    """Another client of the same site with the same credential: its bounds are for an examination alone."""
    twin: Gateway = object.__new__(type(gateway))
    Gateway.__init__(
        twin,
        address=gateway.address,
        proxy_address=gateway.proxy_address,
        public_address=gateway._public_address,
        auth=gateway.auth,
        asynchronous=True,
        loop=gateway.loop,
    )
    vars(twin).update({**vars(gateway), **vars(twin)})  # a site's own class may have state of its own
    return twin


def _finish(loop: asyncio.AbstractEventLoop, case: Case) -> Report:
    """Examine in the gateway's own loop. Who interrupts waits until the probe cluster has been shut down."""
    ended = threading.Event()

    async def examined() -> Report:
        try:
            return await examine(case)
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(examined(), loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        _wait_for_the_end(ended, case)
        raise


def _wait_for_the_end(ended: threading.Event, case: Case) -> None:
    """For `_END_SECONDS` at most. Who interrupts again is told what this waits for, and it goes on."""
    until, again = time.monotonic() + _END_SECONDS, False
    while not ended.is_set() and time.monotonic() < until:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            if again and case.submitting is not None:
                sys.stderr.write(SHUTTING_DOWN)
            again = True
            ended.wait(max(0.0, until - time.monotonic()))
