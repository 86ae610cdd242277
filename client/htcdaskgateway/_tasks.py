"""The end of a task that goes on by itself. For waits, widgets, credentials and interrupts."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_AGAIN_SECONDS: Final = 0.5


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel them until they have ended, whatever comes of them.

    Once is not enough: before Python 3.12, asyncio.wait_for forgets that it was cancelled where its answer
    comes in the same moment, and a loop around it would go on for ever.
    """
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_SECONDS)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # asked for: nobody else will


async def to_the_end(what: Coroutine[Any, Any, T]) -> T:
    """What comes of it, however often this is cancelled meanwhile; then the cancellation is raised."""
    doing, cancelled = asyncio.ensure_future(what), False
    while not doing.done():
        try:
            await asyncio.wait([doing])
        except asyncio.CancelledError:
            cancelled = True
    result = doing.result()
    if cancelled:  # a new one: an error that a frame keeps keeps that frame, and all it knows
        raise asyncio.CancelledError
    return result
