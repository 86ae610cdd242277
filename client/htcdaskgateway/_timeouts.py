"""asyncio's `timeout`, `timeout_at` and the error that they raise, on Python 3.10 too, which has neither."""

import asyncio
import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout, timeout_at
else:
    from async_timeout import timeout, timeout_at

TimedOut = asyncio.TimeoutError  # another one than Python's own before 3.11

__all__ = ["TimedOut", "timeout", "timeout_at"]
