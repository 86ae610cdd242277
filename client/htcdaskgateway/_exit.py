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
import weakref
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver
from dask_gateway import Gateway, GatewayCluster

_log = logging.getLogger(__name__)

_CLOSE_SECONDS: Final = 5.0

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
    for cluster in list(_clusters):
        try:
            if cluster.status not in ("closing", "closed"):
                _run(cluster.gateway, _connect_anew)
            cluster.close()
        except Exception:
            _log.warning("Cluster %s could not be closed", cluster.name, exc_info=True)
    for gateway in list(_gateways):
        try:
            # Only the connection, which opens again when it is needed: others may yet be called.
            _run(gateway, type(gateway)._cleanup)
        except Exception:
            _log.debug("The connection to %s could not be closed", gateway, exc_info=True)


def _run(gateway: Gateway, what: Any) -> None:
    if gateway._loop_runner.is_started():
        asyncio.run_coroutine_threadsafe(what(gateway), gateway.loop.asyncio_loop).result(_CLOSE_SECONDS)


def _forget_all() -> None:
    """In a forked child: its parent's objects are not its to close, and their loops do not run here."""
    _clusters.clear()
    _gateways.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
