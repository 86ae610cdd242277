"""Options of the whole test run."""

from pathlib import Path

import pytest

_HERE = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--site NAME`: for work on the end-to-end tests."""
    parser.addoption("--site", help="run tests/e2e on this playground, which is left up, not on a fresh one")


def pytest_configure(config: pytest.Config) -> None:
    """Also known where pytest-xdist is not, as beside older clients."""
    config.addinivalue_line("markers", "xdist_group(name): runs in one process with the others of its group")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `--dist loadgroup` the tests of one folder run in one process, in their order."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.path.relative_to(_HERE).parts[0]))
