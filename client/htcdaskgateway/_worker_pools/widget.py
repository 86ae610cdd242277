"""dask-gateway's own widget with the state of the pools below, and the task that keeps it true.

Called by the cluster object when a notebook shows it. ipywidgets is imported only then: without it
dask-gateway shows no widget at all.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any, Final

from dask_gateway import GatewayCluster

from htcdaskgateway._worker_pools import panel, turns
from htcdaskgateway._worker_pools.pool import Pool

_log = logging.getLogger(__name__)

_UNSEEN_SECONDS: Final = 1.0  # between two looks at whether somebody sees it again
_ANSWER_SECONDS: Final = 10.0

ListPools = Callable[[], Coroutine[Any, Any, list[Pool]]]


class Panel:
    """Two lines at the end of the widget `box`: what changes each time, and what may stay unfolded."""

    def __init__(self, box: Any) -> None:
        from ipywidgets import HTML

        self.bars, self.failures = HTML(""), HTML("")
        self._box, self._was_counted, self._ended = box, False, False
        box.children = (*box.children, self.bars, self.failures)
        box._view_count = 0  # from now on the notebook counts the places where it is shown
        box.observe(self._counted, "_view_count")

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more: the widget is closed, or its cluster has ended."""
        return self._ended or self._box.comm is None

    @property
    def is_shown(self) -> bool:
        """Whether some cell shows it, as far as this notebook counts that at all."""
        return bool(self._box._view_count) or not self._was_counted

    def _counted(self, change: Any) -> None:
        self._was_counted = True

    def show(self, pools: list[Pool]) -> None:
        self.bars.value = panel.bars(pools)
        self.failures.value = panel.failures(pools)

    def say(self, text: str) -> None:
        """`text` in place of the pools."""
        self.bars.value, self.failures.value = f"<p><b>HTCondor:</b> {text}</p>", ""

    def end(self, text: str) -> None:
        """`text` in place of the pools, for good."""
        self.say(text)
        self._ended = True


async def keep_current(
    shown: Panel, cluster: str, list_pools: weakref.WeakMethod[ListPools], interval: float
) -> None:
    """Keep the panel true every `interval` seconds, while a cell shows it, until the cluster is collected.

    `list_pools` is a weak reference to a method of the cluster object: showing it must not keep it alive.
    """
    while list_pools() is not None and not shown.is_over:
        if not shown.is_shown:
            await asyncio.sleep(_UNSEEN_SECONDS)
            continue
        await turns.turn()
        if (ask := list_pools()) is None or not shown.is_shown:
            continue
        try:
            pools = await asyncio.wait_for(ask(), _ANSWER_SECONDS)
            if not shown.is_over:
                shown.show(pools)
        except Exception as error:  # the widget says it; the cluster goes on
            _log.debug("The worker pools of %s could not be read", cluster, exc_info=True)
            shown.say(f"not known at the moment ({type(error).__name__})")
        del ask
        await asyncio.sleep(interval)


def of_asynchronous(cluster: GatewayCluster) -> tuple[Any, Any]:
    """dask-gateway's own widget for a cluster whose methods are to be awaited, and its line of counts.

    None where ipywidgets is not installed. dask-gateway has none for such a cluster, as nobody awaits what
    its buttons call.
    """
    controls = _Controls(cluster)
    return GatewayCluster._widget(controls), getattr(controls, "_status_widget", None)


class _Controls:
    """All that dask-gateway's widget knows of its cluster."""

    asynchronous = False

    def __init__(self, cluster: Any) -> None:
        self._cluster = cluster
        self.name, self.dashboard_link = cluster.name, cluster.dashboard_link

    def _widget_status(self) -> Any:
        return self._cluster._widget_status()

    def scale(self, n: int) -> None:
        self._begin(self._cluster.scale(n))

    def adapt(self, minimum: int, maximum: int) -> None:
        self._begin(self._cluster.adapt(minimum=minimum, maximum=maximum))

    def _begin(self, call: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(self._logged(call), self._cluster.loop.asyncio_loop)

    async def _logged(self, call: Coroutine[Any, Any, None]) -> None:
        try:
            await call
        except Exception as error:
            _log.exception("Cluster %s: %s", self.name, error)
