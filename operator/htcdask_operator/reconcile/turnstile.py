"""A few clusters ask for their pools at a time, and those that have ended wait behind those that work.

Used by `cycle`. A gateway keeps ended clusters for a day. When the operator starts, or the access point
comes back, all of them wake at once, and somebody's new cluster would wait until the last has been read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from htcdask_operator.ports import ClusterKey
from htcdask_operator.progress import Line

_PLACES: Final = 4  # as many as keep the API server busy with our lists
_FAIR: Final = 4  # each so many-th is the one that has waited longest, whoever it is


class Turnstile:
    """`rests` says whether a cluster has nothing to do but to be kept; asked when a place is free."""

    def __init__(self, rests: Callable[[ClusterKey], bool]) -> None:
        self._rests = rests
        self._free = _PLACES
        self._given = 0
        self._line = Line()
        self._waiting: dict[asyncio.Future[None], ClusterKey] = {}  # the longest first

    @asynccontextmanager
    async def turn(self, key: ClusterKey) -> AsyncIterator[None]:
        """Wait for a place, and keep it for as long as the context."""
        with self._line.waiting():
            await self._enter(key)
        try:
            yield
        finally:
            self._leave()
            self._line.moved()

    async def _enter(self, key: ClusterKey) -> None:
        if self._free:
            self._free -= 1
            return
        place = asyncio.get_running_loop().create_future()
        self._waiting[place] = key
        try:
            await place
        except asyncio.CancelledError:
            if self._waiting.pop(place, None) is None:  # it was given in this moment
                self._leave()
            raise

    def _leave(self) -> None:
        # Who is cancelled stays among those that wait until its task runs, and can take no place.
        waiting = [place for place in self._waiting if not place.done()]
        if not waiting:
            self._free += 1
            return
        place = self._next(waiting)
        del self._waiting[place]
        place.set_result(None)

    def _next(self, waiting: list[asyncio.Future[None]]) -> asyncio.Future[None]:
        self._given += 1
        if self._given % _FAIR == 0:
            return waiting[0]
        return next((place for place in waiting if not self._rests(self._waiting[place])), waiting[0])
