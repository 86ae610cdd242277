"""A failure as the status has it."""

from __future__ import annotations

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from tests.builders import NOW


def failed(ago: float, reason: str = reasons.WORKER_FAILED, machine: str = "node1") -> Failure:
    name = f"w{ago:.0f}"
    return Failure(
        time=timestamps.written(NOW - ago), worker=name, reason=reason, machine=machine, message="It died."
    )
