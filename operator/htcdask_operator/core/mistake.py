"""An exception that nobody expected, as a value: a mistake of this operator, about one pool or one cluster.

`plan` catches it where it concerns one pool, so that the others go on. Neither the status nor the log tells
the exception's own words: they may quote what a user wrote, such as the environment, or a credential.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

_PLACES: Final = 6


@dataclass(frozen=True, slots=True)
class Mistake:
    """What kind of exception, and the places in the code that led there, the nearest last."""

    kind: str
    places: tuple[str, ...] = ()

    def __str__(self) -> str:
        """For the log."""
        return f"a mistake of the operator: {self.kind} in {' > '.join(self.places) or 'no known place'}"


def of(error: BaseException) -> Mistake:
    """The exception without its words."""
    places = []
    step = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{PurePath(code.co_filename).name}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return Mistake(type(error).__name__[:100], tuple(places[-_PLACES:]))
