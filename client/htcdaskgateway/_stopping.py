"""Asking for a cluster's end, once more where the gateway is away for a moment.

Called by `HTCGateway._stop_cluster`. Nobody asks again for a script that has ended: its cluster and jobs
would go on until the gateway's idle timeout, or for ever where a site sets none.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import aiohttp

from htcdaskgateway._answers import is_unknown
from htcdaskgateway._errors import GatewayAwayError

_AWAY_SECONDS: Final = 7.0  # a gateway's restart; the end of a script waits for ten seconds in all
_PAUSE_SECONDS: Final = 0.5
_OF_A_PROXY: Final = (502, 503, 504)


async def until_taken(ask: Callable[[], Awaitable[None]]) -> None:
    """Ask until the gateway has taken it, or has been away for `_AWAY_SECONDS`: then with its error."""
    until = time.monotonic() + _AWAY_SECONDS
    lost = False  # whether it may have been taken before
    while True:
        try:
            await ask()
        except Exception as error:
            if lost and isinstance(error, ValueError) and is_unknown(error):
                return
            if not _is_away(error) or time.monotonic() > until:
                raise
            lost = True
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return


def _is_away(error: Exception) -> bool:
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in _OF_A_PROXY
    return isinstance(error, (GatewayAwayError, ConnectionError, aiohttp.ClientConnectionError))
