"""Which credential is sent to which address, and what the messages about it leave out."""

import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import dask
import pytest
import yaml
from aiohttp import ClientResponseError, web
from dask_gateway import Gateway
from dask_gateway.auth import BasicAuth, GatewayAuth, JupyterHubAuth

from htcdaskgateway import HTCDaskError, HTCGateway, HTCGatewayCluster
from htcdaskgateway._auth import choose_auth

TYPED = "https://gateway.example"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "hub-token")


@pytest.mark.usefixtures("hub")
class TestOnAJupyterHub:
    def test_the_configured_address_gets_the_hubs_token(self) -> None:
        assert isinstance(choose_auth(None), JupyterHubAuth)

    def test_a_typed_address_never_does(self) -> None:
        assert isinstance(choose_auth(TYPED), BasicAuth)

    def test_a_given_auth_is_kept(self) -> None:
        mine = BasicAuth("ada", "x")
        assert choose_auth(None, mine) is mine

    def test_configured_kwargs_mean_that_basic_was_meant(self) -> None:
        with dask.config.set({"gateway.auth.kwargs": {"username": "ada"}}):
            auth = choose_auth(None)
        assert isinstance(auth, BasicAuth)
        assert auth.username == "ada"

    def test_basic_that_a_site_wrote_down_is_meant(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DASK_GATEWAY__AUTH__TYPE", "basic")
        assert isinstance(choose_auth(None), BasicAuth)

    def test_a_gateway_by_configuration_alone(self) -> None:
        with dask.config.set({"gateway.address": TYPED}), HTCGateway() as gateway:
            assert isinstance(gateway.auth, JupyterHubAuth)
            assert gateway.address == TYPED


CONFIGURED = "https://hub.example/services/dask-gateway"
ELSEWHERE = [
    "https://gateway.example",
    "http://hub.example/services/dask-gateway",
    "https://hub.example:8443/services/dask-gateway",
    "https://hub.example.evil.example/services/dask-gateway",
    "https://hub.example@evil.example/services/dask-gateway",
    "https://hub.example\\@evil.example/services/dask-gateway",
    "https://evil.example/?https://hub.example/services/dask-gateway",
    "https://evil.example#@hub.example/services/dask-gateway",
    # Other users' servers, on the very same host.
    "https://hub.example/user/mallory/proxy/8000",
    "https://hub.example/services/dask-gateway-of-mallory",
    "https://hub.example/services/dask-gateway/../../user/mallory",
    "https://hub.example/services/dask-gateway/%2e%2e/%2e%2e/user/mallory",
    "https://hub.example/services/dask-gateway/%252e%252e/user/mallory",
    "https://hub.example/services/dask-gateway/..\\..\\user\\mallory",
    "https://hub.example/services/dask-gateway/..;/..;x=y/user/mallory",
    "https://hub.example/services/dask-gateway//user/mallory",
    # Other users' schedulers, below the gateway's own root.
    "https://hub.example/services/dask-gateway/clusters/mallorys",
    "https://hub.example/services/dask-gateway/clusters/mallorys/status/",
    "https://hub.example/services/dask-gateway//clusters/mallorys",
    "https://hub.example/services/dask-gateway/%63lusters/mallorys",
    "https://hub.example/services/dask-gateway/;x/clusters/mallorys",
    "https://hub.example/services/dask-gateway/\\clusters\\mallorys",
    "https://hub.example/services/dask-gateway/api/../clusters/mallorys",
    "https://hub.example/services/dask-gateway/api/%2e%2e/clusters/mallorys",
    "https://hub.example/services/dask-gateway/api/..%2fclusters/mallorys",
    "https://hub.example/services/dask-gateway/api/v1/clusters/mallorys",
    "https://hub.example/services/dask-gateway/anything",
    "https://public.example/services/dask-gateway/clusters/mallorys",
    "https://hub.example./services/dask-gateway",
    "https://hub.example",
    "hub.example/services/dask-gateway",
]
THE_SAME = [
    CONFIGURED,
    f"{CONFIGURED}/",
    f"{CONFIGURED}/api",
    "https://HUB.example:443/services/dask-gateway",
    "https://public.example/services/dask-gateway",  # public-address
    "https://ada:sesame@hub.example/services/dask-gateway",
]


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, hub: None) -> Iterator[None]:
    """As a site's environment says it, by templates too."""
    monkeypatch.setenv("HUB_HOST", "hub.example")
    with dask.config.set(
        {
            "gateway.address": "https://{HUB_HOST}/services/dask-gateway",
            "gateway.public-address": "https://public.example/services/dask-gateway/",
            "gateway.auth.type": "jupyterhub",
        }
    ):
        yield


@pytest.mark.usefixtures("configured")
class TestWhereTheConfigurationSaysJupyterHub:
    @pytest.mark.parametrize("address", ELSEWHERE)
    def test_a_typed_address_elsewhere_never_gets_the_token(self, address: str) -> None:
        for make in (HTCGateway, HTCGatewayCluster):
            with pytest.raises(ValueError, match="is not the gateway of the configuration") as refused:
                make(address)
            assert "hub-token" not in str(refused.value)
            assert 'auth="jupyterhub"' in str(refused.value)
            assert ("begins with http://" in str(refused.value)) == ("://" not in address)

    @pytest.mark.parametrize("address", THE_SAME)
    def test_the_configured_address_may_be_typed(self, address: str) -> None:
        with HTCGateway(address) as gateway:
            assert isinstance(gateway.auth, JupyterHubAuth)

    @pytest.mark.parametrize("auth", ["jupyterhub", JupyterHubAuth, JupyterHubAuth("mine")])
    def test_who_asks_for_it_by_name_gets_it(self, auth: Any) -> None:
        assert isinstance(choose_auth(TYPED, auth), JupyterHubAuth)

    def test_another_way_to_log_in_is_taken_elsewhere(self) -> None:
        assert isinstance(choose_auth(TYPED, "basic"), BasicAuth)
        assert choose_auth(TYPED, BasicAuth("ada", "x")).password == "x"

    def test_a_password_in_the_typed_address_is_not_repeated(self) -> None:
        with pytest.raises(ValueError, match="is not the gateway") as refused:
            choose_auth("https://ada:sesame@gateway.example")
        assert "sesame" not in str(refused.value)


@pytest.mark.usefixtures("hub")
class TestCredentialsOfTheConfiguration:
    def test_the_hubs_token_goes_nowhere_that_is_typed_when_no_address_is_configured(self) -> None:
        with dask.config.set({"gateway.auth.type": "jupyterhub"}):
            with pytest.raises(ValueError, match="names none"):
                choose_auth(TYPED)
            assert isinstance(choose_auth(None), JupyterHubAuth)

    @pytest.mark.parametrize("auth", [None, "basic"])
    def test_the_hubs_token_as_a_password_is_the_hubs_token(self, auth: str | None) -> None:
        kwargs = {"username": "ada", "password": "{JUPYTERHUB_API_TOKEN}"}
        with dask.config.set({"gateway.auth.kwargs": kwargs}):
            with pytest.raises(ValueError, match="is not the gateway of the configuration"):
                choose_auth(TYPED, auth)
            with dask.config.set({"gateway.address": TYPED}):
                assert choose_auth(TYPED, auth).password == "hub-token"

    @pytest.mark.parametrize("auth", [None, "basic"])
    def test_a_password_goes_to_the_gateway_that_stands_beside_it(self, auth: str | None) -> None:
        kwargs = {"username": "ada", "password": "sesame"}
        with dask.config.set({"gateway.auth.kwargs": kwargs}):
            assert choose_auth(TYPED, auth).password == "sesame"  # upstream's way: only the address is typed
            with dask.config.set({"gateway.address": CONFIGURED}):
                assert choose_auth(CONFIGURED, auth).password == "sesame"
                with pytest.raises(ValueError, match="is not the gateway of the configuration"):
                    choose_auth(TYPED, auth)

    @pytest.mark.parametrize("root", ["http://gateway", "http://gateway/"])
    @pytest.mark.parametrize("path", ["/clusters/mallorys", "//clusters/mallorys", "/x", "/?x=y", "/#x"])
    def test_a_password_goes_to_nobody_s_cluster_below_the_gateway_s_root(self, root: str, path: str) -> None:
        kwargs = {"username": "ada", "password": "sesame"}
        with dask.config.set({"gateway.auth.kwargs": kwargs, "gateway.address": root}):
            assert choose_auth("http://gateway:80").password == "sesame"
            for make in (HTCGateway, HTCGatewayCluster):
                with pytest.raises(ValueError, match="is not the gateway of the configuration"):
                    make(f"http://gateway{path}")

    def test_a_user_name_is_no_secret(self) -> None:
        with dask.config.set({"gateway.auth.kwargs": {"username": "ada"}, "gateway.address": CONFIGURED}):
            assert choose_auth(TYPED).username == "ada"

    def test_a_sites_own_way_to_log_in_is_for_the_sites_gateway(self) -> None:
        own = f"{__name__}.SitesAuth"
        with dask.config.set({"gateway.auth.type": own, "gateway.address": CONFIGURED}):
            assert isinstance(choose_auth(CONFIGURED), GatewayAuth)
            with pytest.raises(ValueError, match=r"SitesAuth\) is not sent there"):
                choose_auth(TYPED)
            assert isinstance(choose_auth(TYPED, own), GatewayAuth)

    def test_an_address_whose_variable_is_not_set_is_no_obstacle(self) -> None:
        with dask.config.set({"gateway.address": "https://{NO_SUCH_VARIABLE}"}):
            assert isinstance(choose_auth(TYPED), BasicAuth)


class SitesAuth(GatewayAuth):  # type: ignore[misc]
    """Takes what it needs from wherever it is."""


@pytest.mark.parametrize("asks_first", [True, False], ids=["401 here", "401 there"])
async def test_a_gateway_that_sends_its_users_elsewhere_sends_no_token_along(asks_first: bool) -> None:
    """Whatever kind of request and of redirect it is, and whoever asked for the login."""
    seen: list[str | None] = []

    async def thief(request: web.Request) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({"error": "who are you?"}, status=401)

    async def gateway(request: web.Request) -> web.Response:
        if asks_first and "Authorization" not in request.headers:
            return web.json_response({}, status=401)
        status = int(request.query["status"])
        return web.Response(status=status, headers={"Location": request.query["to"]})

    async with (
        serving(thief) as elsewhere,
        serving(gateway) as address,
        HTCGateway(address, auth=JupyterHubAuth("hub-token"), asynchronous=True) as client,
    ):
        for status in (301, 302, 303, 307, 308):
            for method in ("GET", "POST", "DELETE"):
                url = f"{address}/api?status={status}&to={elsewhere}/api"
                with pytest.raises(ClientResponseError):
                    await client._request(method, url, json={})
    assert len(seen) == (15 if asks_first else 30)
    assert set(seen) == {None}


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    """A web server on loopback."""
    app = web.Application()
    app.router.add_route("*", "/api", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        port = runner.addresses[0][1]
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{NO_SUCH_VARIABLE}", "no environment variable 'NO_SUCH_VARIABLE'"),
        ("{", "Single '{'"),
        ("{}", "cannot be filled in"),
        ("{HOME.x}", "no attribute"),
    ],
)
def test_a_credential_that_cannot_be_filled_in_is_named(template: str, why: str) -> None:
    kwargs = {"username": "ada", "password": template}
    with (
        dask.config.set({"gateway.auth.kwargs": kwargs}),
        pytest.raises(ValueError, match=r"gateway\.auth\.kwargs\.password") as refused,
    ):
        choose_auth(None)
    assert why in str(refused.value)


async def test_a_password_in_the_configured_address_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    async def gateway(request: web.Request) -> web.Response:
        return web.json_response({}, status=int(request.query["status"]))

    monkeypatch.setenv("GATEWAY_PASSWORD", "sesame")
    async with serving(gateway) as address:
        template = address.replace("http://", "http://ada:{GATEWAY_PASSWORD}@")
        with dask.config.set({"gateway.address": template}):
            async with HTCGateway(auth=BasicAuth("ada", "x"), asynchronous=True) as client:
                assert "sesame" in client.address
                assert "sesame" not in repr(client)
                for status in (401, 403, 404, 409, 500):
                    with pytest.raises(Exception) as refused:
                        await client._request("GET", f"{client.address}/api?status={status}")
                    assert "sesame" not in f"{refused.value} {refused.value!r}"
                monkeypatch.setattr(Gateway, "_cluster_options", no_options)
                for option in ("worker_backend", "x"):
                    monkeypatch.setattr(
                        "htcdaskgateway._worker_pools.submission.WORKER_BACKEND_OPTION", option
                    )
                    with pytest.raises((ValueError, HTCDaskError)) as missing:
                        await client._submit(y=1)
                    assert "The gateway at http://127.0.0.1" in str(missing.value)
                    assert "sesame" not in str(missing.value)


async def no_options(*_: object, **__: object) -> dict[str, Any]:
    return {"x": 1}


def test_outside_a_hub_basic_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JUPYTERHUB_API_TOKEN", raising=False)
    assert isinstance(choose_auth(None), BasicAuth)


def test_a_user_without_a_name_is_told_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("getpwuid(): uid not found: 1000670000")

    monkeypatch.setattr("getpass.getuser", unknown)
    with pytest.raises(ValueError, match=r"BasicAuth\(username=") as refused:
        HTCGateway(TYPED)
    assert "user id" in str(refused.value)


def test_without_an_address_one_is_told_what_to_write() -> None:
    for make in (HTCGateway, HTCGatewayCluster):
        with dask.config.set({"gateway.address": None}), pytest.raises(ValueError) as refused:
            make()
        assert str(refused.value).startswith("No dask-gateway address provided or found in configuration")
        assert 'HTCGateway("https://' in str(refused.value)
        assert "gateway.address" in str(refused.value)


def test_the_configuration_of_the_docs_is_read() -> None:
    text = (Path(__file__).parents[2] / "docs/notebook.md").read_text(encoding="utf-8")
    blocks = [block for block in text.split("```yaml\n")[1:] if block.startswith("gateway:")]
    login, panel = (yaml.safe_load(block.partition("```")[0]) for block in blocks)
    with dask.config.set(dask.config.merge(dask.config.config, login)), HTCGateway() as gateway:
        assert gateway.address == "https://gateway.example"
        assert isinstance(gateway.auth, BasicAuth)
    with dask.config.set(dask.config.merge(dask.config.config, panel)), HTCGateway() as gateway:
        assert gateway._public_address == "/services/dask-gateway"
    factory = panel["labextension"]["factory"]
    assert getattr(importlib.import_module(factory["module"]), factory["class"]) is HTCGatewayCluster


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "me:sesame@127.0.0.1:8000"])
def test_an_address_without_a_scheme_is_refused_with_one(address: str) -> None:
    with pytest.raises(ValueError, match=r"write 'https://127\.0\.0\.1:8000' or 'http://") as refused:
        HTCGateway(address)
    assert "sesame" not in str(refused.value)
    with dask.config.set({"gateway.address": address}), pytest.raises(ValueError, match=r"gateway\.address"):
        HTCGateway()


@pytest.mark.parametrize(
    "auth", ["me:sesame", "sesame", "my.sesame", ("me", "sesame"), {"password": "sesame"}]
)
def test_what_is_no_login_is_refused_without_the_password(auth: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r'say auth=BasicAuth\("me", "password"\)') as refused:
        HTCGateway(TYPED, auth=auth)
    assert "sesame" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
