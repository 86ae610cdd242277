"""What the agent tells of a job's slots, as the core knows it. Used by `client`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htcdask_operator.core.model import Analysis, Clause


def analysis(told: Mapping[str, Any] | None) -> Analysis | None:
    """None: there is no such job."""
    if told is None:
        return None
    return Analysis(**{**told, "clauses": tuple(map(_clause, told["clauses"]))})


def _clause(told: Mapping[str, Any]) -> Clause:
    return Clause(**{**told, "nearest": tuple(told.get("nearest", ()))})
