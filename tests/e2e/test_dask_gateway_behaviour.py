"""What dask-gateway's documentation promises holds with Kubernetes workers and with HTCondor's, and alike.

Each case of `gateway_cases` ran in a notebook with dask-gateway's own client, whose workers the gateway
makes, and with ours; both at the same time, as the cases of one client share a cluster.
"""

import inspect
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from playground.site.site import Site
from tests.e2e import gateway_cases
from tests.e2e.notebook import Notebook

CLIENTS = ("Gateway", "HTCGateway")
SOURCE = inspect.getsource(gateway_cases)
Seen = Mapping[str, Mapping[str, Any]]


@pytest.fixture(scope="module")
def seen(site: Site) -> Mapping[str, Seen]:
    """What came of each case, by the client."""

    def run(client: str) -> Any:
        call = f"\nresult = run_all({client!r}, {site.inner_gateway_url!r}, {site.password!r})\n"
        return Notebook(site).run(SOURCE + call, timeout=400)

    with ThreadPoolExecutor(len(CLIENTS)) as both:
        return dict(zip(CLIENTS, both.map(run, CLIENTS), strict=True))


@pytest.mark.parametrize("case", gateway_cases.CASES)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_documented_is_so(seen: Mapping[str, Seen], client: str, case: str) -> None:
    error = seen[client][case]["error"]
    assert error is None, error


@pytest.mark.parametrize("case", gateway_cases.CASES)
def test_both_clients_do_the_same(seen: Mapping[str, Seen], case: str) -> None:
    upstream, ours = (seen[client][case]["value"] for client in CLIENTS)
    assert ours == upstream
