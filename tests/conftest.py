"""Options of the whole test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--site NAME`: for work on the end-to-end tests."""
    parser.addoption("--site", help="run tests/e2e on this playground, which is left up, not on a fresh one")
