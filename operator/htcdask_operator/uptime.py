"""The clock of the lease: seconds since the machine started, the same in every process of it.

Nobody sets it, and it goes on while the machine sleeps: a lease that ended meanwhile is seen to have ended.
"""

from __future__ import annotations

import time


def uptime() -> float:
    """Now; good for differences only."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
