"""A cluster to look at: one that runs, or with `--probe` one of our own, which is shut down again.

The probe cluster is made by the user's own way, `HTCGateway.submit`, so what fails here fails there. `end` is
called however an examination ends: the request that makes the cluster is never given up before its answer,
which has the cluster's name.
"""

import asyncio
import contextlib
import warnings
from typing import Final

import aiohttp
from dask_gateway import GatewayClusterError, GatewayServerError
from dask_gateway.client import ClusterStatus
from distributed import Client

from htcdask_api.status import STALLED
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.timeouts import timeout, timeout_at
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.explanation import ClusterExplanation
from htcdaskgateway._worker_pools.pool import Pool

NO_CLUSTER: Final = "no cluster of yours runs, and --probe makes one"
_CONNECT_SECONDS: Final = 20.0
_POLL_SECONDS: Final = 1.0
_LAST_WORD_SECONDS: Final = 5.0
_STOP_SECONDS: Final = 20.0  # for each: the answer to submit, and the end
_REFUSALS: Final = (
    OSError,
    ValueError,
    TypeError,
    GatewayClusterError,
    GatewayServerError,
    aiohttp.ClientError,
)


async def cluster(case: Case) -> str:
    """A scheduler runs: the probe's, within the probe's time, or that of the user's first cluster."""
    gateway = case.gateway
    if not case.probe:
        running = [name for name, seen in case.clusters.items() if seen["status"] == "RUNNING"]
        if not running:
            raise NotTried(NO_CLUSTER)
        case.cluster = running[0]
        case.report = await gateway._cluster_report(case.cluster)
        return f"cluster {case.cluster}, which runs already, is looked at"
    case.submitting = asyncio.ensure_future(gateway._submit(**case.cluster_options))
    try:
        async with timeout_at(case.deadline):
            case.cluster = await asyncio.shield(case.submitting)
            case.report = await gateway._wait_for_start(case.cluster)
    except asyncio.TimeoutError as error:
        what = f"the scheduler of {case.cluster} did not start" if case.cluster else "no cluster was made"
        raise Fault(
            f"{what} in {case.worker_seconds:.0f} s",
            "a longer --timeout if your site is slow; else its admin looks at the gateway's pods and quotas",
        ) from error
    except _REFUSALS as error:
        raise Fault(
            f"no probe cluster: {case.masked(str(error))}",
            "what the message names (--container-image and --profile choose the worker); "
            "else tell the site's admin",
        ) from error
    return f"the probe cluster {case.cluster} was made, and its scheduler runs"


async def scheduler(case: Case) -> str:
    """This notebook's own client connects to the scheduler."""
    if case.report is None:
        raise NotTried(NO_CLUSTER)
    case.client = Client(
        case.report.scheduler_address,
        security=case.report.security,
        set_as_default=False,
        asynchronous=True,
        loop=case.gateway.loop,
        timeout=_CONNECT_SECONDS,
    )
    try:
        with warnings.catch_warnings():  # of versions that differ: a check of its own tells them
            warnings.simplefilter("ignore")
            await case.client
    except (OSError, ValueError, TypeError) as error:
        said = case.masked(f"{type(error).__name__}: {error}")
        raise Fault(
            f"the scheduler of {case.cluster} does not answer a client: {said}",
            "compare the versions of dask and distributed here and in the scheduler's image",
        ) from error
    return f"a client here is connected to {case.report.scheduler_address}"


async def worker(case: Case) -> str:
    """One HTCondor worker reaches the scheduler; else what `explain()` says about it."""
    if not case.probe:
        raise NotTried("only --probe asks for a worker")
    name, pools = str(case.cluster), pool_access(case.gateway, ClientConfig.read())
    await case.gateway._scale_cluster(name, 1)
    waiting = asyncio.ensure_future(case.client.wait_for_workers(1))
    seen: list[Pool] = []
    try:
        async with timeout_at(case.deadline):
            while not (await asyncio.wait([waiting], timeout=_POLL_SECONDS))[0]:
                with contextlib.suppress(*_REFUSALS):  # the next answer counts
                    seen = await pools.list(name)
                if any(_is_stalled(pool) for pool in seen):
                    raise _no_worker(case, seen, "can come")
        await waiting
    except asyncio.TimeoutError as error:
        with contextlib.suppress(*_REFUSALS):
            async with timeout(_LAST_WORD_SECONDS):
                seen = await pools.list(name)
        raise _no_worker(case, seen, f"came in {case.worker_seconds:.0f} s") from error
    finally:
        waiting.cancel()
    return f"a worker of {name} reached the scheduler"


def _is_stalled(pool: Pool) -> bool:
    stalled = pool.status.condition(STALLED)
    return stalled is not None and stalled.status == "True"


def _no_worker(case: Case, pools: list[Pool], what: str) -> Fault:
    lines = str(ClusterExplanation(str(case.cluster), tuple(pools))).splitlines()[1:]
    return Fault(
        f"no worker {what}: {case.masked(' | '.join(line.strip() for line in lines))}",
        "docs/operations.md explains the reasons; where the pool is only busy, a longer --timeout",
    )


async def disconnect(case: Case) -> None:
    """Close the client, whatever it says."""
    if case.client is not None:
        with contextlib.suppress(Exception):
            async with timeout(_LAST_WORD_SECONDS):
                await case.client.close()


async def end(case: Case) -> str:
    """The probe cluster is shut down, and was seen to be."""
    assert case.submitting is not None
    gateway = case.gateway
    try:
        async with timeout(_STOP_SECONDS):
            name = await case.submitting
    except asyncio.TimeoutError as error:
        raise Fault(
            "the gateway has not said whether it made the probe cluster", "look with gateway.list_clusters()"
        ) from error
    except _REFUSALS as error:  # it made none, and `cluster` has said so
        return f"there was none to shut down ({type(error).__name__})"
    try:
        async with timeout(_STOP_SECONDS):
            await gateway._stop_cluster(name)
            await _gone(case, name)
    except _REFUSALS as error:  # TimeoutError is an OSError
        raise Fault(
            f"the probe cluster {name} was not seen to end ({case.masked(str(error)) or 'no answer'})",
            f"gateway.stop_cluster({name!r})",
        ) from error
    return f"the probe cluster {name} was shut down"


async def _gone(case: Case, name: str) -> None:
    """Returns when the gateway says that the cluster ends, or does not know it any more."""
    try:
        if (await case.gateway._cluster_report(name)).status > ClusterStatus.RUNNING:
            return
    except ValueError as error:
        if not is_unknown(error):
            raise
        return
    await asyncio.sleep(_POLL_SECONDS)
    await _gone(case, name)
