"""Which credential is sent, and what a site's configuration may say."""

from pathlib import Path

import dask
import pytest
from dask_gateway.auth import BasicAuth, JupyterHubAuth

from htcdaskgateway import HTCGateway
from htcdaskgateway._auth import choose_auth
from htcdaskgateway._config import ClientConfig

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


def test_defaults() -> None:
    config = ClientConfig.read()
    assert (config.pool_api, config.namespace, config.status_interval) == ("gateway", None, 5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pool-api", "condor"), ("image-path-template", "/cvmfs"), ("namespace", 3)],
)
def test_a_wrong_setting_names_its_key(key: str, value: object) -> None:
    with dask.config.set({f"htcdask.{key}": value}), pytest.raises((ValueError, TypeError), match=key):
        ClientConfig.read()


def test_the_defaults_file_is_part_of_the_package() -> None:
    import htcdaskgateway

    folder = Path(htcdaskgateway.__file__).parent
    assert (folder / "htcdaskgateway.yaml").is_file()
    assert (folder / "py.typed").is_file()
