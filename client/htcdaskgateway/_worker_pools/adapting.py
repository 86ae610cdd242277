"""What `adapt()` of an asynchronous cluster gives. Only the cluster object calls it.

The Dask labextension takes it for Dask's own `Adaptive`: it reads the bounds, and awaits nothing.
"""

import asyncio
import logging
import math
from collections.abc import Coroutine, Generator
from typing import Any

_log = logging.getLogger(__name__)


class Adapting(Coroutine[Any, Any, None]):
    """The gateway's answer, for whoever awaits it; the request goes out also where nobody does.

    `minimum` and `maximum` are the bounds that were asked for, with Dask's own defaults: 0 and infinity.
    """

    def __init__(self, answer: Coroutine[Any, Any, None], minimum: Any, maximum: Any) -> None:
        self.minimum = 0 if minimum is None else minimum
        self.maximum = math.inf if maximum is None else maximum
        self._awaited = False
        self._task = asyncio.ensure_future(answer)
        self._task.add_done_callback(self._tell)
        self._steps: Coroutine[Any, Any, None] | None = None

    def __await__(self) -> Generator[Any, Any, None]:
        self._awaited = True
        return self._task.__await__()

    # asyncio.create_task() takes coroutines alone.
    def send(self, value: Any) -> Any:
        """Go on, as a task does with its coroutine."""
        return self._begun().send(value)

    def throw(self, *error: Any) -> Any:
        """Go on with an error, likewise."""
        return self._begun().throw(*error)

    def close(self) -> None:
        """Wait no longer; the request goes on."""
        if self._steps is not None:
            self._steps.close()

    def _begun(self) -> Coroutine[Any, Any, None]:
        if self._steps is None:
            self._awaited = True
            self._steps = _answer_of(self._task)
        return self._steps

    def _tell(self, task: asyncio.Task[None]) -> None:
        """Asked for its error here, as asyncio would log all that the error holds."""
        if not task.cancelled() and (error := task.exception()) is not None and not self._awaited:
            _log.warning("adapt() failed: %s", error)


async def _answer_of(task: asyncio.Task[None]) -> None:
    await task
