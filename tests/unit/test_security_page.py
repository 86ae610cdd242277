"""SECURITY.md names the test that holds each wall: every one of them is there."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
NAMED = re.findall(r"([a-z0-9_/]+\.py|…)(?:::(test_[a-z0-9_]+))?", (REPOSITORY / "SECURITY.md").read_text())


def walls() -> list[tuple[str, str]]:
    """(file, test), where the file of the line above is not written again."""
    found, last = [], ""
    for file, test in NAMED:
        last = file if file != "…" else last
        found.append((last, test))
    return sorted({wall for wall in found if wall[0]})


@pytest.mark.parametrize(("file", "test"), walls())
def test_the_test_that_a_wall_names_is_there(file: str, test: str) -> None:
    assert f"def {test}" in (REPOSITORY / "tests" / file).read_text(encoding="utf-8")


def test_there_are_walls() -> None:
    assert len(walls()) > 30
