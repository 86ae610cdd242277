"""Options of the whole test run, and what of it may run beside what."""

import signal
from typing import Any

import pytest

ONE_SITE_AT_A_TIME = {"e2e", "chart", "playground"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--site NAME`: for work on the end-to-end tests."""
    parser.addoption("--site", help="run tests/e2e on this playground, which is left up, not on a fresh one")


def pytest_sessionstart() -> None:
    """Processes of xdist ignore Ctrl-C, and so would all that they start: some tests press it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)  # older environments have one process, and no xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """For two processes (`make test`): the tests of one folder share their servers, and stay in one process.

    Those that have a whole site are the longest, and wait more than they work.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            folder = nodeid.split("/")[1]
            return "site" if folder in ONE_SITE_AT_A_TIME else folder

    return ByFolder(config, log)
