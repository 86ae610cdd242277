"""Pools by the gateway's own route: no right in Kubernetes is needed, the gateway knows whose cluster it is.

One of the two implementations of `access.PoolAccess`.
"""

from urllib.parse import quote

import aiohttp
from dask_gateway import Gateway, GatewayClusterError

from htcdask_api import Template
from htcdaskgateway._errors import PoolRefusedError, PoolsNotThereError
from htcdaskgateway._worker_pools.pool import Pool


def pools_path(cluster: str) -> str:
    """Where the pools of this cluster are, below the gateway's address."""
    return f"/api/v1/clusters/{quote(cluster, safe='')}/htcondor/pools"


class RoutePools:
    """Speaks by the gateway client's own authenticated session."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def _url(self, cluster: str) -> str:
        return f"{self._gateway.address}{pools_path(cluster)}"

    async def create(self, cluster: str, pool: str, template: Template) -> None:
        body = {"name": pool, "spec": {"template": template.manifest()}}
        try:
            await self._gateway._request("POST", self._url(cluster), json=body)
        except (ValueError, GatewayClusterError, aiohttp.ClientResponseError) as error:
            raise PoolRefusedError(
                f"The gateway refused the worker pool of cluster {cluster}: {_said(error)}"
            ) from error

    async def list(self, cluster: str) -> list[Pool]:
        try:
            response = await self._gateway._request("GET", self._url(cluster))
        except ValueError as error:
            raise PoolsNotThereError(f"The gateway has no worker pools of {cluster}: {error}") from error
        return [Pool.parse(shown) for shown in (await response.json())["pools"]]


def _said(error: Exception) -> str:
    return error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
