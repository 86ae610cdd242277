"""Whether the pool's negotiator is at work: where it is not, nobody gets a slot, whatever fits.

Called by `schedd.analyze`, with what the collector shows to whoever may READ. The collector's clock is the
only one that counts here, by its `LastHeardFrom`: the newest of all ads is its time, or a moment before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from htcdask_operator.condor.agent.classads import literals

ATTRIBUTES: Final = ("LastNegotiationCycleEnd0", "DaemonStartTime", "MyCurrentTime", "LastHeardFrom")
HEARD: Final = ("LastHeardFrom",)

_UNHEARD_SECONDS: Final = 600.0  # it tells of itself after each cycle, and every 300 s
_CYCLE_SECONDS: Final = 1500.0  # one may take 1200 (NEGOTIATOR_MAX_TIME_PER_CYCLE), and is told 300 later

Ad = Any  # classad2.ClassAd


def work(negotiators: Sequence[Ad] | None, slots: Iterable[Ad]) -> dict[str, Any]:
    """How many negotiators there are, and for how many seconds none has worked, if that is long.

    `negotiators`: None: nobody could say. That there is none is a sign only beside slots.
    """
    heard = [time for slot in slots if (time := _times(slot, HEARD).get("LastHeardFrom")) is not None]
    if negotiators is None or not heard:
        return {"negotiators": None, "quiet": None}
    known = [_times(ad, ATTRIBUTES) for ad in negotiators]
    now = max(heard + [its["LastHeardFrom"] for its in known if "LastHeardFrom" in its])
    quiet = [_quiet(its, now) for its in known]
    long = [seconds for seconds in quiet if seconds is not None]
    return {"negotiators": len(known), "quiet": min(long) if long and len(long) == len(quiet) else None}


def _quiet(its: dict[str, float], now: float) -> float | None:
    """For so many seconds it has ended no cycle; None: it has lately, or nobody can tell."""
    heard = its.get("LastHeardFrom")
    if heard is None:
        return None
    ended = its.get("LastNegotiationCycleEnd0") or its.get("DaemonStartTime")
    # By its own clock, as is the time at which it said so.
    before = max(0.0, its["MyCurrentTime"] - ended) if ended and "MyCurrentTime" in its else 0.0
    unheard = now - heard
    long = unheard > _UNHEARD_SECONDS or unheard + before > _CYCLE_SECONDS
    return unheard + before if long else None


def _times(ad: Ad, names: Sequence[str]) -> dict[str, float]:
    found = literals(ad, names)
    return {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
