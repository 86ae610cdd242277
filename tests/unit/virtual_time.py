"""An event loop whose time jumps to the next timer as soon as nothing else is to be done."""

import asyncio
from collections.abc import Awaitable, Callable


class VirtualLoop(asyncio.SelectorEventLoop):
    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            # A timer that was cancelled is no reason to stop at, and to wait from there for the next one.
            timers = (timer for timer in self._scheduled if not timer.cancelled())  # type: ignore[attr-defined]
            self.now = max(self.now, min((timer.when() for timer in timers), default=self.now))
        super()._run_once()  # type: ignore[misc]


def in_virtual_time(run: Callable[[], Awaitable[None]]) -> None:
    """Run to the end, in no time at all."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(run())  # type: ignore[arg-type]


def now() -> float:
    """The loop's time."""
    return asyncio.get_running_loop().time()
