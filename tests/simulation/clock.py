"""Time that jumps: an event loop that never waits, because nothing happens between two of its timers.

The operator's own tasks run on it as they are, with their pauses, deadlines and intervals.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

START = 1_800_000_000.0


@dataclass
class Clock:
    """What time it is, for everybody."""

    now: float = START

    def __call__(self) -> float:
        return self.now


class _Jump(selectors.BaseSelector):
    """Instead of waiting for files, of which there are none, the time is set to that of the next timer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        raise KeyError(fileobj)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for ever")
        if timeout > 0:
            self._clock.now += timeout + 1e-6  # or rounding might keep a timer from ever being due
        return []


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop on a `Clock`."""

    def __init__(self, clock: Clock) -> None:
        self._jumping = clock
        super().__init__(_Jump(clock))
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._jumping.now - START  # small enough for a float to tell microseconds apart
