"""`HTCGatewayCluster`: dask-gateway's cluster object, which also knows its HTCondor workers.

Called by users and by `HTCGateway`. Promises everything of `dask_gateway.GatewayCluster`; adds `pools`,
`explain()`, `logs()` and a line in the widget.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from typing import Any

from dask_gateway import Gateway, GatewayCluster

from ._auth import choose_auth
from ._config import ClientConfig
from ._explain import ClusterExplanation, one_line, status_html
from ._gateway import HTCGateway
from ._pools import Pool

logger = logging.getLogger(__name__)


class HTCGatewayCluster(GatewayCluster):  # type: ignore[misc]
    """A dask-gateway cluster with HTCondor workers.

    Takes what `dask_gateway.GatewayCluster` takes, and the keywords of `HTCGateway.new_cluster`.
    """

    _last_pools: tuple[Pool, ...] | None = None
    _pool_line: Any = None
    _pool_watch: asyncio.Task[None] | None = None

    def _init_internal(self, **kwargs: Any) -> None:
        kwargs["auth"] = choose_auth(kwargs.get("address"), kwargs.get("auth"))
        try:
            super()._init_internal(**kwargs)
        except BaseException:
            # Left to the garbage collector, this would be closed from any thread at any time: it can block
            # the start of the next gateway's loop.
            if not kwargs.get("asynchronous") and hasattr(self, "gateway"):
                self.gateway.close()
            raise

    @property
    def gateway(self) -> HTCGateway:
        """The gateway that this cluster belongs to."""
        return self._gateway

    @gateway.setter
    def gateway(self, gateway: Gateway) -> None:
        # GatewayCluster names its own class where it makes this. Ours has more methods and the same state.
        if type(gateway) is Gateway:
            gateway.__class__ = HTCGateway
        self._gateway: HTCGateway = gateway

    @property
    def pools(self) -> Any:
        """The cluster's worker pools, oldest first, as they are now (to be awaited if asynchronous)."""
        return self.gateway.sync(self._ask_pools)

    def explain(self) -> Any:
        """Where the HTCondor workers are, and why the missing ones are missing.

        The answer prints as text and shows as HTML in a notebook (to be awaited if asynchronous).
        """
        return self.gateway.sync(self._explain)

    def logs(self) -> Any:
        """The last lines of the workers that failed lately, by worker (to be awaited if asynchronous)."""
        return self.gateway.sync(self._logs)

    async def _ask_pools(self) -> list[Pool]:
        pools = await self.gateway._pools(self.name)
        self._last_pools = tuple(pools)
        return pools

    async def _explain(self) -> ClusterExplanation:
        return ClusterExplanation(cluster=self.name, pools=tuple(await self._ask_pools()))

    async def _logs(self) -> dict[str, str]:
        failures = (failure for pool in await self._ask_pools() for failure in pool.status.recent_failures)
        return {failure.worker: failure.log_tail for failure in failures if failure.log_tail}

    def __repr__(self) -> str:
        seen = "; ".join(one_line(pool.status) for pool in self._last_pools or ())
        return f"HTCGatewayCluster<{self.name}, status={self.status}{', ' if seen else ''}{seen}>"

    def _repr_html_(self) -> str:
        html: str = super()._repr_html_()
        return html if self._last_pools is None else html + status_html(self._last_pools)

    def _widget(self) -> Any:
        box = super()._widget()
        if box is not None and self._pool_line is None:
            from ipywidgets import HTML

            self._pool_line = HTML("")
            box.children = (*box.children, self._pool_line)
            self.loop.add_callback(self._start_watch)
        return box

    def _start_watch(self) -> None:
        if self.status == "running":
            interval = ClientConfig.read().status_interval
            self._pool_watch = asyncio.ensure_future(_watch(weakref.ref(self), interval))

    async def _stop_async(self) -> None:
        if self._pool_watch is not None:
            self._pool_watch.cancel()
            await asyncio.wait([self._pool_watch])
        await super()._stop_async()


async def _watch(cluster_of: weakref.ref[HTCGatewayCluster], interval: float) -> None:
    """Keep a displayed widget's line true, without keeping its cluster alive."""
    while (cluster := cluster_of()) is not None:
        try:
            cluster._pool_line.value = status_html(await cluster._ask_pools())
        except Exception as error:  # the widget says it; the cluster goes on
            logger.debug("The worker pools of %s could not be read", cluster.name, exc_info=True)
            cluster._pool_line.value = (
                f"<p><b>HTCondor:</b> not known at the moment ({type(error).__name__})</p>"
            )
        del cluster
        await asyncio.sleep(interval)
