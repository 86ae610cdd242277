"""The line about HTCondor under dask-gateway's own widget, and the task that keeps it true.

Called by the cluster object when a notebook shows it. ipywidgets is imported only then: without it
dask-gateway shows no widget at all.
"""

import asyncio
import logging
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

from htcdaskgateway._worker_pools.explanation import status_html
from htcdaskgateway._worker_pools.pool import Pool

_log = logging.getLogger(__name__)

ListPools = Callable[[], Coroutine[Any, Any, list[Pool]]]


def add_line(box: Any) -> Any:
    """A new, empty line at the end of the widget `box`."""
    from ipywidgets import HTML

    line = HTML("")
    box.children = (*box.children, line)
    return line


async def keep_current(
    line: Any, cluster: str, list_pools: weakref.WeakMethod[ListPools], interval: float
) -> None:
    """Write the pools' status into `line` every `interval` seconds, until the cluster object is collected.

    `list_pools` is a weak reference to a method of the cluster object: showing it must not keep it alive.
    """
    while (ask := list_pools()) is not None:
        try:
            line.value = status_html(await ask())
        except Exception as error:  # the widget says it; the cluster goes on
            _log.debug("The worker pools of %s could not be read", cluster, exc_info=True)
            line.value = f"<p><b>HTCondor:</b> not known at the moment ({type(error).__name__})</p>"
        del ask
        await asyncio.sleep(interval)
