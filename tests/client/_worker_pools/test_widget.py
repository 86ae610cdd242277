"""The pools in dask-gateway's widget, on a real gateway; and what is shown where there is no widget."""

import asyncio
import logging
import sys
from typing import Any

import dask
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from htcdaskgateway import HTCGateway
from tests.client.gateway_site import Site
from tests.client.pool_statuses import condition

FAILED = {
    "desiredReplicas": 3,
    "recentFailures": [{"time": "now", "worker": "w-1", "reason": "Exited", "logTail": "boom"}],
}


@pytest.fixture
def often() -> Any:
    with dask.config.set({"htcdask.status-interval": "50ms"}):
        yield


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each question about pools that a gateway gets."""
    asked: list[str] = []
    ask = HTCGateway._request

    async def counted(self: HTCGateway, method: str, url: str, json: Any = None) -> Any:
        if url.endswith("/htcondor/pools") and method == "GET":
            asked.append(url)
        return await ask(self, method, url, json=json)

    monkeypatch.setattr(HTCGateway, "_request", counted)
    return asked


@pytest.fixture
def no_ipywidgets(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.mark.usefixtures("often")
def test_the_widget_shows_the_pools_and_keeps_them_true(site: Site) -> None:
    with site.gateway("widget") as gateway, gateway.new_cluster() as cluster:
        box = cluster._widget()
        bars, failures = box.children[-2:]
        assert cluster._widget().children[-2:] == (bars, failures)
        assert box.children[0].value == "<h2>GatewayCluster</h2>"  # dask-gateway's own is still there
        gateway.sync(becomes, bars, "0 of 0 workers connected")
        site.tell(cluster.name, **FAILED)
        gateway.sync(becomes, bars, "0 of 3 workers connected")
        assert "<pre>boom</pre>" in failures.value
        gateway.stop_cluster(cluster.name)
        assert "has ended" in str(cluster.explain())
        gateway.sync(becomes, bars, "the cluster has ended (STOP")
    assert "this object is closed" in bars.value


@pytest.mark.usefixtures("often")
def test_a_cluster_that_somebody_else_ended_says_so_and_asks_no_more(site: Site) -> None:
    with site.gateway("ended") as gateway, gateway.new_cluster() as cluster:
        bars = cluster._widget().children[-2]
        gateway.sync(becomes, bars, "0 of 0 workers connected")
        site.tell(cluster.name, conditions=[condition("Ready", "True", "Ended")])
        gateway.sync(becomes, bars, "the cluster has ended")
        assert "status=ended" in repr(cluster)
        gateway.sync(asyncio.sleep, 0.2)
        assert cluster._pool_watch.done()


@pytest.mark.usefixtures("often")
def test_a_widget_that_no_cell_shows_asks_nothing(site: Site, asked: list[str]) -> None:
    with site.gateway("gone") as gateway, gateway.new_cluster() as cluster:
        box = cluster._widget()
        box._view_count = 1
        gateway.sync(becomes, box.children[-2], "0 of 0 workers connected")
        box._view_count = 0
        gateway.sync(asyncio.sleep, 1.2)  # what was begun
        asked.clear()
        gateway.sync(asyncio.sleep, 2.5)
        assert asked == []
        site.tell(cluster.name, desiredReplicas=4)
        box._view_count = 1
        gateway.sync(becomes, box.children[-2], "0 of 4 workers connected")
        box.close()
        gateway.sync(asyncio.sleep, 1.2)
        assert cluster._pool_watch.done()


@pytest.mark.usefixtures("often")
def test_all_widgets_of_a_notebook_ask_once_a_second(site: Site, asked: list[str]) -> None:
    with site.gateway("many") as gateway:
        clusters = [gateway.new_cluster() for _ in range(3)]
        asked.clear()
        for cluster in clusters:
            cluster._widget()
        gateway.sync(asyncio.sleep, 4.5)
        assert 3 <= len(asked) <= 6
        assert len(set(asked)) == 3, "each has its turn"
        for cluster in clusters:
            cluster.close()


@pytest.mark.usefixtures("often")
async def test_an_asynchronous_cluster_has_the_widget_and_its_buttons_work(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.gateway("widget-async", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        box = cluster._widget()
        assert cluster._widget() is box
        await becomes(box.children[-2], "0 of 0 workers connected")
        status, accordion = box.children[1].children
        assert status is cluster._status_widget
        (request, scale), (minimum, maximum, adapt) = (row.children for row in accordion.children)
        request.value = 2
        scale.click()
        async with cluster.get_client() as client:
            await client.wait_for_workers(2, timeout=30)
        await becomes(status, "<td>2</td>")
        minimum.value, maximum.value = 0, 1
        adapt.click()
        with caplog.at_level(logging.ERROR):
            request.value = -1
            scale.click()
            await asyncio.sleep(0.5)
        assert "n must be a number of workers from 0, got -1" in caplog.text


def test_without_ipywidgets_there_is_html_and_a_text(site: Site, no_ipywidgets: InteractiveShell) -> None:
    with site.gateway("html") as gateway, gateway.new_cluster() as cluster:
        site.tell(cluster.name, **FAILED)
        with capture_output() as shown:
            cluster._ipython_display_()
        [output] = shown.outputs
        assert "0 of 3 workers connected" in output.data["text/plain"]
        assert "<details><summary>1 worker failed lately" in output.data["text/html"]
        assert "<h3>GatewayCluster</h3>" in output.data["text/html"]


async def test_without_ipywidgets_an_asynchronous_cluster_completes_its_html_once(
    site: Site, no_ipywidgets: InteractiveShell, asked: list[str]
) -> None:
    async with site.gateway("html-async", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        await site.set_status(cluster.name, FAILED)
        asked.clear()
        with capture_output() as shown:
            cluster._ipython_display_()
            await cluster._telling
        first, second = shown.outputs
        assert first._repr_html_() is not None
        assert "0 of 3 workers connected" in second._repr_html_()
        await asyncio.sleep(1.5)
        assert len(asked) == 1


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
