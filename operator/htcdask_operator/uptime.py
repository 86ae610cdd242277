"""Clocks that nobody sets: seconds since the machine started, the same in every process of it.

It goes on while the machine sleeps: a lease that ended meanwhile is seen to have ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def uptime() -> float:
    """Now; good for differences only."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def steady(calendar: Callable[[], float], running: Callable[[], float]) -> Callable[[], float]:
    """A clock that shows the time of `calendar` now, and from then on what `running` adds to it.

    Whoever sets the machine's clock neither stops what waits nor hurries it.
    """
    behind = calendar() - running()
    return lambda: behind + running()
