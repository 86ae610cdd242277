"""The extension runs where htcdask_api is not installed and repeats its names: they must be the same."""

import pytest

import htcdask_gateway
from htcdask_api import names


@pytest.mark.parametrize(
    "name",
    [
        *("GROUP", "VERSION", "KIND", "PLURAL", "CLUSTER_LABEL", "WANTED_FIELD", "WORKER_BACKEND_OPTION"),
        *("GATEWAY_GROUP", "DASKCLUSTER_KIND", "DASKCLUSTER_PLURAL"),
    ],
)
def test_is_the_same_on_both_sides(name: str) -> None:
    assert getattr(htcdask_gateway, name) == getattr(names, name)


def test_the_choices_are_the_same() -> None:
    choices = (names.WORKER_BACKEND_KUBERNETES, names.WORKER_BACKEND_HTCONDOR)
    assert choices == htcdask_gateway.WORKER_BACKENDS
    assert names.WORKER_BACKEND_HTCONDOR == htcdask_gateway.HTCONDOR
