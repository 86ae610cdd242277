"""The simulation can fail: each planted mistake is found soon, and told as a short story."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from tests.simulation.defects import DEFECTS, LINES, lines_of, story_of
from tests.simulation.search import processes


@pytest.fixture(scope="module")
def stories() -> Iterator[dict[str, Future[str | None]]]:
    """One search for each mistake, side by side."""
    with processes() as pool:
        yield {defect: pool.submit(story_of, defect) for defect in DEFECTS}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_mistake_is_found_and_told_in_a_few_lines(
    defect: str, stories: dict[str, Future[str | None]]
) -> None:
    story = stories[defect].result()
    assert story is not None, "not found"
    assert DEFECTS[defect][1] in story
    assert len(lines_of(story)) <= LINES, story
