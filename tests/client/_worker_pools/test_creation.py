"""A cluster that gets no pool is stopped, and the error says what came of it."""

import asyncio
from typing import Any

import pytest
from dask_gateway import GatewayClusterError

from htcdaskgateway import HTCGateway, PoolRefusedError
from htcdaskgateway._worker_pools import creation
from tests.client.gateway_site import IMAGE, Site


def test_a_refused_pool_names_the_field_and_says_that_the_cluster_is_gone(site: Site) -> None:
    with site.gateway("refused") as gateway:
        with pytest.raises(
            PoolRefusedError, match=r"spec\.template\.containerImage: .*not allowed"
        ) as refused:
            gateway.submit(container_image="/refused/by/the/site.sif")
        assert "The cluster was stopped; nothing is left behind." in str(refused.value)
        assert isinstance(refused.value, (GatewayClusterError, ValueError))
        assert gateway.list_clusters() == []


def test_a_cluster_that_cannot_be_stopped_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.gateway("stuck") as gateway:
        ask = gateway._request

        async def unreachable(method: str, url: str, json: Any = None) -> Any:
            if method == "DELETE":
                raise ConnectionResetError(url)
            return await ask(method, url, json=json)

        with monkeypatch.context() as broken, pytest.raises(PoolRefusedError) as refused:
            broken.setattr(gateway, "_request", unreachable)
            gateway.submit(container_image="/refused/by/the/site.sif")
        [report] = gateway.list_clusters()
        assert f"try gateway.stop_cluster('{report.name}')" in str(refused.value)
        gateway.stop_cluster(report.name)


async def test_an_interrupted_pool_leaves_no_cluster(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.gateway("interrupted", asynchronous=True) as gateway:
        reached = asyncio.Event()
        ask = gateway._request

        async def slow(method: str, url: str, json: Any = None) -> Any:
            if url.endswith("/htcondor/pools"):
                reached.set()
                await asyncio.Event().wait()
            return await ask(method, url, json=json)

        monkeypatch.setattr(gateway, "_request", slow)
        submitting = asyncio.ensure_future(gateway.submit(container_image=IMAGE))
        await reached.wait()
        assert len(await gateway.list_clusters()) == 1
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        assert await gateway.list_clusters() == []


async def test_a_cluster_is_stopped_however_often_its_making_is_cancelled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached = asyncio.Event()
    ask = HTCGateway._request

    async def slow(self: HTCGateway, method: str, url: str, json: Any = None) -> Any:
        if url.endswith("/htcondor/pools") and method == "POST":
            reached.set()
            await asyncio.Event().wait()
        if method == "DELETE":
            await asyncio.sleep(0.8)  # _tasks.end cancels once more meanwhile, and so does this test
        return await ask(self, method, url, json=json)

    monkeypatch.setattr(HTCGateway, "_request", slow)
    async with site.gateway("cancelled", asynchronous=True) as gateway:
        starting = asyncio.ensure_future(gateway.new_cluster(container_image=IMAGE)._start_internal())
        await reached.wait()
        for _ in range(3):
            starting.cancel()
            await asyncio.sleep(0.1)
        with pytest.raises(asyncio.CancelledError):
            await starting
        assert await gateway.list_clusters() == []


async def test_a_loop_that_ends_before_its_cluster_says_so(caplog: pytest.LogCaptureFixture) -> None:
    class Silent:
        async def _stop_cluster(self, name: str) -> None:
            await asyncio.Event().wait()

    before = asyncio.all_tasks()
    stopping = asyncio.ensure_future(creation.stop(Silent(), "c1"))
    await asyncio.sleep(0.01)
    for task in asyncio.all_tasks() - before:  # as asyncio.run does at its end
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert "cluster c1 may go on: end it by gateway.stop_cluster('c1')" in caplog.text


async def test_a_gateway_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Silent:
        def __init__(self, stops: bool) -> None:
            self.stops = stops

        async def _stop_cluster(self, name: str) -> None:
            await asyncio.sleep(0 if self.stops else 60)

        async def _cluster_report(self, name: str) -> None:
            await asyncio.sleep(60)

    for which in ("_ANSWER_SECONDS", "_STOP_SECONDS"):
        monkeypatch.setattr(creation, which, 0.1)
    said = await asyncio.wait_for(creation.stop(Silent(stops=True), "c1"), 5)
    assert said == "The cluster is being stopped."
    assert not caplog.records
    said = await asyncio.wait_for(creation.stop(Silent(stops=False), "c2"), 5)
    assert said == "The cluster could not be stopped: try gateway.stop_cluster('c2')."
    assert "cluster c2 may go on" in caplog.text
