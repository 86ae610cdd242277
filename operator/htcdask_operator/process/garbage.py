"""Python's full passes over all objects, which keep the event loop waiting, kept short.

Used by the program and by `benchmarks`. What a thousand clusters are remembered by takes 70 ms to walk. What
has been frozen is walked no more, and still goes when nothing refers to it. Only circles of objects that were
alive at such a moment and end later stay for ever, those of a handful of tasks: so it is done seldom.
"""

from __future__ import annotations

import asyncio
import gc
from typing import Final

FIRST_SECONDS: Final = 60.0
"""After it began to lead: by then what there is has been listed."""
SECONDS: Final = 3600.0


def freeze() -> None:
    """Forget what nobody needs, and walk the rest no more."""
    gc.collect()
    gc.freeze()


async def run(first: float = FIRST_SECONDS, between: float = SECONDS) -> None:
    """Until the process ends."""
    freeze()  # what was imported
    await asyncio.sleep(first)
    while True:
        freeze()
        await asyncio.sleep(between)
