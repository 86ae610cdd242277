"""Kubernetes quantities as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcdask_api import parse_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("128Mi", 128 * 2**20),
        ("2Gi", 2 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("8G", 8 * 10**9),
        ("4e9", 4 * 10**9),
        ("4E9", 4 * 10**9),
        ("1E", 10**18),
        ("500m", 1),  # rounded up, as Kubernetes does
        ("65536k", 65_536_000),
        (".5k", 500),
        ("1.", 1),
    ],
)
def test_a_quantity_is_so_many_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text", ["", "8GB", "2 Gi", "Gi", "1,5Gi", "2gi", "0x10", "2Gi\n", "1e", "ten", "²Gi"]
)
def test_what_is_not_a_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a Kubernetes quantity: write 512Mi, 2Gi or 8G"):
        parse_bytes(text)


@given(st.integers(0, 10**15), st.sampled_from(["", "k", "M", "Ki", "Mi"]))
def test_quantities_grow_with_their_number(number: int, suffix: str) -> None:
    assert parse_bytes(f"{number}{suffix}") < parse_bytes(f"{number + 1}{suffix}")
