"""How far the access point's clock is ahead of ours. Pure; used by `client`, and by the tests' fake.

The core reckons with one clock, ours: the times of jobs are put back by this much when they are read, and the
lease of a job, which HTCondor compares with its own clock, is put ahead by it when it is sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from htcdask_api import names

TOLERATED: Final = 3.0  # seconds: an offset that followed every answer would move all times by its jitter
_LEASE: Final = f"My.{names.AD_LEASE}"
_CONNECTS_AT: Final = f"My.{names.AD_CONNECTS_AT}"
_TIMES: Final = (_LEASE, _CONNECTS_AT)


def offset(known: float, server_time: float | None, asked: float, answered: float) -> float:
    """The offset after an answer in which the schedd told its time, in whole seconds; `known` unless it errs.

    The schedd looked at its clock at some moment between `asked` and `answered`, by our clock.
    """
    if server_time is None:
        return known
    least, most = server_time - answered, server_time + 1 - asked
    return known if least - TOLERATED <= known <= most + TOLERATED else (least + most) / 2


def lease(until: float, ahead: float) -> str:
    """The lease of a job, by the access point's clock."""
    return str(math.ceil(until + ahead))


def sent(description: Mapping[str, str], ahead: float) -> dict[str, str]:
    """A job's description with its times by the access point's clock, which execute nodes share."""
    ready = {
        key: lease(float(value), ahead) if key in _TIMES else value for key, value in description.items()
    }
    if (turn := description.get(_CONNECTS_AT)) is not None:  # it is an argument, too
        ready["arguments"] = ready["arguments"].removesuffix(f'{turn}"') + f'{ready[_CONNECTS_AT]}"'
    return ready
