"""The last lines of workers that failed, read beside the cycle: nobody waits for them for long.

Used by `cycle`, one for each cluster. They mostly come in a moment, and are told with the failure they
explain. Where they are slow the cycle goes on without them, and they wake the cluster when they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.actions import ReadLogs
from htcdask_operator.reconcile.perform import Outcome

PATIENCE: Final = 2.0


@dataclass(slots=True)
class WorkerLogs:
    """At most one reading at a time."""

    _reading: asyncio.Task[bool] | None = None

    @property
    def under_way(self) -> bool:
        return self._reading is not None and not self._reading.done()

    async def read(
        self,
        actions: Sequence[ReadLogs],
        perform: Callable[[Sequence[ReadLogs]], Awaitable[Outcome]],
        found: Callable[[Outcome], None],
        woken: asyncio.Event,
    ) -> bool:
        """Whether all of them have come. `found` is told what has."""
        if not actions:
            return True
        if self._reading is not None and not self._reading.done():
            return False

        async def reading() -> bool:
            outcome = await perform(actions)
            found(outcome)
            return not outcome.undone

        self._reading = asyncio.create_task(reading(), name="last words")
        done, _ = await asyncio.wait({self._reading}, timeout=PATIENCE)
        if not done:
            self._reading.add_done_callback(lambda _: woken.set())
        return bool(done) and self._reading.result()
