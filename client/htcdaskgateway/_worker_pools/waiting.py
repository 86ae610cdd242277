"""Wait for a scheduler or for workers, say meanwhile for what, and end early where waiting is in vain.

Called by the cluster object. What is waited for is dask-gateway's and Dask's own coroutine, unchanged; beside
it a second one looks at the cluster's pools, at most once a second, and shows what their status says.
"""

import asyncio
import contextlib
import itertools
import logging
import re
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from types import SimpleNamespace
from typing import Any, Final, NoReturn, TypeVar

from dask.utils import parse_timedelta
from dask_gateway import Gateway
from distributed import Client

from htcdask_api.status import READY, Failure
from htcdaskgateway import _tasks
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import ClusterStartTimeoutError, PoolsNotThereError, PoolStalledError
from htcdaskgateway._worker_pools import progress, stalls, turns
from htcdaskgateway._worker_pools.explanation import NO_POOL
from htcdaskgateway._worker_pools.pool import (
    NOT_LOOKED_AT,
    Pool,
    follower_missing,
    hindrance,
    is_unseen,
    lines,
)

_log = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 1.0  # what takes no longer needs no word
_LOOK_SECONDS: Final = 2.0
_PATIENT_SECONDS: Final = 20.0  # then a script hears why, once for each reason: what passes has passed
_ANSWER_SECONDS: Final = 10.0  # of one question about the pools
_SLOW_SECONDS: Final = 3.0  # of one question to a scheduler: then it does not answer
_ONCE_MORE_SECONDS: Final = 1.0
_OTHER_LOOKS: Final = 4
"""At the pools, for one at the cluster: without an operator no pool says that it has ended."""
_END_SECONDS: Final = 10.0  # to find out why a connection has broken
_ASKED_AFTER: Final = 3  # times, when the connection to a scheduler has broken
_WHOLE: Final = 8192  # characters of an error: the sentences of two pools

T = TypeVar("T")
ListPools = Callable[[], Awaitable[Sequence[Pool]]]
HowItEnded = Callable[[], Awaitable[str | None]]
"""A sentence, if the gateway says that the cluster has ended."""


async def for_scheduler(
    start: Coroutine[Any, Any, None], list_pools: ListPools, name: Callable[[], str | None], *, is_new: bool
) -> None:
    """Run `start` to its end. `name` gives the cluster's, once it has one.

    PoolStalledError: no worker will ever come to this new cluster.
    ClusterStartTimeoutError: its scheduler's pod could not run for all of `htcdask.cluster-start-timeout`.
    """
    await _beside(start, _watch_start(list_pools, name, is_new))
    if is_new and (cluster := name()) is not None:
        _refuse(cluster, await look(list_pools))


async def for_workers(
    scheduler: Any, n: int, within: Any, cluster: str, list_pools: ListPools, how_it_ended: HowItEnded
) -> None:
    """Wait until the scheduler (an rpc) has `n` workers, as `Client.wait_for_workers` does, errors included.

    PoolStalledError: no worker will come. Where workers kept failing before, the next one is waited for: who
    calls this once more may have mended what was wrong.
    """
    seen: list[str] = []
    # All that Client's own coroutine knows of the client is its scheduler. It bounds no question to that one.
    own = Client._wait_for_workers(SimpleNamespace(scheduler=scheduler), n, timeout=within)
    wait = asyncio.wait_for(own, parse_timedelta(within) + _SLOW_SECONDS) if within else own
    try:
        await _beside(wait, _watch_workers(list_pools, how_it_ended, cluster, n, seen))
    except asyncio.TimeoutError as error:  # another one than Python's own before 3.11
        silent = f"The scheduler of cluster {cluster} did not answer within {within}"
        told = error if str(error) else asyncio.TimeoutError(silent)  # else it is by the bound above
        if seen and sys.version_info >= (3, 11):
            told.add_note(seen[-1])
        raise told from None
    except OSError:  # perhaps because its cluster has ended
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_tell_end(cluster, list_pools, how_it_ended), _END_SECONDS)
        raise


async def look(list_pools: ListPools, within: float = _ANSWER_SECONDS) -> Sequence[Pool] | None:
    """The pools, or None where they are not known now: whoever waits goes on waiting."""
    try:
        return await asyncio.wait_for(list_pools(), within)
    except PoolsNotThereError:
        return ()
    except Exception:
        _log.debug("The worker pools could not be read", exc_info=True)
        return None


def _refuse(cluster: str, pools: Sequence[Pool] | None, known: stalls.Known | None = None) -> None:
    if (why := stalls.in_vain(cluster, pools or (), known or {})) is not None:
        raise PoolStalledError(progress.plain(why, _WHOLE))


async def _tell_end(cluster: str, list_pools: ListPools, how_it_ended: HowItEnded) -> None:
    """Its pools say so a moment later."""
    for _ in range(_ASKED_AFTER):
        pools = await look(list_pools)
        _refuse(cluster, pools, stalls.failing(pools or ()))
        await _refuse_ended(cluster, how_it_ended)
        await asyncio.sleep(_LOOK_SECONDS)


async def _refuse_ended(cluster: str, how_it_ended: HowItEnded) -> None:
    if (ended := await how_it_ended()) is not None:
        raise PoolStalledError(f"No worker will come to cluster {cluster}: {ended}")


async def _beside(work: Coroutine[Any, Any, T], watch: Coroutine[Any, Any, NoReturn]) -> T:
    """The result of `work`, unless `watch` raises before. Neither outlives this."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        return await (working if working.done() else watching)
    finally:
        await _tasks.to_the_end(_tasks.end(watching, working))


async def _watch_workers(
    list_pools: ListPools, how_it_ended: HowItEnded, cluster: str, n: int, seen: list[str]
) -> NoReturn:
    begun, known = time.monotonic(), None
    told: set[str] = set()
    failed: Collection[str] = ()  # before this wait
    looks = itertools.count(1)
    await asyncio.sleep(_QUIET_SECONDS)
    with progress.line() as show:
        while True:
            await turns.turn()
            pools = await look(list_pools)
            if known is None and pools is not None:
                known, failed = stalls.failing(pools), _failures(pools).keys()
                if known:  # a script hears of nothing else
                    _log.warning("%s", progress.plain(f"{_said(pools)} (cluster {cluster})", _WHOLE))
            _refuse(cluster, pools, known)
            if not pools or next(looks) % _OTHER_LOOKS == 0:
                await _refuse_ended(cluster, how_it_ended)
            # The name last: a terminal may have no room for it.
            fresh = [its for worker, its in _failures(pools).items() if worker not in failed][:1]
            lately = "".join(f"; worker {its.worker} failed: {its.reason}: {its.message}" for its in fresh)
            workers = "1 worker" if n == 1 else f"{n} workers"
            said = f"waiting for {workers}: {_too_few(pools, n)}{_said(pools)}{lately} (cluster {cluster})"
            seen[:] = [progress.plain(said, _WHOLE)]
            show(_for_so_long(seen[0], begun))
            reasons = _reasons(pools, n) | {f"failed: {its.reason}" for its in fresh}
            if time.monotonic() - begun > _PATIENT_SECONDS and not reasons <= told and progress.is_unseen():
                told |= reasons
                _log.warning("%s", seen[0])
            await asyncio.sleep(_LOOK_SECONDS)


async def _watch_start(list_pools: ListPools, name: Callable[[], str | None], is_new: bool) -> NoReturn:
    begun, stuck, since = time.monotonic(), None, 0.0
    await asyncio.sleep(_QUIET_SECONDS)
    with progress.line() as show:
        while True:
            await turns.turn()
            if (cluster := name()) is None:
                show(_for_so_long("asking for a new cluster", begun))
            elif (pools := await look(list_pools)) is not None:
                if is_new:
                    _refuse(cluster, pools)
                was_stuck, stuck = stuck, stalls.scheduler_cannot_start(pools)
                since = since if was_stuck else time.monotonic()
                why = stuck or _pending(pools)
                show(_for_so_long(f"waiting for the scheduler: {why} (cluster {cluster})", begun))
                if stuck:  # as the pool says at this moment
                    _end_in_time(cluster, stuck, time.monotonic() - since)
            await asyncio.sleep(_LOOK_SECONDS)


def _end_in_time(cluster: str, stuck: str, seconds: float) -> None:
    limit = ClientConfig.read().cluster_start_timeout
    if limit is not None and seconds >= limit:
        raise ClusterStartTimeoutError(
            f"Cluster {cluster} failed to start: for {seconds:.0f} s Kubernetes could not run its scheduler: "
            f"{progress.plain(stuck, _WHOLE)}. Is the image right? (htcdask.cluster-start-timeout in dask's "
            f"configuration, {limit:g} s, says how long to look on.)"
        )


def _too_few(pools: Sequence[Pool] | None, n: int) -> str:
    """Words, if nobody has asked for so many, or nobody has heard of it: until then waiting is in vain."""
    if not pools or any(pool.status.explanation or is_unseen(pool.status) for pool in pools):
        return ""
    asked = sum(pool.status.desired_replicas for pool in pools)
    if asked >= n:
        return ""
    sized = sum(pool.spec.replicas for pool in pools if pool.spec.scaling == "Manual")
    wanted = max(sized, 0 if follower_missing(pools) else pools[0].wanted or 0)
    if wanted >= n:
        return f"{wanted} asked for, and the operator has not acted on it yet; "
    adapts = "adapt() asks only while there is work, and a pool of add_pool() may have ended it"
    none = f"none is asked for ({adapts})" if not asked else f"{asked} asked for"
    if follower_missing(pools):
        return (
            f"{none}, and no pool follows cluster.scale(): scale(n) of one of cluster.pools asks for more; "
        )
    return f"{none}: cluster.scale({n}) asks for more; "


def _said(pools: Sequence[Pool] | None) -> str:
    if pools is None:
        return "the gateway does not say what they wait for; cluster.explain() may say why"
    return lines(pools) or NO_POOL


def _reasons(pools: Sequence[Pool] | None, n: int) -> set[str]:
    """What is new to a script only if one of these is: words alone, as numbers change all the time."""
    if not pools:
        return {_said(pools)}
    found = {re.sub(r"\d+", "", few)} if (few := _too_few(pools, n)) else set()
    for pool in pools:
        found |= {why.reason for why in pool.status.explanation}
        if is_unseen(pool.status):
            found.add(NOT_LOOKED_AT)
        elif (its := hindrance(pool.status)) is not None:
            found.add(its[0])
    return found


def _failures(pools: Sequence[Pool] | None) -> dict[str, Failure]:
    """Those of lately, the newest of each pool first, by the worker's name."""
    return {failure.worker: failure for pool in pools or () for failure in pool.status.recent_failures}


def _pending(pools: Sequence[Pool]) -> str:
    ready = (pool.status.condition(READY) for pool in pools)
    said = (condition.message for condition in ready if condition is not None)
    return next((message for message in said if message), "it is being started")


def _for_so_long(text: str, begun: float) -> str:
    head, colon, rest = text.partition(": ")
    return f"{head} ({time.monotonic() - begun:.0f} s){colon}{rest}"


async def refuse_unknown(gateway: Gateway, cluster: str) -> None:
    """Raise dask-gateway's ValueError if the gateway does not know the cluster.

    Asked to wait for it, the gateway would look for one that never was for twenty seconds. It learns of a
    cluster that another process has just made a moment later, so it is asked once more.
    """
    try:
        await gateway._cluster_report(cluster)
    except ValueError as error:
        if not is_unknown(error):
            raise
        await asyncio.sleep(_ONCE_MORE_SECONDS)
        await gateway._cluster_report(cluster)
