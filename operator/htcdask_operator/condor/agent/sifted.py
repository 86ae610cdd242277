"""Work on many ads, of which some may end the child that does it: they are found, and left out.

Used by `analysis` and `refusals`: anybody who may advertise one slot would otherwise take the answer from all
who ask about slots.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from htcdask_operator.condor.agent.apart import apart
from htcdask_operator.condor.errors import CondorError

CHILDREN: Final = 100
"""So many at the most, which is enough to tell each of 50 slots from the others."""
SECONDS: Final = 3.5
"""In all: an analysis sifts twice, and has ten with its questions."""

_SECONDS_OF_ANY: Final = 0.05  # of processor time, for one group: a child that does nothing takes a tenth
_SECONDS_OF_AD: Final = 0.0004  # for each of its ads: six times what one takes

Ad = Any  # classad2.ClassAd


def sifted(what: str, work: Callable[[Sequence[Ad]], list[Any]], ads: Sequence[Ad]) -> list[Any | None]:
    """What `work` comes to, one answer for each ad and none of them None; None: nobody could say of this one.

    Halves are tried where a group has no answer, the largest first: what is left when the time or the number
    of children is over is as small as it can be. CondorError that names `what` where nothing is known of any.
    """
    answers: list[Any | None] = [None] * len(ads)
    groups, until = deque([range(len(ads))] if ads else []), time.monotonic() + SECONDS
    failure: CondorError | None = None
    for _ in range(CHILDREN):
        left = until - time.monotonic()
        if not groups or left <= 0:
            break
        group = groups.popleft()
        seconds = _SECONDS_OF_ANY + _SECONDS_OF_AD * len(group)
        try:
            found = apart(what, partial(work, [ads[index] for index in group]), min(seconds, left), left)
        except CondorError as error:
            failure = error
            middle = len(group) // 2
            groups.extend(half for half in (group[:middle], group[middle:]) if len(group) > 1)
        else:
            for index, answer in zip(group, found, strict=True):
                answers[index] = answer
    if failure is not None and not any(answer is not None for answer in answers):
        raise failure
    return answers
