"""`send_credentials()`: a base class of `HTCGatewayCluster`.

A Dask plugin brings them: the scheduler hands it to each worker, also to those that come later. Neither the
gateway nor the operator nor a job has a part in it. Whoever holds the cluster can read them, as can tasks.
"""

import asyncio
import contextlib
import logging
import math
import os
import warnings
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from dask_gateway import GatewayCluster, GatewayWarning

from htcdaskgateway import _tasks
from htcdaskgateway._credentials import files, parcel
from htcdaskgateway._worker_pools.sizes import seconds

_log = logging.getLogger(__name__)

_NAME: Final = "htcdask-credentials"  # of the plugin: the next one takes its place
_SHORTEST: Final = 10  # seconds; each time all workers are spoken to
_SECONDS: Final = 60.0  # for all workers to take them
_WITHDRAW_SECONDS: Final = 10.0
_TRIES: Final = 3
_TLS: Final = ("gateway", "tls")  # dask-gateway's own connections are TLS, and have no other kind

Renew = Callable[[], Coroutine[Any, Any, "str | None"]]


class ClusterWithCredentials(GatewayCluster):  # type: ignore[misc]
    """A cluster whose workers may have the notebook's credentials for data."""

    _renewal: asyncio.Task[None] | None = None
    _sent: Mapping[str, Path] = MappingProxyType({})  # what the workers have: these files, by variable
    _turn: asyncio.Lock | None = None  # of whoever sends
    _refuse_ended: Callable[[], Awaitable[None]]  # of the cluster object: GatewayClusterError if it has ended

    def send_credentials(
        self,
        x509: files.AnyPath | None = None,
        bearer_token: files.AnyPath | None = None,
        interval: float | str | timedelta = 300,
    ) -> Any:
        """Give this notebook's credentials for data to the workers, and again while the notebook lives.

        Each worker has them in files of its own that only its account can read, named by `X509_USER_PROXY`
        and `BEARER_TOKEN_FILE`. Workers that come later get what was sent last. A second call adds to the
        first, or takes its place for the same kind; one that raises changes nothing. (To be awaited if
        asynchronous.)

        Parameters
        ----------
        x509, bearer_token : path, optional
            The files to send. Without both: those that this notebook uses itself.
        interval : float or str, optional
            Seconds, or such as "10m", after which they are read and sent again; 10 or more.
        """
        every = seconds("interval", interval)
        if (
            isinstance(every, bool)
            or not isinstance(every, (int, float))
            or not _SHORTEST <= every < math.inf
        ):
            raise ValueError(f"interval must be a time of at least {_SHORTEST} s, got {interval!r:.80}")
        paths = files.choose(x509, bearer_token, os.environ)
        return self.gateway.sync(self._start_sending, paths, every)

    async def _start_sending(self, paths: Mapping[str, Path], every: float) -> None:
        self._turn = self._turn or asyncio.Lock()
        await self._refuse_ended()
        async with self._turn:
            together = {**self._sent, **paths}
            complaint = await self._send(together)
            self._sent = together
        await self._stop_sending()
        self._renewal = asyncio.ensure_future(
            _keep_sending(weakref.WeakMethod(self._renew), every, self.name)
        )
        if complaint:
            warnings.warn(GatewayWarning(complaint), stacklevel=2)

    async def _renew(self) -> str | None:
        assert self._turn is not None
        async with self._turn:
            return await self._send(self._sent)

    async def _send(self, paths: Mapping[str, Path]) -> str | None:
        """Read them and send them once; a sentence if not all workers have them now.

        ValueError or OSError if a file is no credential, or the scheduler cannot be spoken to.
        """
        # Each time: a cluster that was safe may have got a worker that is not.
        self._refuse_without_tls()
        packed = parcel.packed(await asyncio.to_thread(files.read, paths))
        try:
            answers = await asyncio.wait_for(self._hand_over(packed), _SECONDS)
        except asyncio.TimeoutError:  # another one than Python's own before 3.11
            return f"Not all workers of {self.name} took the credentials within {_SECONDS:.0f} s; {_LATER}"
        except (Exception, asyncio.CancelledError):
            if not self._sent:  # or workers that come later would get what nobody renews
                await _tasks.to_the_end(self._withdraw())
            raise
        missed = [address for address, answer in answers.items() if (answer or {}).get("status") != "OK"]
        if missed:
            return f"{len(missed)} workers of {self.name} could not write the credentials; {_LATER}"
        return None

    async def _withdraw(self) -> None:
        """Where the scheduler took them for workers that come later, it forgets them, if it still answers."""
        with contextlib.suppress(Exception):
            forget = self.scheduler_comm.unregister_worker_plugin(name=_NAME)
            await asyncio.wait_for(forget, _WITHDRAW_SECONDS)

    async def _hand_over(self, packed: bytes) -> dict[str, Any]:
        """What each worker says to it, by address."""
        for _ in range(_TRIES - 1):
            # The scheduler gives up for all where one worker goes away in the middle.
            with contextlib.suppress(OSError):
                return await self._register(packed)
        return await self._register(packed)

    async def _register(self, packed: bytes) -> dict[str, Any]:
        answers: dict[str, Any] = await self.scheduler_comm.register_worker_plugin(
            plugin=packed, name=_NAME, idempotent=False
        )
        return answers

    def _refuse_without_tls(self) -> None:
        if self.status != "running":
            raise ValueError(f"send_credentials needs a running cluster, and {self.name} is {self.status}")
        addresses = [self.scheduler_address, *self.scheduler_info.get("workers", ())]
        plain = [address for address in addresses if address.partition("://")[0] not in _TLS]
        if self.security is None or plain:
            raise ValueError(
                f"send_credentials sends nothing to {self.name}: its connections are not TLS "
                f"({', '.join(plain[:3]) or 'no certificate'}), so others could read the credentials"
            )

    async def _stop_sending(self) -> None:
        if self._renewal is not None:
            await _tasks.end(self._renewal)
            self._renewal = None

    async def _stop_async(self) -> None:
        await self._stop_sending()
        await super()._stop_async()


_LATER: Final = "they are sent again after the interval, and workers that come later get them."


async def _keep_sending(renew: weakref.WeakMethod[Renew], every: float, cluster: str) -> None:
    """Send them each `every` seconds, until the cluster object is collected; this keeps it not alive."""
    while True:
        await asyncio.sleep(every)
        once = renew()
        if once is None:
            return
        try:
            complaint = await once()
        except Exception as error:  # the old ones may be good for a while, and the next try may do
            # Its text may be a worker's or a scheduler's: only errors about our own files are quoted.
            said = f": {error}" if isinstance(error, (ValueError, FileNotFoundError, PermissionError)) else ""
            complaint = f"The credentials of {cluster} were not renewed ({type(error).__name__}{said})"
        if complaint:
            _log.warning("%s", complaint)
        del once
