"""What an asynchronous `adapt()` gives: awaited as dask-gateway's, and read as Dask's own `Adaptive`."""

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from htcdaskgateway._worker_pools.adapting import Adapting
from tests.client.gateway_site import Site


async def test_it_happens_also_where_nobody_awaits_it_and_its_bounds_are_there_at_once() -> None:
    heard: list[str] = []

    async def ask() -> None:
        heard.append("asked")

    made = Adapting(ask(), None, None)
    assert (made.minimum, made.maximum) == (0, math.inf)
    made = Adapting(ask(), 1, 5)
    assert (made.minimum, made.maximum) == (1, 5)
    await asyncio.sleep(0)
    assert heard == ["asked", "asked"]


async def _await(made: Adapting) -> None:
    await made


WAYS: dict[str, Callable[[Adapting], Awaitable[object]]] = {
    "await": _await,
    "create_task": lambda made: asyncio.create_task(made),
    "gather": lambda made: asyncio.gather(made),
    "wait_for": lambda made: asyncio.wait_for(made, 5),
}


@pytest.mark.parametrize("way", WAYS)
async def test_however_it_is_awaited_it_asks_once_and_its_error_is_raised(way: str) -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.01)
        raise ValueError("no such cluster")

    with pytest.raises(ValueError, match="no such cluster"):
        await WAYS[way](Adapting(ask(), 0, 1))
    assert asked == 1


@pytest.mark.parametrize("way", ["create_task", "gather", "wait_for"])
async def test_who_gives_it_up_ends_it(way: str) -> None:
    ended = asyncio.Event()

    async def ask() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    waiting = asyncio.ensure_future(WAYS[way](Adapting(ask(), 0, 1)))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(ended.wait(), 5)


async def test_it_is_awaited_again_like_a_future_and_run_again_like_a_coroutine() -> None:
    async def ask() -> None:
        await asyncio.sleep(0)

    made = Adapting(ask(), 0, 1)
    await made
    await made
    made = Adapting(ask(), 0, 1)
    await asyncio.create_task(made)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await asyncio.create_task(made)


async def test_a_button_in_another_thread_hands_it_to_the_cluster_s_loop(site: Site) -> None:
    """JupyterLab's messages of widgets may come in threads with loops of their own."""
    async with site.gateway("adapt-thread", asynchronous=True) as gateway:
        cluster = await gateway.new_cluster()
        loop = asyncio.get_running_loop()

        async def press() -> None:
            asyncio.run_coroutine_threadsafe(cluster.adapt(1, 1), loop).result(30)

        await asyncio.to_thread(asyncio.run, press())
        async with cluster.get_client(set_as_default=False) as client:
            await asyncio.wait_for(client.wait_for_workers(1), 60)
        await cluster.shutdown()


async def test_a_cluster_adapts_as_the_labextension_asks(site: Site) -> None:
    async with site.gateway("labextension", asynchronous=True) as gateway:
        cluster = await gateway.new_cluster()
        adaptive = cluster.adapt(minimum=1, maximum=2)
        assert (adaptive.minimum, adaptive.maximum) == (1, 2)
        async with cluster.get_client(set_as_default=False) as client:
            await asyncio.wait_for(client.wait_for_workers(1), 60)
        await cluster.adapt(0, 1)
        await cluster.shutdown()
