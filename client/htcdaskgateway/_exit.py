"""The end of a script that closes nothing, or is interrupted: its clusters and connections are closed for it.

Called by `_client`. dask-gateway closes clusters too, but no host name can be looked up any more then: Python
has ended its thread pools. So where the gateway's address has a name, and the connection has been idle, its
cluster goes on for ever. It closes no gateway, and the library below prints "Unclosed client session".

A request that was sent may be carried out, whoever waits for its answer. So who presses Ctrl-C while a
cluster is being made waits for its name, for `_ANSWER_SECONDS` at most, and the cluster is ended. Ctrl-C once
more is answered by a word, and changes nothing, as all of this is bounded. What could not be learned is said
in a warning.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import socket
import sys
import time
import weakref
from collections.abc import Callable, Collection, Coroutine
from concurrent.futures import CancelledError, Future, wait
from typing import Any, Final, TypeVar

import aiohttp
from aiohttp.abc import AbstractResolver
from dask_gateway import Gateway, GatewayCluster

from htcdaskgateway import _tasks

T = TypeVar("T")

_log = logging.getLogger(__name__)

_SECONDS: Final = 10.0  # for all of it
_ANSWER_SECONDS: Final = 10.0  # for one answer of the gateway, after an interrupt
_INTERRUPT_SECONDS: Final = 2 * _ANSWER_SECONDS + 1  # for the cluster's name, and then for its end
_A_MOMENT: Final = "what this would leave behind is being ended: a moment\n"  # to who interrupts once more

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
    alone = _end_alone([cluster for cluster, end in ending if end is None and _is_to_end(cluster)], until)
    for cluster, end in ending:
        name = getattr(cluster, "name", None)
        if name in alone or not _ended(end, until):
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


def _is_to_end(cluster: GatewayCluster) -> bool:
    started = cluster.status not in ("closing", "closed") and getattr(cluster, "name", None) is not None
    return bool(started and cluster.shutdown_on_close)


def _end_alone(clusters: Collection[GatewayCluster], until: float) -> Collection[str]:
    """End clusters whose gateways, and so their loops, are closed. The names of those that may go on."""
    if not clusters:
        return ()

    async def end_all() -> list[Any]:
        seconds = max(0.0, until - time.monotonic())
        ends = (asyncio.wait_for(_end_by_another(cluster), seconds) for cluster in clusters)
        return await asyncio.gather(*ends, return_exceptions=True)

    try:
        came_of_it = asyncio.run(end_all())
    except KeyboardInterrupt:
        return {cluster.name for cluster in clusters}
    return {cluster.name for cluster, error in zip(clusters, came_of_it, strict=True) if error is not None}


async def _end_by_another(cluster: GatewayCluster) -> None:
    of = cluster.gateway
    gateway = Gateway(of.address, of.proxy_address, of._public_address, of.auth, asynchronous=True)
    gateway._request_kwargs = of._request_kwargs
    await _connect_anew(gateway)
    try:
        await gateway._stop_cluster(cluster.name)
    finally:
        await gateway._cleanup()


def _begun(of: Any, what: Callable[[Any], Coroutine[Any, Any, None]]) -> Future[None] | None:
    """In the loop of this cluster or gateway; None: it has none that runs."""
    gateway = getattr(of, "gateway", of)
    try:
        # Whose gateway is closed may have its loop from another one, which runs.
        loop = gateway._loop_runner._loop.asyncio_loop
        if loop.is_running():
            return asyncio.run_coroutine_threadsafe(what(of), loop)
    except Exception:
        _log.debug("%s could not be closed", type(of).__name__, exc_info=True)
    return None


def _wait(ended: Future[None], until: float) -> None:
    """For it to be done, whatever comes of it. Who interrupts this is told so, and it goes on."""
    while not ended.done() and (seconds := until - time.monotonic()) > 0:
        try:
            wait([ended], seconds)
        except BaseException:
            sys.stderr.write(_A_MOMENT)


def _ended(end: Future[None] | None, until: float) -> bool:
    try:
        if end is None:
            return True
        _wait(end, until)
        return end.result(0) is None
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


def run_interruptibly(coroutine: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """The result of `coroutine`, run in another thread's `loop`.

    Whoever interrupts this (KeyboardInterrupt, SystemExit) cancels it, and waits until it has ended, for
    `_INTERRUPT_SECONDS` at most, also if they interrupt again.
    """
    tasks: list[asyncio.Task[T]] = []
    ended: Future[None] = Future()

    def start() -> None:
        tasks.append(asyncio.ensure_future(coroutine))
        tasks[0].add_done_callback(lambda _: ended.set_result(None))

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    loop.call_soon_threadsafe(start)
    try:
        ended.result()
        return tasks[0].result()
    except asyncio.CancelledError:
        raise CancelledError from None  # as asyncio.run_coroutine_threadsafe has it
    except BaseException:
        if not ended.done():
            loop.call_soon_threadsafe(cancel)
            _wait(ended, time.monotonic() + _INTERRUPT_SECONDS)
        raise
    finally:
        # An error holds this frame, and the task holds the error: the gateway would be left to the garbage
        # collector, which can block the start of the next gateway's loop.
        tasks.clear()


def give_up(cluster: Any, *, interrupted: bool) -> None:
    """The object of a cluster never came to be: nothing is left of it."""
    if not hasattr(cluster, "_gateway"):
        GatewayCluster._instances.discard(cluster)  # dask-gateway's own end of a script would stumble over it
    elif not cluster.asynchronous:
        if interrupted:
            _end_interrupted(cluster)
        # Left to the garbage collector, this would be closed from any thread at any time: it can block the
        # start of the next gateway's loop.
        cluster.gateway.close()


def _end_interrupted(cluster: Any) -> None:
    """End a synchronous cluster whose start was interrupted, unless its start has; warn if it goes on."""
    if cluster.status == "running":  # it had started in the very moment
        cluster.shutdown_on_close |= cluster._is_new
        stop = asyncio.run_coroutine_threadsafe(cluster._stop_internal(), cluster.loop.asyncio_loop)
        with contextlib.suppress(Exception):
            stop.result(_ANSWER_SECONDS)
    if cluster.shutdown_on_close and cluster.name is not None and not cluster.is_shutdown:
        _may_go_on(cluster.name)


async def submitted(gateway: Gateway, submit: Coroutine[Any, Any, str]) -> str:
    """The name of the cluster that `submit` asks the gateway for. Cancelled, the cluster is ended first."""
    asked = asyncio.ensure_future(submit)
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        await _tasks.to_the_end(_take_back(gateway, asked))
        raise


async def _take_back(gateway: Gateway, asked: asyncio.Future[str]) -> None:
    await asyncio.wait([asked], timeout=_ANSWER_SECONDS)
    unanswered = asked.cancel() or asked.cancelled()
    error = None if unanswered else asked.exception()
    if unanswered or isinstance(error, (OSError, aiohttp.ClientError)):
        _log.warning(
            "This was interrupted, and the gateway did not say whether it made a cluster: look with "
            "gateway.list_clusters(), and end it by gateway.stop_cluster(name)"
        )
    elif error is None:
        await stop(gateway, asked.result())


async def stop(gateway: Gateway, cluster: str) -> None:
    """Stop the cluster of who was interrupted; warn if it may go on."""
    try:
        await asyncio.wait_for(gateway._stop_cluster(cluster), _ANSWER_SECONDS)
    except (Exception, asyncio.CancelledError):  # cancelled: its loop ends before the cluster
        _log.debug("The cluster %s could not be stopped", cluster, exc_info=True)
        _may_go_on(cluster)


def _may_go_on(cluster: str) -> None:
    """Warn of a cluster that could not be ended after an interrupt."""
    _log.warning(
        "This was interrupted, and cluster %s may go on: end it by gateway.stop_cluster(%r)", cluster, cluster
    )
