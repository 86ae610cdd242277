"""Who is served before an idle job, and what has been used of its accounting group's quota or of a limit.

Called by `schedd.analyze`, with what negotiator and schedds advertise to whoever may READ. Where a site
keeps that to itself, nothing is known: None, not nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import classad2

from htcdask_operator.condor.agent.classads import plain

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
LIMITED: Final = ("ConcurrencyLimits",)
USES_LIMITS: Final = "ConcurrencyLimits =!= undefined && PartitionableSlot =!= true"
"""Of the slots in which jobs with limits run."""

_LONGEST: Final = 200  # characters of a group's name
_REACHED: Final = re.compile(r"concurrency limit (\S{1,200}) reached")  # the negotiator's words

Ad = Any  # classad2.ClassAd


def standing(
    job: Ad,
    advertised: Callable[[str, str, Sequence[str]], Iterable[Ad]],
    idle: Callable[[str], int | None],
) -> dict[str, Any]:
    """`advertised`: the collector's ads of a kind that match; `idle`: how many of the schedd's do."""
    accounting = advertised("Accounting", "true", ACCOUNTING)
    known = {ad["Name"]: ad for each in accounting if "Name" in (ad := plain(each, ACCOUNTING))}
    said = plain(job, ("User", "AccountingGroup", "AcctGroup"))
    user = str(said.get("User", ""))
    ours = f"{said['AccountingGroup']}@{user.partition('@')[2]}" if "AccountingGroup" in said else user
    waiting = advertised("Submitter", "IdleJobs > 0", SUBMITTER)
    names = {plain(each, SUBMITTER).get("Name") for each in waiting} - {ours}
    name, older = limit(job), earlier(job)
    return {
        **_quota(known.get(said.get("AcctGroup"))),
        "ahead": _ahead(ours, names, known),
        "limit": name,
        "limit_used": None if name is None else used(name, advertised("Startd", USES_LIMITS, LIMITED)),
        "earlier": None if older is None else idle(older),
    }


def limit(job: Ad) -> str | None:
    """The concurrency limit for which the negotiator refused the job when it looked at it last."""
    said = _REACHED.fullmatch(str(plain(job, ("LastRejMatchReason",)).get("LastRejMatchReason", "")))
    return said.group(1) if said else None


def used(name: str, slots: Iterable[Ad]) -> float:
    """What the jobs in these slots use of the limit `name`; each says `license,disks:2`."""
    return sum(
        _share(word.partition(":")[2])
        for slot in slots
        for word in str(plain(slot, LIMITED).get("ConcurrencyLimits", "")).replace(" ", ",").split(",")
        if word.partition(":")[0].lower() == name.lower()
    )


def _share(text: str) -> float:
    """One, unless another positive number is said."""
    found = float(text) if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text) else 0.0
    return found or 1.0


def earlier(job: Ad) -> str | None:
    """The constraint of the idle jobs that the schedd offers before this one, of the same submitter."""
    said = plain(job, ("User", "AccountingGroup", "JobPrio", "QDate"))
    queued, priority = _number(said.get("QDate")), _number(said.get("JobPrio")) or 0.0
    if queued is None:
        return None
    group = said.get("AccountingGroup")
    return (
        f"JobStatus == 1 && User == {classad2.quote(str(said.get('User', '')))} && AccountingGroup =?= "
        f"{'undefined' if group is None else classad2.quote(str(group))} && "
        f"(JobPrio > {priority:.0f} || (JobPrio == {priority:.0f} && QDate < {queued:.0f}))"
    )


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
