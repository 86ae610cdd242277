"""`timeout` and `timeout_at` as asyncio has them since Python 3.11; before, what aiohttp brings."""

import sys

if sys.version_info >= (3, 11):
    from asyncio import timeout, timeout_at
else:
    from async_timeout import timeout, timeout_at

__all__ = ["timeout", "timeout_at"]
