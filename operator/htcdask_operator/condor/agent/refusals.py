"""What the slots themselves say to a job that fits them: their own rules, and whether they have room now.

Called by `schedd.analyze` with whole ads, since a rule may refer to anything. Plain values in and out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import classad2

from htcdask_operator.condor.agent import clauses, slot_ads
from htcdask_operator.condor.agent.sifted import sifted
from htcdask_operator.condor.agent.slot_ads import RESOURCES
from htcdask_operator.condor.errors import CondorError

LOOKED_AT: Final = 40
"""Slots whose own Requirements are evaluated: they need whole ads."""

_START: Final = re.compile(r"(?:MY\.)?Start", re.IGNORECASE)
_AROUND: Final = "… &&  && …"

Ad = Any  # classad2.ClassAd


def some(names: Sequence[str]) -> list[str]:
    """Those of so many slots that are looked at, from all over the list: neighbours are alike."""
    different = sorted(set(names))
    step = max(1, len(different) // LOOKED_AT)
    return different[::step][:LOOKED_AT]


def refusals(job: Ad, slots: Sequence[Ad]) -> dict[str, Any]:
    """So many would take the job when empty, and have room now. `broken`: of those nothing is known."""
    found = _sifted(job, slots)
    seen = [row for row in found if row is not None]
    answers = [row["answer"] for row in seen if row["drains"] is None]
    drains = [row["drains"] for row in seen if row["drains"] is not None]
    kind, text = _commonest([tuple(row["rule"]) for row in seen if row["rule"]]) or ("", None)
    return {
        "looked_at": len(slots),
        "take": answers.count(True),
        "room": sum(row["room"] for row in seen),
        "refuse": answers.count(False),
        "unknown": answers.count(None) + found.count(None),
        "start": text if kind == "start" else None,
        "rule": text if kind == "rule" else None,
        "drain": len(drains),
        "drain_reason": _commonest([text for text in drains if text]),
        "broken": [slot_ads.name(slot) for slot, row in zip(slots, found, strict=True) if row is None],
    }


def _commonest(found: Sequence[Any]) -> Any:
    """Of two that are as common, always the same."""
    return min(Counter(found).items(), key=lambda item: (-item[1], item[0]))[0] if found else None


def _sifted(job: Ad, slots: Sequence[Ad]) -> list[dict[str, Any] | None]:
    """Nothing is known of any: that is known of all."""
    try:
        return sifted("what a slot requires", partial(_asked, job), slots)
    except CondorError:
        return [None] * len(slots)


def _asked(job: Ad, slots: Sequence[Ad]) -> list[dict[str, Any]]:
    rows = []
    for slot in slots:
        now = {name: slot_ads.literal(slot, name) for name in RESOURCES}
        slot_ads.empty(slot)
        answer, room = slot_ads.value(slot_ads.attribute(slot, "Requirements"), slot, job), False
        drains = _drains(slot) if answer is not True else None
        if answer is True:
            slot.update({name: value for name, value in now.items() if value is not None})
            room = _has_room(slot, job)
        rule = _rule(slot, job) if answer is False and drains is None else None
        rows.append({"answer": answer, "room": room, "drains": drains, "rule": rule})
    return rows


def _has_room(slot: Ad, job: Ad) -> bool:
    """Whether the job could start there now."""
    whole = slot_ads.literal(slot, "PartitionableSlot") is not True
    if whole and slot_ads.literal(slot, "State") not in ("Unclaimed", "Owner"):
        return False
    mine = slot_ads.value(job.lookup("Requirements"), job, slot)
    return mine is True and slot_ads.value(slot_ads.attribute(slot, "Requirements"), slot, job) is True


def _drains(slot: Ad) -> str | None:
    """Why nobody gets onto the machine now, as its admin wrote it; None: somebody may."""
    if slot_ads.literal(slot, "Draining") is not True and slot_ads.literal(slot, "State") != "Drained":
        return None
    reason = slot_ads.literal(slot, "DrainReason")
    return reason if isinstance(reason, str) else ""


def _rule(slot: Ad, job: Ad) -> tuple[str, str]:
    """The part of its Requirements by which the slot refuses: `start` or `rule`, and its text."""
    requirements = slot_ads.attribute(slot, "Requirements")
    start = slot_ads.attribute(slot, "Start")
    part = _false(requirements, slot, job)
    if start is None or not _START.fullmatch(part):
        return "rule", part[: slot_ads.TEXT]
    whole = str(start)
    if len(whole) > slot_ads.TEXT and (refusing := _false(start, slot, job)) != whole:
        whole = f"… && {refusing[: slot_ads.TEXT - len(_AROUND)]} && …"
    return "start", whole[: slot_ads.TEXT]


def _false(expression: Any, slot: Ad, job: Ad) -> str:
    """The clause that is false; all of it, if none is so alone."""
    for part in clauses.of(str(expression), lambda _: None):
        if slot_ads.value(classad2.ExprTree(part), slot, job) is False:
            return part
    return str(expression)
