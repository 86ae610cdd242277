"""An operator is at work, as the doctor wants it."""

import json
from collections.abc import Iterator

import pytest

from tests.client.gateway_site import IMAGE, Site

# By hand: the client's tests run on Pythons that the operator does not.
OFFER = json.dumps(
    {
        "template": {"cores": 1, "containerImage": IMAGE},
        "profiles": {"gpu": {"template": {"gpus": 1}, "attributes": [], "users": []}},
        "limits": {},
        "images": {"trees": ["/cvmfs"], "allowed": [], "fromGateway": False},
        "userExpressions": True,
    }
)


@pytest.fixture(autouse=True)
def operator_at_work(request: pytest.FixtureRequest) -> Iterator[None]:
    """For tests that have a site."""
    if "site" not in request.fixturenames:
        yield
        return
    site: Site = request.getfixturevalue("site")
    with site.saying(OFFER):
        yield
