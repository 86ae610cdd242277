"""A job's ClassAd as plain values, in the agent's process. What is undefined or cannot be evaluated is None.

Needs no import of HTCondor: an undefined attribute is a member of an enum whose number is 2 and which is
therefore equal to a real 2, so it must be told apart by its type.
"""

from __future__ import annotations

import enum
import json
import math
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, Protocol

from htcdask_operator.condor import wire

REASONS: Final = frozenset({"HoldReason", "VacateReason", "LastRejMatchReason", "RemoveReason"})
"""What people and machines say: an image can say a lot on its way there. Only these are cut."""
_REASON: Final = 1024
"""Bytes of one as it is sent, the most that an Event tells; a failure's message has room for four."""
_ALL_REASONS: Final = wire.LARGEST // 2
_LONGEST: Final = 4096
"""Bytes of any other text as it is sent; a longer one is not there, as half a name is another name."""

_WIDEST: Final = 12
"""Bytes of one character as it is sent: two surrogates."""

Plain = bool | int | float | str | None


class Ad(Protocol):
    """As much of `classad2.ClassAd` as is needed."""

    def get(self, name: str) -> object:
        """The attribute's value, or None."""

    def eval(self, name: str) -> object:
        """The attribute's value, evaluated if it is an expression."""


def longest_reason(jobs: int) -> int:
    """Bytes of each reason, so that those of so many jobs take half an answer, whatever anybody says.

    Halved, as a job more or less must not change the reasons of all others: that wakes their clusters.
    """
    longest = _REASON
    while jobs * len(REASONS) * longest > _ALL_REASONS:
        longest //= 2
    return longest


def plain(ad: Ad, attributes: Iterable[str], longest: int = _REASON) -> dict[str, Plain]:
    """The attributes that have a plain value. `longest`: bytes of each reason."""
    values = {name: _bounded(name, _value(ad, name), longest) for name in attributes}
    return {name: value for name, value in values.items() if value is not None}


def literals(ad: Ad, attributes: Iterable[str]) -> dict[str, Plain]:
    """Those that stand there as they are: to work out what a stranger wrote may end the process."""
    values = {name: _bounded(name, _literal(ad, name), _REASON) for name in attributes}
    return {name: value for name, value in values.items() if value is not None}


def _literal(ad: Ad, name: str) -> Plain:
    try:
        return _simple(ad.get(name))
    except UnicodeDecodeError as error:
        return _decoded(error)


def _value(ad: Ad, name: str) -> Plain:
    try:
        value = ad.get(name)
        if value is None or isinstance(value, bool | int | float | str):
            return _simple(value)
        return _simple(ad.eval(name))
    except UnicodeDecodeError as error:
        return _decoded(error)
    except Exception:  # an expression that cannot be evaluated is as good as absent
        return None


def _decoded(error: UnicodeDecodeError) -> str:
    """HTCondor's strings are bytes, and somebody's file name may be in one."""
    return error.object.decode("utf-8", "replace")


def _bounded(name: str, value: Plain, longest: int) -> Plain:
    most = longest if name in REASONS else _LONGEST
    if not isinstance(value, str) or len(value) * _WIDEST <= most or _sent(value[: most + 1]) <= most:
        return value
    if name not in REASONS:
        return None
    return value[: bisect_right(range(1, most + 1), most, key=lambda end: _sent(value[:end]))]


def _sent(text: str) -> int:
    """Bytes that `wire` makes of it."""
    return len(json.dumps(text)) - 2


def _simple(value: object) -> Plain:
    if isinstance(value, enum.Enum) or not isinstance(value, bool | int | float | str):
        return None
    # A number without end is there, and none: as a text it can be sent, and nobody takes it for a number.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
