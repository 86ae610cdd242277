"""The end of a script that closes nothing: its clusters and the gateways' connections are closed for it.

Called by `_client`. dask-gateway closes clusters too, but no host name can be looked up any more then: Python
has ended its thread pools. So where the gateway's address has a name, and the connection has been idle, its
cluster goes on for ever. It closes no gateway, and the library below prints "Unclosed client session".
"""

import asyncio
import atexit
import logging
import os
import socket
import time
import weakref
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from dask_gateway import Gateway, GatewayCluster

_log = logging.getLogger(__name__)

_SECONDS: Final = 10.0  # for all of it

_gateways: weakref.WeakSet[Gateway] = weakref.WeakSet()
_clusters: weakref.WeakSet[GatewayCluster] = weakref.WeakSet()


def close_gateway_at_exit(gateway: Gateway) -> None:
    """Close the connection of a synchronous gateway when Python ends. Keeps nothing alive."""
    _gateways.add(gateway)


def close_cluster_at_exit(cluster: GatewayCluster) -> None:
    """Close a synchronous cluster when Python ends, as if its script had. Keeps nothing alive."""
    _clusters.add(cluster)


class _Resolver(AbstractResolver):
    """Looks names up without a thread: at the end nothing else waits for the loop."""

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[Any]:
        found = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        return [
            {
                "hostname": host,
                "host": address[0],
                "port": address[1],
                "family": kind,
                "proto": proto,
                "flags": 0,
            }
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """There is nothing to close."""


async def _connect_anew(gateway: Gateway) -> None:
    await gateway._cleanup()
    # As dask-gateway makes it, but for the resolver.
    gateway._session = aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(resolver=_Resolver())
    )


@atexit.register  # after dask-gateway's, so it is called before
def _close_all() -> None:
    """All at once: a gateway that does not answer any more keeps no script from its end."""
    until = time.monotonic() + _SECONDS
    ending = [(cluster, _begun(cluster, _end)) for cluster in list(_clusters)]
    for cluster, end in ending:
        if not _ended(end, until):
            name = getattr(cluster, "name", None)
            _log.warning("Cluster %s may go on: its gateway did not answer at the end of this script", name)
        GatewayCluster._instances.discard(cluster)  # or dask-gateway would try once more, without a bound
    # Only the connection, which opens again when it is needed: others may yet be called.
    closing = [_begun(gateway, type(gateway)._cleanup) for gateway in list(_gateways)]
    for close in closing:
        _ended(close, until)


async def _end(cluster: GatewayCluster) -> None:
    if cluster.status not in ("closing", "closed"):
        await _connect_anew(cluster.gateway)
        await cluster._stop_internal()


def _begun(of: Any, what: Callable[[Any], Coroutine[Any, Any, None]]) -> Future[None] | None:
    """In the loop of this cluster or gateway; None: it has none that runs."""
    gateway = getattr(of, "gateway", of)
    try:
        if gateway._loop_runner.is_started():
            return asyncio.run_coroutine_threadsafe(what(of), gateway.loop.asyncio_loop)
    except Exception:
        _log.debug("%s could not be closed", type(of).__name__, exc_info=True)
    return None


def _ended(end: Future[None] | None, until: float) -> bool:
    try:
        return end is None or end.result(max(0.0, until - time.monotonic())) is None
    except Exception:
        _log.debug("It could not be closed", exc_info=True)
        return False


def _forget_all() -> None:
    """In a forked child: its parent's objects are not its to close, and their loops do not run here."""
    for cluster in _clusters:
        GatewayCluster._instances.discard(cluster)
    _clusters.clear()
    _gateways.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
