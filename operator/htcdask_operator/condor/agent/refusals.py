"""What the slots themselves say to a job that fits them: their own rules, and whether they have room now.

Called by `schedd.analyze` with whole ads, since a rule may refer to anything. Plain values in and out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from htcdask_operator.condor.agent import slot_ads
from htcdask_operator.condor.agent.sifted import sifted
from htcdask_operator.condor.agent.slot_ads import RESOURCES
from htcdask_operator.condor.errors import CondorError

LOOKED_AT: Final = 40
"""Slots whose own Requirements are evaluated: they need whole ads."""

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
    answers = [row["answer"] for row in seen]
    texts = Counter(row["start"] for row in seen if row["answer"] is False)
    return {
        "looked_at": len(slots),
        "take": answers.count(True),
        "room": sum(row["room"] for row in seen),
        "refuse": answers.count(False),
        "unknown": answers.count(None) + found.count(None),
        "start": texts.most_common(1)[0][0] if texts else None,
        "broken": [slot_ads.name(slot) for slot, row in zip(slots, found, strict=True) if row is None],
    }


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
        if answer is True:
            slot.update({name: value for name, value in now.items() if value is not None})
            room = _has_room(slot, job)
        rows.append({"answer": answer, "room": room, "start": _start(slot) if answer is False else None})
    return rows


def _has_room(slot: Ad, job: Ad) -> bool:
    """Whether the job could start there now."""
    whole = slot_ads.literal(slot, "PartitionableSlot") is not True
    if whole and slot_ads.literal(slot, "State") not in ("Unclaimed", "Owner"):
        return False
    mine = slot_ads.value(job.lookup("Requirements"), job, slot)
    return mine is True and slot_ads.value(slot_ads.attribute(slot, "Requirements"), slot, job) is True


def _start(slot: Ad) -> str:
    """The rule by which the slot refuses, in the words of its configuration."""
    start = slot_ads.attribute(slot, "Start")
    return str(slot_ads.attribute(slot, "Requirements") if start is None else start)[: slot_ads.TEXT]
