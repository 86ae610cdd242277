"""Exceptions that nobody expected in a loop that serves everybody: survived, told, and not for ever.

Used by `poller` and `resync`. Half an answer, or one odd object, must not end the operator for all; a mistake
that comes again at every turn for long must not hide in a log either: then the loop ends, and the operator
with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from htcdask_operator.core import mistake

_log = logging.getLogger(__name__)

LONGEST: Final = 900.0
"""Seconds for which one and the same thing may fail again and again."""


class Survived:
    """What has failed by a mistake of ours since when, without success in between."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[str, tuple[float, str]] = {}

    @contextmanager
    def attempt(self, what: str) -> Iterator[None]:
        """Do something that may fail; the exception itself once it has failed for too long."""
        try:
            yield
        except Exception as error:
            if self.failed(what, error):
                raise
        else:
            self.succeeded(what)

    def succeeded(self, what: str) -> None:
        """It works now."""
        self._since.pop(what, None)

    def failed(self, what: str, error: BaseException) -> bool:
        """Tell it, once for each kind and place; whether it has failed for too long."""
        now, text = self._clock(), str(mistake.of(error))
        since, said = self._since.get(what, (now, ""))
        if said != text:
            _log.error("%s failed, and is tried again: %s", what, text)
        self._since[what] = (since, text)
        return now - since >= LONGEST
