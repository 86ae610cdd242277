"""Numbers of workers: what is taken, and what is refused in words."""

import math
from typing import Any

import pytest

from htcdaskgateway import GatewayWarning
from htcdaskgateway._scaling import adaptive_bounds, pool_size, worker_count


class Integer:
    """As numpy's: no int, and usable as one."""

    def __index__(self) -> int:
        return 3


@pytest.mark.parametrize(("given", "expected"), [(0, 0), (4, 4), (True, 1), (Integer(), 3)])
def test_a_whole_number_is_taken(given: Any, expected: int) -> None:
    count = worker_count("n", given)
    assert type(count) in (int, bool)
    assert count == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (-1, "n must be a number of workers from 0, got -1"),
        (2.0, "n must be a whole number of workers, got 2.0"),
        ("2", "n must be a whole number of workers, got '2'"),
        (None, "n must be a whole number of workers, got None"),
    ],
)
def test_any_other_is_refused_as_dask_gateway_does(given: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        worker_count("n", given)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None), (None, None)),
        ((0, math.inf), (0, None)),
        ((1.0, 2.0), (1, 2)),
        ((Integer(), None), (3, None)),
        ((2, 2), (2, 2)),
    ],
)
def test_bounds_become_whole_numbers_or_none(given: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    assert adaptive_bounds(*given) == expected


def test_a_minimum_above_the_maximum_is_said() -> None:
    with pytest.warns(GatewayWarning, match="so 2 workers"):
        assert adaptive_bounds(5, 2) == (5, 2)


@pytest.mark.parametrize(
    "given", [(-1, None), (0, -math.inf), (0.5, 3), (math.inf, None), (0, math.nan), ("1", 2)]
)
def test_bounds_that_a_scheduler_cannot_follow_are_refused(given: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"(minimum|maximum) must be"):
        adaptive_bounds(*given)


@pytest.mark.parametrize("given", [True, False])
def test_a_boolean_is_no_size_of_a_pool(given: bool) -> None:
    with pytest.raises(ValueError, match=f"^replicas must be a whole number of workers, got {given}$"):
        pool_size("replicas", given)
    assert pool_size("replicas", 2) == 2
