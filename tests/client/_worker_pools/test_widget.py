"""The line under dask-gateway's widget, on a real gateway."""

import asyncio
from typing import Any

import dask

from tests.client.gateway_site import Site


def test_the_widget_has_one_line_about_htcondor_and_keeps_it_true(site: Site) -> None:
    with (
        dask.config.set({"htcdask.status-interval": "50ms"}),
        site.gateway("widget") as gateway,
        gateway.new_cluster() as cluster,
    ):
        line = cluster._widget().children[-1]
        assert cluster._widget().children[-1] is line
        gateway.sync(becomes, line, "0 of 0 workers connected")
        site.tell(cluster.name, desiredReplicas=3)
        gateway.sync(becomes, line, "0 of 3 workers connected")
        gateway.stop_cluster(cluster.name)
        assert "has ended" in str(cluster.explain())
        gateway.sync(becomes, line, "the cluster has ended (STOP")


async def becomes(widget: Any, text: str) -> None:
    """Wait until the widget shows the text."""
    shown = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(change: Any = None) -> None:
        if text in widget.value:
            loop.call_soon_threadsafe(shown.set)

    widget.observe(look, "value")
    look()
    await asyncio.wait_for(shown.wait(), 20)
