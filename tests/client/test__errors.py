"""The client's errors are dask-gateway's own, hold no credential, and name the keyword that was meant."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import dask_gateway
import pytest
from aiohttp import web
from dask_gateway.auth import BasicAuth

import htcdaskgateway
from htcdaskgateway import HTCGateway
from htcdaskgateway._errors import refuse_others
from htcdaskgateway._worker_pools.adapting import Adapting

SECRETS = ("sesame", "YWRhOnNlc2FtZQ", "Authorization")


@asynccontextmanager
async def gateway_that_says(status: int) -> AsyncIterator[HTCGateway]:
    """It has heard the password, and answers everything so."""

    async def answer(request: web.Request) -> web.Response:
        known = "Authorization" in request.headers
        return web.Response(status=status if known else 401, headers={"WWW-Authenticate": "Basic"})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with HTCGateway(address, auth=BasicAuth("ada", "sesame"), asynchronous=True) as gateway:
            yield gateway
    finally:
        await runner.cleanup()


def test_the_errors_are_dask_gateways_own() -> None:
    assert issubclass(htcdaskgateway.HTCDaskError, dask_gateway.GatewayClusterError)
    assert issubclass(htcdaskgateway.PoolRefusedError, ValueError)


@pytest.mark.parametrize("status", [401, 403, 418, 502, 503])
async def test_no_error_holds_the_password(status: int) -> None:
    async with gateway_that_says(status) as gateway:
        with pytest.raises(aiohttp.ClientResponseError) as failed:
            await gateway.list_clusters()
    error: BaseException | None = failed.value
    assert failed.value.status == status
    while error is not None:
        shown = f"{error!r} {error} {error.args!r} {vars(error)!r}"
        assert not [secret for secret in SECRETS if secret in shown]
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("status", [403, 502])
async def test_what_nobody_awaits_is_logged_without_it(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with gateway_that_says(status) as gateway:
        adaptive = Adapting(gateway.adapt_cluster("gateway.x", 0, 1), 0, 1)
        scaling = asyncio.create_task(gateway.scale_cluster("gateway.x", 1))
        await asyncio.wait([adaptive._task, scaling])
        del adaptive, scaling
        await asyncio.sleep(0)
        gc.collect()
    assert "adapt() failed: " in caplog.text
    assert "Task exception was never retrieved" in caplog.text
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("worker_memroy", "did you mean worker_memory?"),
        ("cores", "did you mean worker_cores?"),
        ("prof", "did you mean profile?"),
        ("n", "did you mean replicas?"),
        ("n_workers", "did you mean replicas?"),
        ("workers", "did you mean replicas?"),
        ("worker", "it takes name, replicas, profile, worker_cores, worker_gpus, worker_memory"),
        ("w", "it takes name, "),
        ("colour", "it takes name, "),
    ],
)
def test_the_keyword_that_was_meant_is_named_if_it_is_one(typed: str, said: str) -> None:
    words = ("name", "replicas", "profile", "worker_cores", "worker_gpus", "worker_memory")
    with pytest.raises(TypeError) as refused:
        refuse_others("add_pool", [typed], words, "replicas")
    assert str(refused.value).startswith(f"add_pool() has no keyword {typed!r}: {said}")


@pytest.mark.parametrize("typed", ["min", "minimum_jobs"])
def test_dask_jobqueue_s_words_for_adapt_are_known(typed: str) -> None:
    with pytest.raises(TypeError, match="did you mean minimum"):
        refuse_others("adapt", [typed], ("minimum", "maximum", "active"))
