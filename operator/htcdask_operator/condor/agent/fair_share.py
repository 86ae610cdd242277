"""Who is served before an idle job, and what its accounting group has used of its quota.

Called by `schedd.analyze`, with what negotiator and schedds advertise to whoever may READ. Where a site
keeps that to itself, nothing is known: None, not nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from htcdask_operator.condor.agent.classads import literals, plain

ACCOUNTING: Final = (
    "Name",
    "IsAccountingGroup",
    "ConfigQuota",
    "EffectiveQuota",
    "SurplusPolicy",
    "WeightedResourcesUsed",
    "Priority",
)
SUBMITTER: Final = ("Name",)
_LONGEST: Final = 200  # characters of a group's name

Ad = Any  # classad2.ClassAd


def standing(job: Ad, accounting: Iterable[Ad], waiting: Iterable[Ad]) -> dict[str, Any]:
    """`accounting`: the negotiator's ads; `waiting`: one of each submitter that has idle jobs."""
    known = {ad["Name"]: ad for each in accounting if "Name" in (ad := literals(each, ACCOUNTING))}
    said = plain(job, ("User", "AccountingGroup", "AcctGroup"))
    user = str(said.get("User", ""))
    ours = f"{said['AccountingGroup']}@{user.partition('@')[2]}" if "AccountingGroup" in said else user
    names = {literals(each, SUBMITTER).get("Name") for each in waiting} - {ours}
    return {**_quota(known.get(said.get("AcctGroup"))), "ahead": _ahead(ours, names, known)}


def _quota(group: dict[str, Any] | None) -> dict[str, Any]:
    """Of a group that may not have more than its quota: its name, what it may have, and what it has."""
    hard = group is not None and group.get("SurplusPolicy") == "no" and _number(group.get("ConfigQuota"))
    if group is None or not hard:
        return {"group": None, "quota": None, "used": None}
    return {
        "group": str(group["Name"])[:_LONGEST],
        "quota": _number(group.get("EffectiveQuota")),
        "used": _number(group.get("WeightedResourcesUsed")),
    }


def _ahead(ours: str, names: Iterable[object], known: dict[Any, Any]) -> int | None:
    """How many submitters with idle jobs have a better priority; small numbers are better."""
    mine = _number(known.get(ours, {}).get("Priority"))
    if mine is None:
        return None
    theirs = [_number(known.get(name, {}).get("Priority")) for name in names]
    return sum(priority is not None and priority < mine for priority in theirs)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
