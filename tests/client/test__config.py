"""What a site's configuration of the client may say."""

import dask
import pytest

from htcdaskgateway._config import ClientConfig


def test_the_defaults_are_the_gateway_s_route_and_five_seconds() -> None:
    config = ClientConfig.read()
    assert (config.pool_api, config.namespace, config.status_interval) == ("gateway", None, 5)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pool-api", "condor"), ("image-path-template", "/cvmfs"), ("namespace", 3)],
)
def test_a_wrong_setting_names_its_key(key: str, value: object) -> None:
    with dask.config.set({f"htcdask.{key}": value}), pytest.raises((ValueError, TypeError), match=key):
        ClientConfig.read()
