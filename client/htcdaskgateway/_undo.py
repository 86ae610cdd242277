"""Take back a cluster that was made and then got no worker pool.

Called by `HTCGateway` when a pool is refused or its making is interrupted. Promises not to raise for what a
gateway or a network may do: the first error is the one to tell.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import aiohttp
from dask_gateway import GatewayClusterError, GatewayServerError
from dask_gateway.client import ClusterStatus

if TYPE_CHECKING:
    from ._gateway import HTCGateway

logger = logging.getLogger(__name__)

_WAIT: Final = 10.0
_PAUSE: Final = 0.1


async def undo(gateway: HTCGateway, cluster: str) -> str:
    """Stop the cluster; a sentence for the user about what came of it."""
    try:
        await gateway._stop_cluster(cluster)
    except (OSError, ValueError, GatewayClusterError, GatewayServerError, aiohttp.ClientError):
        logger.warning("Cluster %s got no worker pool and could not be stopped", cluster, exc_info=True)
        return f"The cluster could not be stopped: try gateway.stop_cluster({cluster!r})."
    # The gateway only notes the wish; whoever lists the clusters next should not see this one.
    for _ in range(round(_WAIT / _PAUSE)):
        if not await _active(gateway, cluster):
            return "The cluster was stopped; nothing is left behind."
        await asyncio.sleep(_PAUSE)
    return "The cluster is being stopped."


async def _active(gateway: HTCGateway, cluster: str) -> bool:
    try:
        report = await gateway._cluster_report(cluster)
    except ValueError:  # it is not found any more
        return False
    except (OSError, GatewayServerError, aiohttp.ClientError):
        return True
    return bool(report.status <= ClusterStatus.RUNNING)
