"""Why one idle job has no slot: each clause of its Requirements against every slot, its machine empty.

Called by `schedd.analyze`, which has fetched the ads. An empty machine offers its totals, so a
clause that no slot meets then is met by waiting only if other machines come. Plain values in and out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import classad2

from htcdask_operator.condor.agent import clauses, negotiator, slot_ads
from htcdask_operator.condor.agent.apart import apart
from htcdask_operator.condor.agent.classads import Plain
from htcdask_operator.condor.agent.sifted import sifted
from htcdask_operator.condor.agent.slot_ads import RESOURCES

SLOT: Final = (
    "Name",
    "State",
    "PartitionableSlot",
    *negotiator.HEARD,
    *RESOURCES,
    *(f"TotalSlot{name}" for name in RESOURCES),
)
"""What is needed of each slot beside what the job's Requirements refer to."""

_SHOWN: Final = 3  # values of an attribute that is no number
_JOB: Final = "what the job requires"
_SECONDS: Final = (1.0, 2.0)  # of processor time and in all, for what the job compares with
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
    """What each clause comes to, and the names of the slots that meet all of them.

    `broken` has the names of those of which nothing is known: the others are told of. CondorError where
    that is none.
    """
    texts = _clauses(job)
    found = sifted(_JOB, partial(_looked, job, texts), slots)
    seen = [row for row in found if row is not None]
    lacks = [sum(answer is not True for answer in row["met"]) for row in seen]
    fit = [row["name"] for row, missing in zip(seen, lacks, strict=True) if not missing]
    asked = [None] * len(texts) if fit else apart(_JOB, partial(_asked, job, texts), *_SECONDS)
    told = []
    for index, text in enumerate(texts):
        answers = [row["met"][index] for row in seen]
        others = [at for at, answer in enumerate(answers) if lacks[at] == (answer is not True)]
        offered = [seen[at]["offers"][index] for at in others or range(len(seen))]
        told.append(
            {
                "text": text[: slot_ads.TEXT],
                "met": answers.count(True),
                "undefined": answers.count(None),
                "without": len(others),
                **_nearest(text, asked[index], offered),
            }
        )
    names = [name for name in fit if isinstance(name, str)]
    broken = [slot_ads.name(slot) for slot, row in zip(slots, found, strict=True) if row is None]
    return {"slots": len(seen), "clauses": told, "fit": names, "broken": broken}


def _clauses(job: Ad) -> list[str]:
    def definition(name: str) -> str | None:
        found = job.lookup(name) if name in job else None
        return str(found) if isinstance(found, classad2.ExprTree) else None

    return clauses.of(str(job.lookup("Requirements")), definition)


def _looked(job: Ad, texts: Sequence[str], slots: Sequence[Ad]) -> list[dict[str, Any]]:
    """Of each slot, empty: what each clause comes to, and what the slot has of what the clause compares."""
    parsed = [classad2.ExprTree(text) for text in texts]
    compared = [_compared(text) for text in texts]
    rows = []
    for slot in slots:
        slot_ads.empty(slot)
        met = [slot_ads.value(clause, job, slot) for clause in parsed]
        offers = [slot_ads.literal(slot, its[0]) if its is not None else None for its in compared]
        rows.append({"met": met, "offers": offers, "name": slot_ads.literal(slot, "Name")})
    return rows


def _asked(job: Ad, texts: Sequence[str]) -> list[Plain]:
    """With what each clause compares an attribute of the slot."""
    found = list[Plain]()
    for text in texts:
        compared = _compared(text)
        if compared is None or (not text.startswith("TARGET.") and compared[0] in job):
            found.append(None)  # or the name is one of the job's own
            continue
        try:
            found.append(slot_ads.simple(classad2.ExprTree(compared[2]).eval(scope=job)))
        except Exception:  # whatever a user's own expression may do to the library
            found.append(None)
    return found


def _compared(text: str) -> tuple[str, str, str] | None:
    """Attribute of the slot, operator and what stands to the right, of a clause that is such a comparison."""
    found = _COMPARED.fullmatch(text)
    if found is None or clauses.compares_on(found[3]):
        return None
    return found[1], found[2], found[3]


def _nearest(text: str, asked: Plain, offered: Sequence[Plain]) -> Mapping[str, Plain | list[Plain]]:
    """What the clause asks for, and what comes nearest to it: the best number, or the commonest values."""
    compared = _compared(text)
    known = [value for value in offered if value is not None]
    if compared is None or asked is None or not known:
        return {}
    if compared[1] in (*_LARGEST, *_SMALLEST):
        numbers = [value for value in known if isinstance(value, int | float) and not isinstance(value, bool)]
        best = max if compared[1] in _LARGEST else min
        return {"asked": asked, "nearest": [best(numbers)]} if numbers else {}
    return {"asked": asked, "nearest": [value for value, _ in Counter(known).most_common(_SHOWN)]}
