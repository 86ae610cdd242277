"""Pools by the gateway's own route: no right in Kubernetes is needed, the gateway knows whose cluster it is.

One of the two implementations of `access.PoolAccess`.
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from dask_gateway import Gateway, GatewayClusterError, GatewayWarning

from htcdask_api import Template, WorkerLog, WorkerLogs
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._errors import (
    GatewayAwayError,
    PoolRefusedError,
    PoolsNotThereError,
    PoolsNotUnderstoodError,
)
from htcdaskgateway._worker_pools.pool import Pool, scaling

_MOST_SHOWN: Final = 5
_LONGEST: Final = 4096  # characters of a refusal
_log = logging.getLogger(__name__)


def pools_path(cluster: str) -> str:
    """Where the pools of this cluster are, below the gateway's address."""
    return f"/api/v1/clusters/{quote(cluster, safe='')}/htcondor/pools"


class RoutePools:
    """Speaks by the gateway client's own authenticated session."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def _url(self, cluster: str) -> str:
        return f"{self._gateway.address}{pools_path(cluster)}"

    async def create(self, cluster: str, pool: str, template: Template, replicas: int | None = None) -> Pool:
        spec = {"template": template.manifest(), **scaling(replicas)}
        created = await self._change("POST", cluster, "", {"name": pool, "spec": spec})
        with _understanding():
            told = await created.json()
            made = Pool.parse(told)
            _tell_what_is_lacking(cluster, told.get("lacking"))
        return made

    async def scale(self, cluster: str, pool: str, replicas: int) -> None:
        await self._change("PATCH", cluster, f"/{quote(pool, safe='')}", {"spec": {"replicas": replicas}})

    async def delete(self, cluster: str, pool: str) -> None:
        await self._change("DELETE", cluster, f"/{quote(pool, safe='')}")

    async def _change(self, method: str, cluster: str, path: str, body: Any = None) -> Any:
        try:
            return await self._gateway._request(method, self._url(cluster) + path, json=body)
        except GatewayAwayError:
            raise
        except (ValueError, GatewayClusterError, aiohttp.ClientResponseError) as error:
            done = {"POST": "the worker pool", "PATCH": "a new number for the worker pool"}
            what = done.get(method, "to delete the worker pool")
            raise PoolRefusedError(
                f"The gateway refused {what} of cluster {cluster}: {_said(error)}"
            ) from error

    async def list(self, cluster: str) -> list[Pool]:
        try:
            response = await self._gateway._request("GET", self._url(cluster))
        except ValueError as error:
            if not is_unknown(error):
                raise
            raise PoolsNotThereError(f"The gateway has no worker pools of {cluster}: {error}") from error
        with _understanding():
            answer = await response.json()
            return [Pool.parse({**shown, "wanted": answer.get("wanted")}) for shown in answer["pools"]]

    async def logs(self, cluster: str, pool: str) -> Sequence[WorkerLog] | None:
        try:
            response = await self._gateway._request(
                "GET", f"{self._url(cluster)}/{quote(pool, safe='')}/logs"
            )
        except ValueError as error:
            if not is_unknown(error):
                raise
            return None  # a gateway without this route, or the pool has just been deleted
        with _understanding():
            return WorkerLogs.model_validate(await response.json()).workers


@contextmanager
def _understanding() -> Iterator[None]:
    try:
        yield
    except (
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
        aiohttp.ContentTypeError,
    ) as error:
        _log.debug("The gateway's answer about pools", exc_info=True)
        raise PoolsNotUnderstoodError(
            "What the gateway says of this cluster's worker pools is not understood; it may be newer than "
            "this htcdask, or something else answers in its place"
        ) from error


def _tell_what_is_lacking(cluster: str, names: Any) -> None:
    """The gateway's configuration of Kubernetes workers, as an option may have changed it."""
    if isinstance(names, list) and names:
        some = ", ".join(f"{name:.80}" for name in map(str, names[:_MOST_SHOWN]))
        more = f" and {len(names) - _MOST_SHOWN} more" if len(names) > _MOST_SHOWN else ""
        warnings.warn(
            GatewayWarning(
                f"The gateway's options for cluster {cluster} say of Kubernetes workers what its HTCondor "
                f"workers cannot have ({some}{more}): ask your site for a profile that does the same"
            ),
            stacklevel=2,
        )


def _said(error: Exception) -> str:
    said = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"
