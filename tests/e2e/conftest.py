"""A fresh site for each process that runs end-to-end tests. A missing part fails here; nothing is skipped."""

import os
from collections.abc import Generator, Iterator

import pytest

from playground.node.node import Node
from playground.site.site import Site, apply
from tests.e2e import clusters
from tests.e2e.notebook import DOORS, Door, Notebook

TALKERS = (("gateway", "api-dask-gateway"), ("gateway", "controller-dask-gateway"), ("htcdask", "htcdask"))


@pytest.fixture(scope="session")
def site(pytestconfig: pytest.Config) -> Iterator[Site]:
    """A whole site with the chart installed; its state is wiped first and all of it is taken away after."""
    chosen = pytestconfig.getoption("--site")
    node = Node(chosen or f"test{os.environ.get('PYTEST_XDIST_WORKER', '')}")
    node.up(fresh=chosen is None)
    try:
        yield apply(node)
    finally:
        if chosen is None:
            node.down()


@pytest.fixture(scope="module", autouse=True)
def nothing_left_by_a_failure(request: pytest.FixtureRequest) -> Iterator[None]:
    """HTCondor offers nobody's jobs while many of one user wait: a failed test's would starve the rest."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        clusters.delete_all(request.getfixturevalue("site"))


@pytest.fixture(params=DOORS, ids=lambda door: door.name)
def door(request: pytest.FixtureRequest) -> Door:
    """Each way of making a pool."""
    chosen: Door = request.param
    return chosen


@pytest.fixture
def notebook(site: Site) -> Notebook:
    """Alice, at the gateway's route."""
    return Notebook(site)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the site's parts said last: it may not fail like that again."""
    report = yield
    site = getattr(item, "funcargs", {}).get("site")
    if report.failed and isinstance(site, Site):
        for namespace, name in TALKERS:
            options = ("--all-containers", "--since=3m", "--tail=40", "--request-timeout=10s")
            text = site.kubectl("-n", namespace, "logs", f"deployment/{name}", *options, check=False)
            report.sections.append((f"the last words of {name}", text))
    return report
