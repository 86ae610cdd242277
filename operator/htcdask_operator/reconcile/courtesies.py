"""What makes a status say more, asked beside the cycle: nobody waits for it for long.

Used by `cycle`, one for each cluster and kind: the last lines of workers that ended, and how the slots look
to one that waits. They mostly come in a moment, and are told with what they explain. Where they are slow the
cycle goes on without them, and they wake the cluster when they come. The logs are written likewise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.actions import Courtesy
from htcdask_operator.reconcile.outcome import Outcome

PATIENCE: Final = 2.0


@dataclass(slots=True)
class Courtesies:
    """At most one asking at a time."""

    _asking: asyncio.Task[bool] | None = None

    @property
    def under_way(self) -> bool:
        return self._asking is not None and not self._asking.done()

    async def ask(
        self,
        actions: Sequence[Courtesy],
        perform: Callable[[Sequence[Courtesy]], Awaitable[Outcome]],
        found: Callable[[Outcome], None],
        woken: asyncio.Event,
    ) -> bool:
        """Whether all of them have come. `found` is told what has."""
        if not actions:
            return True
        if self._asking is not None and not self._asking.done():
            return False

        async def asking() -> bool:
            outcome = await perform(actions)
            found(outcome)
            return not outcome.undone

        self._asking = asyncio.create_task(asking(), name="courtesies")
        done, _ = await asyncio.wait({self._asking}, timeout=PATIENCE)
        if not done:
            self._asking.add_done_callback(lambda _: woken.set())
        return bool(done) and self._asking.result()
