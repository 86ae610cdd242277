"""The client's errors are dask-gateway's own, hold no credential, and name the keyword that was meant."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import dask_gateway
import pytest
from aiohttp import web
from dask_gateway.auth import BasicAuth, JupyterHubAuth

import htcdaskgateway
from htcdask_api import Template
from htcdaskgateway import HTCDaskError, HTCGateway, _answers
from htcdaskgateway._answers import is_unknown
from htcdaskgateway._errors import PoolsNotThereError, refuse_others
from htcdaskgateway._worker_pools.adapting import Adapting
from htcdaskgateway._worker_pools.gateway_route import RoutePools

SECRETS = ("sesame", "YWRhOnNlc2FtZQ", "Authorization", "cookie-42")


@asynccontextmanager
async def gateway_that_says(
    status: int, text: str = "<html>", kind: str = "text/html"
) -> AsyncIterator[HTCGateway]:
    """It has heard the password, and answers everything so."""

    async def answer(request: web.Request) -> web.Response:
        known = "Authorization" in request.headers
        headers = {"WWW-Authenticate": "Basic", "Set-Cookie": "gateway=cookie-42"}
        page = web.Response(status=status if known else 401, headers=headers, text=text)
        page.content_type = kind
        return page

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


def holds_none(error: BaseException | None) -> None:
    """It, and what it came from."""
    while error is not None:
        shown = f"{error!r} {error} {error.args!r} {vars(error)!r}"
        assert not [secret for secret in SECRETS if secret in shown]
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("status", [200, 401, 403, 418, 502, 503])
async def test_no_error_holds_the_password(status: int) -> None:
    async with gateway_that_says(status) as gateway:
        for _ in range(2):  # the second time by the cookie
            with pytest.raises(aiohttp.ClientResponseError) as failed:
                await gateway.list_clusters()
            assert failed.value.status == status
            holds_none(failed.value)
        with pytest.raises(HTCDaskError) as not_understood:
            await RoutePools(gateway).create("gateway.x", "more", Template(), 1)
        holds_none(not_understood.value)


async def test_a_password_that_cannot_be_sent_is_not_shown() -> None:
    async with gateway_that_says(200) as gateway:
        gateway.auth.password = "sesame\N{EURO SIGN}"
        for ask in (gateway.list_clusters, lambda: RoutePools(gateway).list("gateway.x")):
            with pytest.raises(ValueError, match="a character that a login by HTTP cannot carry") as failed:
                await ask()
            assert not isinstance(failed.value, (UnicodeError, PoolsNotThereError))
            assert not is_unknown(failed.value)
            holds_none(failed.value)


@pytest.mark.parametrize("address", ["htps://ada:sesame@gateway.example", "http://ada:sesame@"])
def test_an_address_that_is_none_is_not_shown_with_its_password(address: str) -> None:
    with (
        pytest.raises(ValueError, match=r"http|^/api") as refused,
        HTCGateway(address, auth="basic") as gateway,
    ):
        gateway.list_clusters()
    holds_none(refused.value)


async def test_what_a_library_below_refuses_is_no_answer() -> None:
    async with gateway_that_says(200) as gateway:
        gateway.auth = JupyterHubAuth("sesame\n")
        with pytest.raises(ValueError, match=r".") as failed:
            await gateway.list_clusters()
        assert not is_unknown(failed.value)
        with pytest.raises(ValueError, match=r"."):  # and not "its extension is missing"
            await gateway.profiles()


OWN = [('{"error": "Cluster gateway.x not found"}', "application/json"), ("404: Not Found", "text/plain")]
OTHERS = [
    ("404 page not found\n", "text/plain"),  # Traefik's, while the gateway's pod is replaced
    ("default backend - 404", "text/plain"),
    ("<html><title>404: Not Found</title>", "text/html"),
    ('{"status": 404, "message": "Not Found"}', "application/json"),
    ("[]", "application/json"),
    ("\x1b[2J" + "x" * 5000, "application/json"),
]


@pytest.mark.parametrize(("text", "kind"), OWN)
async def test_a_404_of_the_gateway_is_an_answer(text: str, kind: str) -> None:
    async with gateway_that_says(404, text, kind) as gateway:
        with pytest.raises(ValueError, match=r"not found|Not Found") as failed:
            await gateway.list_clusters()
        assert is_unknown(failed.value)
        with pytest.raises(PoolsNotThereError):
            await RoutePools(gateway).list("gateway.x")


@pytest.mark.parametrize(("text", "kind"), OTHERS)
async def test_a_404_in_the_gateway_s_place_says_nothing_of_clusters(text: str, kind: str) -> None:
    async with gateway_that_says(404, text, kind) as gateway:
        pools = RoutePools(gateway)
        for ask in (
            gateway.list_clusters(),
            gateway.profiles(),
            pools.list("gateway.x"),
            pools.logs("gateway.x", "default"),
            pools.create("gateway.x", "more", Template(), 1),
        ):
            with pytest.raises(
                htcdaskgateway.GatewayAwayError, match=r"404 .*It may be restarting"
            ) as failed:
                await ask
            assert isinstance(failed.value, (ValueError, dask_gateway.GatewayServerError))
            assert not is_unknown(failed.value)
            assert len(str(failed.value)) < 400
            assert "\x1b" not in str(failed.value)
            holds_none(failed.value)


def test_a_proxy_s_password_is_not_shown() -> None:
    how = {"proxy": "http://proxy.example", "proxy_auth": aiohttp.BasicAuth("ada", "sesame")}
    _answers.hide_proxy_password(how)
    assert "sesame" not in repr(how)
    assert how["proxy_auth"] == aiohttp.BasicAuth("ada", "sesame")


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
