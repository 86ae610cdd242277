"""A job's ClassAd as plain values, in the agent's process. What is undefined or cannot be evaluated is None.

Needs no import of HTCondor: an undefined attribute is a member of an enum whose number is 2 and which is
therefore equal to a real 2, so it must be told apart by its type.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from typing import Final, Protocol

_LONGEST: Final = 4096
"""Characters of one text: an image can say a lot on its way to a reason, and all jobs fit one answer."""

Plain = bool | int | float | str | None


class Ad(Protocol):
    """As much of `classad2.ClassAd` as is needed."""

    def get(self, name: str) -> object:
        """The attribute's value, or None."""

    def eval(self, name: str) -> object:
        """The attribute's value, evaluated if it is an expression."""


def plain(ad: Ad, attributes: Iterable[str]) -> dict[str, Plain]:
    """The attributes that have a plain value."""
    values = {name: _value(ad, name) for name in attributes}
    return {name: value for name, value in values.items() if value is not None}


def literals(ad: Ad, attributes: Iterable[str]) -> dict[str, Plain]:
    """Those that stand there as they are: to work out what a stranger wrote may end the process."""
    values = {name: _literal(ad, name) for name in attributes}
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
    return error.object.decode("utf-8", "replace")[:_LONGEST]


def _simple(value: object) -> Plain:
    if isinstance(value, enum.Enum) or not isinstance(value, bool | int | float | str):
        return None
    if isinstance(value, str):
        return value[:_LONGEST]
    # A number without end is there, and none: as a text it can be sent, and nobody takes it for a number.
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
