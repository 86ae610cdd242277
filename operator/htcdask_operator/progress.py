"""What tells who hangs from who is slow: when a cycle, or the poller, got its last answer.

Each has a `Progress`, which /healthz reads. It belongs to the task, and nobody hands it on: where answers
come in, and where one waits for one's turn, a `Line` notes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar


class Progress:
    """Of one task, and of those that it starts."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.at = clock()

    def note(self) -> None:
        """It got on."""
        self.at = self._clock()

    def follow(self) -> None:
        """Note here from now on what this task gets."""
        _mine.set(self)

    def standstill(self) -> float:
        """For how many seconds it has got nothing."""
        return self._clock() - self.at


_mine: ContextVar[Progress | None] = ContextVar("progress", default=None)


class Line:
    """Those who wait for one thing, such as an agent that is asked one question at a time.

    Whoever is done gets all others on: behind slow answers nobody hangs, however long the line. Behind one
    that hangs, all of them do.
    """

    def __init__(self) -> None:
        self._waiting: list[Progress] = []

    @asynccontextmanager
    async def turn(
        self, lock: asyncio.Lock | asyncio.Semaphore, seconds: float | None = None
    ) -> AsyncIterator[None]:
        """Hold `lock`. TimeoutError if it was not free for so many seconds; None: as long as it takes."""
        with self.waiting():
            async with asyncio.timeout(seconds):
                await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            self.moved()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """This task stands in line."""
        mine = _mine.get()
        if mine is None:
            yield
            return
        self._waiting.append(mine)
        try:
            yield
        finally:
            self._waiting.remove(mine)
            mine.note()

    def moved(self) -> None:
        """This task is done, with whatever came of it."""
        mine = _mine.get()
        for progress in self._waiting if mine is None else (*self._waiting, mine):
            progress.note()
