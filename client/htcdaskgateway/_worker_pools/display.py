"""`ClusterOnDisplay`: how a cluster object shows itself, with its pools: as text, as HTML and as a widget.

The base class of `ClusterWithPools`. What it shows of the pools is what somebody asked for last, and the text
says when that was.
"""

import asyncio
import time
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from htcdaskgateway import _tasks
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools import panel, waiting, widget
from htcdaskgateway._worker_pools.addresses import ClusterWithAddresses
from htcdaskgateway._worker_pools.explanation import CLOSED
from htcdaskgateway._worker_pools.pool import Pool, lines


class ClusterOnDisplay(ClusterWithAddresses):
    """A cluster as people see it."""

    _list_pools: Callable[[], Coroutine[Any, Any, list[Pool]]]

    _last_pools: tuple[Pool, ...] | None = None
    _looked_at = ""
    _panel: Any = None
    _ended: tuple[str, str] | None = None  # the status, and a sentence: once the gateway has said so
    _pool_watch: asyncio.Task[None] | None = None
    _telling: asyncio.Task[None] | None = None

    def _saw(self, pools: Sequence[Pool]) -> None:
        self._last_pools, self._looked_at = tuple(pools), time.strftime("%H:%M:%S")

    def _learn_end(self, status: str, sentence: str) -> None:
        """What the gateway said last is what repr and widget show; a cluster that has ended stays so."""
        self._ended = (status, sentence)
        if self._panel is not None:
            self._panel.end(sentence)

    @property
    def _end(self) -> str | None:
        """A sentence, once the gateway has said that the cluster has ended."""
        return None if self._ended is None else self._ended[1]

    def __repr__(self) -> str:
        name, status = getattr(self, "name", None), getattr(self, "status", "failed")
        if self._ended is not None and status not in ("closing", "closed"):
            return f"HTCGatewayCluster<{name}, status={self._ended[0]}>"
        told = f"HTCGatewayCluster<{name}, status={status}"
        if status != "running":
            return f"{told}>"
        count = len(self.scheduler_info.get("workers", ()))  # as the scheduler said last
        seen = lines(self._last_pools or ())
        return f"{told}, workers={count}{f'; at {self._looked_at} ' if seen else ''}{seen}>"

    def _repr_html_(self) -> str:
        html: str = super()._repr_html_()
        if self._ended is not None:
            return html + panel.situation(self._ended[1])
        pools = self._last_pools
        return html if pools is None else html + panel.bars(pools) + panel.failures(pools)

    def _ipython_display_(self, **kwargs: Any) -> None:
        if self.status != "running" or self._widget() is not None:
            super()._ipython_display_(**kwargs)
        elif not self.asynchronous:
            self.gateway.sync(waiting.look, self._list_pools)
            super()._ipython_display_(**kwargs)
        else:
            from IPython.display import display

            handle = display(self._data(), raw=True, display_id=True, **kwargs)
            self._telling = asyncio.ensure_future(self._complete(handle))

    def _data(self) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    async def _complete(self, handle: Any) -> None:
        """Once, as nothing says when the cell is gone: whoever wants to know more shows the cluster again."""
        if await waiting.look(self._list_pools) is not None and handle is not None:
            handle.update(self._data(), raw=True)

    def _widget(self) -> Any:
        if self.asynchronous and not hasattr(self, "_cached_widget") and self.status == "running":
            self._cached_widget, counts = widget.of_asynchronous(self)
            if counts is not None:  # kept true by dask-gateway's own watch
                self._status_widget = counts
        box = super()._widget()
        if box is not None and self._panel is None:
            self._panel = widget.Panel(box)
            self.loop.add_callback(self._start_watch)
        return box

    def _start_watch(self) -> None:
        if self.status == "running":
            interval = ClientConfig.read().status_interval
            list_pools = weakref.WeakMethod(self._list_pools)
            watch = widget.keep_current(self._panel, self.name, list_pools, interval)
            self._pool_watch = asyncio.ensure_future(watch)

    async def _stop_async(self) -> None:
        if self._pool_watch is not None:
            await _tasks.end(self._pool_watch)
        await super()._stop_async()
        if self._panel is not None:
            self._panel.say(CLOSED)
