"""`HTCGateway` and `HTCGatewayCluster` take and do what dask-gateway's own classes take and do."""

import inspect
from collections.abc import Iterator
from typing import Any

import dask_gateway
import pytest

import htcdaskgateway

PAIRS = [
    (dask_gateway.Gateway, htcdaskgateway.HTCGateway),
    (dask_gateway.GatewayCluster, htcdaskgateway.HTCGatewayCluster),
]


def public_methods() -> Iterator[Any]:
    for upstream, ours in PAIRS:
        for name, member in inspect.getmembers(upstream):
            if callable(member) and (not name.startswith("_") or name == "__init__"):
                yield pytest.param(upstream, ours, name, id=f"{upstream.__name__}.{name}")


@pytest.mark.parametrize(("upstream", "ours", "name"), list(public_methods()))
def test_every_signature_is_upstreams_and_what_is_added_is_optional(
    upstream: type, ours: type, name: str
) -> None:
    theirs = inspect.signature(getattr(upstream, name)).parameters
    added = dict(inspect.signature(getattr(ours, name)).parameters)
    for parameter, expected in theirs.items():
        found = added.pop(parameter)
        assert (found.name, found.kind, found.default) == (expected.name, expected.kind, expected.default)
    positional = [p.name for p in theirs.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert list(inspect.signature(getattr(ours, name)).parameters)[: len(positional)] == positional
    assert all(parameter.default is None for parameter in added.values())


@pytest.mark.parametrize(("upstream", "ours"), PAIRS)
def test_the_classes_are_dask_gateways_own(upstream: type, ours: type) -> None:
    assert issubclass(ours, upstream)


def test_the_errors_are_dask_gateways_own() -> None:
    assert issubclass(htcdaskgateway.HTCDaskError, dask_gateway.GatewayClusterError)
    assert issubclass(htcdaskgateway.PoolRefusedError, ValueError)


def test_the_public_names() -> None:
    public = {name for name in vars(htcdaskgateway) if not name.startswith("_")}
    assert public == set(htcdaskgateway.__all__)


def test_new_cluster_lists_every_keyword() -> None:
    from htcdaskgateway._keywords import KEYWORDS

    parameters = inspect.signature(htcdaskgateway.HTCGateway.new_cluster).parameters
    assert {name for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY} == KEYWORDS
