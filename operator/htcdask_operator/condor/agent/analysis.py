"""Why one idle job has no slot: each clause of its Requirements against every slot, its machine empty.

Called by `schedd.analyze`, which has fetched the ads. An empty machine offers its totals, so a
clause that no slot meets then is met by waiting only if other machines come. Plain values in and out.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import classad2

from htcdask_operator.condor.agent import clauses
from htcdask_operator.condor.agent.classads import Plain

RESOURCES: Final = ("Cpus", "Memory", "Disk", "GPUs")
SLOT: Final = ("Name", "State", "PartitionableSlot", *RESOURCES, *(f"TotalSlot{name}" for name in RESOURCES))
"""What is needed of each slot beside what the job's Requirements refer to."""

_TEXT: Final = 200  # characters of a clause
_SHOWN: Final = 3  # values of an attribute that is no number
LOOKED_AT: Final = 40
"""Slots whose own Requirements are evaluated: they need whole ads."""

_ATTRIBUTES: Final = 60  # of each slot, beside those: what else a job names is undefined
_COMPARED: Final = re.compile(r"(?:TARGET\.)?([A-Za-z_]\w*) (>=|>|<=|<|==|=\?=|is) (.{1,200})")
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_LARGEST: Final = (">=", ">")
_SMALLEST: Final = ("<=", "<")

Ad = Any  # classad2.ClassAd


def wanted_of_slots(job: Ad) -> list[str]:
    """The attributes of a slot that the job's Requirements may refer to."""
    words = dict.fromkeys(word for clause in _clauses(job) for word in _WORD.findall(clause))
    return sorted({*SLOT, *list(words)[:_ATTRIBUTES]})


def analyze(job: Ad, slots: Sequence[Ad]) -> dict[str, Any]:
    """What each clause comes to, and the names of the slots that meet all of them."""
    for slot in slots:
        _empty(slot)
    texts = _clauses(job)
    met = [_met(text, job, slots) for text in texts]
    lacks = Counter(index for good, _ in met for index in range(len(slots)) if index not in good)
    fits = [index for index in range(len(slots)) if not lacks[index]]
    told = []
    for text, (good, undefined) in zip(texts, met, strict=True):
        others = [index for index in range(len(slots)) if lacks[index] == (index not in good)]
        told.append(
            {
                "text": text[:_TEXT],
                "met": len(good),
                "undefined": undefined,
                "without": len(others),
                **({} if fits else _nearest(text, job, [slots[index] for index in others] or slots)),
            }
        )
    names = [name for index in fits if isinstance(name := _literal(slots[index], "Name"), str)]
    return {"slots": len(slots), "clauses": told, "fit": names}


def refusals(job: Ad, slots: Sequence[Ad]) -> dict[str, Any]:
    """What the slots themselves say to the job: so many would take it when empty, and have room now."""
    takes = room = unknown = 0
    texts: Counter[str] = Counter()
    for slot in slots:
        now = {name: _literal(slot, name) for name in RESOURCES}
        _empty(slot)
        answer = _value(_attribute(slot, "Requirements"), slot, job)
        if answer is True:
            takes += 1
            slot.update({name: value for name, value in now.items() if value is not None})
            room += _has_room(slot, job)
        elif answer is False:
            texts[_start(slot)] += 1
        else:
            unknown += 1
    refused = texts.most_common(1)[0][0][:_TEXT] if texts else None
    return {
        "looked_at": len(slots),
        "take": takes,
        "room": room,
        "refuse": texts.total(),
        "unknown": unknown,
        "start": refused,
    }


def some(names: Sequence[str]) -> list[str]:
    """Those of so many slots that are looked at, from all over the list: neighbours are alike."""
    different = sorted(set(names))
    step = max(1, len(different) // LOOKED_AT)
    return different[::step][:LOOKED_AT]


def _clauses(job: Ad) -> list[str]:
    def definition(name: str) -> str | None:
        found = job.lookup(name) if name in job else None
        return str(found) if isinstance(found, classad2.ExprTree) else None

    return clauses.of(str(job.lookup("Requirements")), definition)


def _empty(slot: Ad) -> None:
    """A partitionable slot as it is when nothing runs in it."""
    if _literal(slot, "PartitionableSlot") is True:
        for name in RESOURCES:
            total = _literal(slot, f"TotalSlot{name}")
            if total is not None:
                slot[name] = total


def _attribute(ad: Ad, name: str) -> Any:
    """As it stands in the ad; None: it is not there, or its text is in no known letters."""
    try:
        return ad.lookup(name)
    except (KeyError, UnicodeDecodeError):
        return None


def _literal(ad: Ad, name: str) -> Plain:
    """Its value, if none has to be worked out."""
    try:
        return _simple(ad.get(name))
    except UnicodeDecodeError:
        return None


def _met(text: str, job: Ad, slots: Sequence[Ad]) -> tuple[set[int], int]:
    """Which slots meet the clause, and how many do not define what it asks for."""
    clause = classad2.ExprTree(text)
    answers = [_value(clause, job, slot) for slot in slots]
    good = {index for index, answer in enumerate(answers) if answer is True}
    return good, sum(answer is None for answer in answers)


def _value(expression: Any, of: Ad, target: Ad) -> bool | None:
    """What HTCondor's matchmaking makes of it: numbers are truths; None: undefined, or an error."""
    try:
        found = expression.eval(scope=of, target=target)
    except Exception:  # whatever a site's own expression may do to the library
        return None
    known = _simple(found)
    return bool(known) if isinstance(known, bool | int | float) else None


def _nearest(text: str, job: Ad, slots: Sequence[Ad]) -> Mapping[str, Plain | list[Plain]]:
    """What the clause asks for, and what comes nearest to it: the best number, or the commonest values."""
    compared = _COMPARED.fullmatch(text)
    if compared is None:
        return {}
    name, operator, right = compared.groups()
    try:
        asked = _simple(classad2.ExprTree(right).eval(scope=job))
    except Exception:
        return {}
    offered = [value for slot in slots if (value := _literal(slot, name)) is not None]
    numbers = [value for value in offered if isinstance(value, int | float) and not isinstance(value, bool)]
    if asked is None or not offered:
        return {}
    if operator in (*_LARGEST, *_SMALLEST):
        best = max if operator in _LARGEST else min
        return {"asked": asked, "nearest": [best(numbers)]} if numbers else {}
    return {"asked": asked, "nearest": [value for value, _ in Counter(offered).most_common(_SHOWN)]}


def _simple(value: object) -> Plain:
    if isinstance(value, str):
        return value[:_TEXT]
    if isinstance(value, classad2.Value) or not isinstance(value, bool | int | float):
        return None
    return value if math.isfinite(value) else None


def _has_room(slot: Ad, job: Ad) -> bool:
    """Whether the job could start there now."""
    whole = _literal(slot, "PartitionableSlot") is not True
    if whole and _literal(slot, "State") not in ("Unclaimed", "Owner"):
        return False
    mine = _value(job.lookup("Requirements"), job, slot)
    return mine is True and _value(_attribute(slot, "Requirements"), slot, job) is True


def _start(slot: Ad) -> str:
    """The rule by which the slot refuses, in the words of its configuration."""
    start = _attribute(slot, "Start")
    return str(_attribute(slot, "Requirements") if start is None else start)
