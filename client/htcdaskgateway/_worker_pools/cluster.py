"""`ClusterWithPools`: dask-gateway's cluster object, which also shows its worker pools.

The base class of `HTCGatewayCluster`. Adds `pools`, `explain()`, `logs()` and a line in the widget; changes
nothing of what `dask_gateway.GatewayCluster` does.
"""

import asyncio
import weakref
from typing import Any, Final

import aiohttp
from dask_gateway import Gateway, GatewayCluster, GatewayClusterError, GatewayServerError
from dask_gateway.client import ClusterReport, ClusterStatus

from htcdask_api import names
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import PoolsNotThereError
from htcdaskgateway._worker_pools import widget
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.explanation import (
    CLOSED,
    KUBERNETES,
    NO_EXTENSION,
    SHUT_DOWN,
    UNKNOWN,
    ClusterExplanation,
    situation_html,
    status_html,
)
from htcdaskgateway._worker_pools.logs import LINES, ClusterLogs, of_failed, of_running
from htcdaskgateway._worker_pools.pool import Pool, one_line

_ASK_SECONDS: Final = 10.0
_ONCE_MORE_SECONDS: Final = 1.0


async def refuse_unknown_cluster(gateway: Gateway, cluster: str) -> None:
    """Raise dask-gateway's ValueError if the gateway does not know the cluster.

    Asked to wait for it, the gateway would look for one that never was for twenty seconds. It learns of a
    cluster that another process has just made a moment later, so it is asked once more.
    """
    try:
        await gateway._cluster_report(cluster)
    except ValueError as error:
        if not _is_unknown(error):
            raise
        await asyncio.sleep(_ONCE_MORE_SECONDS)
        await gateway._cluster_report(cluster)


def _is_unknown(error: ValueError) -> bool:
    """Whether this is dask-gateway's word for a 404; subclasses are answers not understood."""
    return type(error) is ValueError


class ClusterWithPools(GatewayCluster):  # type: ignore[misc]
    """A cluster whose workers come from worker pools."""

    _last_pools: tuple[Pool, ...] | None = None
    _pool_line: Any = None
    _ended: tuple[str, str] | None = None  # the status, and a sentence: once the gateway has said so
    _pool_watch: asyncio.Task[None] | None = None

    @property
    def pools(self) -> Any:
        """The cluster's worker pools, oldest first, as they are now (to be awaited if asynchronous)."""
        return self.gateway.sync(self._list_pools)

    @property
    def is_shutdown(self) -> bool:
        """Whether the gateway has taken this object's word that the cluster ends."""
        return self.name in getattr(self.gateway, "_stopped_clusters", ())

    def explain(self) -> Any:
        """Where the HTCondor workers are, and why the missing ones are missing.

        The answer prints as text, shows as HTML in a notebook, and is data by `.to_dict()` (to be awaited if
        asynchronous).
        """
        if not self.asynchronous and not self.gateway._loop_runner.is_started():
            return ClusterExplanation(self.name, (), SHUT_DOWN if self.is_shutdown else CLOSED)
        return self.gateway.sync(self._explain)

    def get_client(self, set_as_default: bool = True) -> Any:
        """A `distributed.Client` of this cluster; GatewayClusterError or ValueError if it has ended."""
        if not self.asynchronous:
            if self.status in ("closing", "closed"):
                raise GatewayClusterError(
                    f"Cluster {self.name} is closed here: gateway.connect(name) opens it"
                )
            self.gateway.sync(self._refuse_ended)
        return super().get_client(set_as_default=set_as_default)

    def logs(self, lines: int = LINES) -> Any:
        """The last lines of the scheduler, of workers that run, and of those that failed lately, by name.

        `lines`: of each process that runs; of a failed one the operator keeps what explains it. A dict of
        texts, with HTML in a notebook (to be awaited if asynchronous).
        """
        if not self.asynchronous and not self.gateway._loop_runner.is_started():
            return ClusterLogs()  # closed: whoever has a name can connect to the cluster again
        return self.gateway.sync(self._logs, lines)

    async def _list_pools(self) -> list[Pool]:
        pools = await pool_access(self.gateway, ClientConfig.read()).list(self.name)
        self._last_pools = tuple(pools)
        return pools

    async def _explain(self) -> ClusterExplanation:
        try:
            report = await self.gateway._cluster_report(self.name)
        except ValueError as error:
            if not _is_unknown(error):
                raise
            self._learn_end("ended", UNKNOWN)
            return ClusterExplanation(self.name, (), UNKNOWN)
        backend = report.options.get(names.WORKER_BACKEND_OPTION)
        situation = None if backend in (None, names.WORKER_BACKEND_HTCONDOR) else KUBERNETES
        situation = self._end_in(report) or situation
        try:
            pools = tuple(await self._list_pools())
        except PoolsNotThereError:
            pools = ()
            situation = situation or (NO_EXTENSION if backend is None else UNKNOWN)
        return ClusterExplanation(self.name, pools, situation)

    async def _refuse_ended(self) -> None:
        """Or a client would wait for half a minute for a scheduler that is not there any more."""
        try:
            report = await asyncio.wait_for(self.gateway._cluster_report(self.name), _ASK_SECONDS)
        except (OSError, TimeoutError, GatewayServerError, aiohttp.ClientError):
            return  # the scheduler may be there without its gateway
        if ended := self._end_in(report):
            raise GatewayClusterError(f"Cluster {self.name} is not running: {ended}")

    def _end_in(self, report: ClusterReport) -> str | None:
        """A sentence, if the gateway reports that the cluster has ended."""
        if report.status <= ClusterStatus.RUNNING:
            return None
        ended = f"the cluster has ended ({report.status.name}), and its jobs with it"
        self._learn_end(report.status.name.lower(), ended)
        return ended

    def _learn_end(self, status: str, sentence: str) -> None:
        """What the gateway said last is what repr and widget show; a cluster that has ended stays so."""
        self._ended = (status, sentence)
        if self._pool_watch is not None:
            self._pool_watch.cancel()
            self._pool_line.value = situation_html(sentence)

    async def _logs(self, lines: int) -> ClusterLogs:
        try:
            found = of_failed(await self._list_pools())
        except PoolsNotThereError:
            found = {}
        if self.scheduler_comm is None or self.status != "running":
            return ClusterLogs(found)
        workers = self.scheduler_info.get("workers", {})
        return ClusterLogs({**await of_running(self.scheduler_comm, workers, lines), **found})

    def __repr__(self) -> str:
        name, status = getattr(self, "name", None), getattr(self, "status", "failed")
        if self._ended is not None and status not in ("closing", "closed"):
            return f"HTCGatewayCluster<{name}, status={self._ended[0]}>"
        seen = "; ".join(one_line(pool.status) for pool in self._last_pools or ())
        return f"HTCGatewayCluster<{name}, status={status}{', ' if seen else ''}{seen}>"

    def _repr_html_(self) -> str:
        html: str = super()._repr_html_()
        if self._ended is not None:
            return html + situation_html(self._ended[1])
        return html if self._last_pools is None else html + status_html(self._last_pools)

    def _widget(self) -> Any:
        box = super()._widget()
        if box is not None and self._pool_line is None:
            self._pool_line = widget.add_line(box)
            self.loop.add_callback(self._start_watch)
        return box

    def _start_watch(self) -> None:
        if self.status == "running":
            interval = ClientConfig.read().status_interval
            list_pools = weakref.WeakMethod(self._list_pools)
            watch = widget.keep_current(self._pool_line, self.name, list_pools, interval)
            self._pool_watch = asyncio.ensure_future(watch)

    async def _stop_async(self) -> None:
        if self._pool_watch is not None:
            self._pool_watch.cancel()
            await asyncio.wait([self._pool_watch])
        await super()._stop_async()
