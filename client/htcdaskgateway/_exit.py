"""The end of a script that closes nothing: its clusters and the gateways' connections are closed for it.

Called by `_client`. dask-gateway closes clusters too, but when Python has ended its thread pools. No host
name can be looked up any more then, so where the gateway's address has one, and the connection has been idle,
its cluster goes on for ever. It closes no gateway, and the library below prints "Unclosed client session".
"""

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401 (it registers its own end now, and so comes after ours)
import logging
import threading
import weakref
from typing import Final

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


def _close_all() -> None:
    for cluster in list(_clusters):
        try:
            cluster.close()
        except Exception:
            _log.warning("Cluster %s could not be closed", cluster.name, exc_info=True)
    for gateway in list(_gateways):
        # Only the connection, which opens again when it is needed: others may yet be called as Python ends.
        if gateway._session is not None and gateway._loop_runner.is_started():
            closing = asyncio.run_coroutine_threadsafe(gateway._cleanup(), gateway.loop.asyncio_loop)
            try:
                closing.result(_CLOSE_SECONDS)
            except Exception:
                _log.debug("The connection to %s could not be closed", gateway, exc_info=True)


# Where Python's own thread pools register their end, last come, first called. A Python without it gets what
# dask-gateway does: better late than never.
getattr(threading, "_register_atexit", atexit.register)(_close_all)
