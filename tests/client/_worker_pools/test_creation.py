"""A cluster that gets no pool is stopped, and the error says what came of it."""

import asyncio
from typing import Any

import pytest
from dask_gateway import GatewayClusterError

from htcdaskgateway import PoolRefusedError
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
