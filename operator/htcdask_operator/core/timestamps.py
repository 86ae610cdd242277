"""Times as Kubernetes writes them, from and to seconds, and pauses. Nothing here knows what time it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_DOUBLINGS: Final = 30  # at the most: a float has an end


def written(seconds: float) -> str:
    """RFC 3339 in UTC, whole seconds: `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read(text: str) -> float:
    """Seconds since the epoch; 0 for what is not a time (a status that somebody edited)."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return 0.0


def lasted(seconds: float) -> str:
    """For people: `40 s`, `12 min`, `3 h`."""
    whole = max(0, round(seconds))
    if whole < 120:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 7200 else f"{whole // 3600} h"


def doubled(first: float, times: int, longest: float) -> float:
    """Seconds to wait after so many failures in a row: `first` after one, twice that after two, and so on."""
    return min(first * 2.0 ** min(times - 1, _DOUBLINGS), longest)
