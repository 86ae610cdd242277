"""Options of the whole test run."""

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--site NAME`: for work on the end-to-end tests."""
    parser.addoption("--site", help="run tests/e2e on this playground, which is left up, not on a fresh one")


@pytest.hookimpl(optionalhook=True)  # pytest-xdist is not there beside older clients
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `--dist loadscope` the tests of one folder run in one process, in their order."""
    if config.getoption("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

    class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid.split("/")[1]

    return ByFolder(config, log)
