"""One slot's ClassAd as its machine wrote it: what stands in it, and what an expression comes to beside it.

Used by `analysis` and `refusals`. To read what stands there is safe; `value` may cost any time or end the
library, so it is called in a child only (`sifted`).
"""

from __future__ import annotations

import enum
import math
from typing import Any, Final

from htcdask_operator.condor.agent.classads import Plain

RESOURCES: Final = ("Cpus", "Memory", "Disk", "GPUs")
TEXT: Final = 200
"""Characters of a clause, a name or a value."""

Ad = Any  # classad2.ClassAd


def empty(slot: Ad) -> None:
    """A partitionable slot as it is when nothing runs in it."""
    if literal(slot, "PartitionableSlot") is True:
        for name in RESOURCES:
            total = literal(slot, f"TotalSlot{name}")
            if total is not None:
                slot[name] = total


def attribute(ad: Ad, name: str) -> Any:
    """As it stands in the ad; None: it is not there, or its text is in no known letters."""
    try:
        return ad.lookup(name)
    except (KeyError, UnicodeDecodeError):
        return None


def literal(ad: Ad, name: str) -> Plain:
    """Its value, if none has to be worked out."""
    try:
        return simple(ad.get(name))
    except UnicodeDecodeError:
        return None


def name(slot: Ad) -> str:
    """By which people know it."""
    found = literal(slot, "Name")
    return found if isinstance(found, str) else "a slot without a name"


def value(expression: Any, of: Ad, target: Ad) -> bool | None:
    """What HTCondor's matchmaking makes of it: numbers are truths; None: undefined, or an error."""
    try:
        found = expression.eval(scope=of, target=target)
    except Exception:  # whatever a site's own expression may do to the library
        return None
    known = simple(found)
    return bool(known) if isinstance(known, bool | int | float) else None


def simple(found: object) -> Plain:
    """A value that can be told; undefined is a member of an enum."""
    if isinstance(found, str):
        return found[:TEXT]
    if isinstance(found, enum.Enum) or not isinstance(found, bool | int | float):
        return None
    return found if math.isfinite(found) else None
