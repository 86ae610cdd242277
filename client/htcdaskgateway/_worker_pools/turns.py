"""One question a second, whoever asks it: what this process asks a gateway by itself, such as for a widget.

Called by `waiting` and `widget`. What a user asks for (`cluster.pools`, `explain()`) waits for no turn.
"""

import asyncio
import threading
import time
from typing import Final

SECONDS: Final = 1.0

_lock = threading.Lock()  # clusters may have loops of their own
_free_at = 0.0


async def turn() -> None:
    """Wait until this process may ask again; who waits comes in the order of the calls."""
    global _free_at
    with _lock:
        now = time.monotonic()
        at = max(now, _free_at)
        _free_at = at + SECONDS
    await asyncio.sleep(at - now)
