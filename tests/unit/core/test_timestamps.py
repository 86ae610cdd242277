"""Times as Kubernetes writes them."""

from __future__ import annotations

import pytest

from htcdask_operator.core import timestamps
from tests.builders import NOW


@pytest.mark.parametrize("seconds", [0, NOW, NOW + 0.9])
def test_times_are_read_as_they_were_written(seconds: float) -> None:
    assert timestamps.read(timestamps.written(seconds)) == int(seconds)
    assert timestamps.read("yesterday") == 0.0
