"""A real gateway for the client's tests, with the extension and without."""

from collections.abc import Iterator

import dask
import pytest

from tests.client.gateway_site import Site, running_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with the extension."""
    with running_site(tmp_path_factory.mktemp("site") / "gateway.log", extension=True) as site:
        yield site


@pytest.fixture(scope="session")
def plain_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway without it."""
    with running_site(tmp_path_factory.mktemp("plain") / "gateway.log", extension=False) as site:
        yield site


@pytest.fixture(autouse=True)
def own_configuration() -> Iterator[None]:
    """What a test configures ends with it."""
    with dask.config.set({}):
        yield
