"""Give a new cluster its worker pool, or take the cluster back.

Called by the client once the gateway has made the cluster. A cluster whose pool is refused, or whose making
is interrupted, is stopped: a user who got an error has nothing left that costs something. Stopping it raises
nothing for what a gateway or a network may do: the first error is the one that the user has to read.
"""

import asyncio
import logging
import sys
from typing import Final

from dask_gateway import Gateway
from dask_gateway.client import ClusterStatus

from htcdask_api import Template, names
from htcdaskgateway import _tasks
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import PoolRefusedError
from htcdaskgateway._worker_pools.access import pool_access

_log = logging.getLogger(__name__)

_ANSWER_SECONDS: Final = 10.0  # of the gateway, that it ends the cluster; who interrupts waits for both
_STOP_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.1


async def create_default_pool(
    gateway: Gateway, cluster: str, template: Template, config: ClientConfig
) -> None:
    """Give `cluster` the pool "default" of such workers. On any error the cluster is stopped first."""
    try:
        await pool_access(gateway, config).create(cluster, names.DEFAULT_POOL, template)
    except BaseException as error:  # an interrupted notebook must leave no cluster behind either
        outcome = await stop(gateway, cluster)
        if isinstance(error, PoolRefusedError):
            raise PoolRefusedError(f"{error}. {outcome}") from error
        if sys.version_info >= (3, 11):
            error.add_note(outcome)
        else:
            _log.warning("Cluster %s got no worker pool. %s", cluster, outcome)
        raise


async def stop(gateway: Gateway, cluster: str) -> str:
    """Stop the cluster, however often this is cancelled; a sentence for the user about what came of it."""
    return await _tasks.to_the_end(_stop(gateway, cluster))


async def _stop(gateway: Gateway, cluster: str) -> str:
    try:
        await asyncio.wait_for(gateway._stop_cluster(cluster), _ANSWER_SECONDS)
    except (Exception, asyncio.CancelledError):  # cancelled: its loop ends before the cluster
        _log.debug("Cluster %s could not be stopped", cluster, exc_info=True)
        _log.warning(
            "Stopping failed, and cluster %s may go on: end it by gateway.stop_cluster(%r)", cluster, cluster
        )
        return f"The cluster could not be stopped: try gateway.stop_cluster({cluster!r})."
    # The gateway answers before the cluster has stopped; whoever lists the clusters next should not see it.
    try:
        await asyncio.wait_for(_inactive(gateway, cluster), _STOP_SECONDS)
    except asyncio.TimeoutError:
        return "The cluster is being stopped."
    return "The cluster was stopped; nothing is left behind."


async def _inactive(gateway: Gateway, cluster: str) -> None:
    while True:
        if not await _is_active(gateway, cluster):
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _is_active(gateway: Gateway, cluster: str) -> bool:
    try:
        report = await gateway._cluster_report(cluster)
    except ValueError as error:
        return not is_unknown(error)
    except Exception:
        return True
    return bool(report.status <= ClusterStatus.RUNNING)
