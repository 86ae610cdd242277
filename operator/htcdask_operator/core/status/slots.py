"""Why an idle job has no slot, in words for the person who waits: what keeps it, and what to do.

Called by `explain`. What only the negotiator knows (other people's next jobs, hidden limits) is said to be
unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from htcdask_operator.core import reasons, sanitize, verdict
from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import Analysis, Clause, Job

_SIZES: Final[Mapping[str, tuple[str, float]]] = {  # of clauses that the operator writes itself
    "TARGET.Memory >= RequestMemory": ("memory", 2.0**20),
    "TARGET.Disk >= RequestDisk": ("disk", 2.0**10),
}
_COUNTS: Final[Mapping[str, str]] = {
    "TARGET.Cpus >= RequestCpus": "core",
    "TARGET.GPUs >= RequestGPUs": "GPU",
}
_RUNTIME: Final = "TARGET.HasContainer"
_CONTAINERS: Final[Mapping[str, str]] = {
    _RUNTIME: "runs containers: no execute node has Apptainer, or HTCondor does not find it (SINGULARITY in "
    "its configuration). Ask the site",
    "TARGET.HasSIF": "runs .sif images",
    "TARGET.HasSandboxImage": "runs images that are unpacked folders",
    "TARGET.HasDockerURL": "runs images from a registry",
}
_MATCHED: Final = (reasons.WAITING_FOR_MATCH, reasons.POOL_FULL, reasons.QUOTA_REACHED, reasons.LIMIT_REACHED)
"""What holds for a while, if somebody matches."""
_TOLD: Final = 2  # clauses in one message
_REASON: Final = 200  # characters of why a machine drains


def told(analysis: Analysis, job: Job) -> tuple[str, str]:
    """The reason and the sentence."""
    reason, message = _told(analysis, job)
    quiet = _quiet(analysis)
    if quiet and reason in _MATCHED:
        reason, message = reasons.WAITING_FOR_MATCH, f"{quiet} {_fit(analysis)}."
    elif quiet:
        message = f"{quiet} {message}"
    return reason, f"{message}{_broken(analysis)}"


def _told(analysis: Analysis, job: Job) -> tuple[str, str]:
    slots = analysis.slots
    if not slots:
        return reasons.NO_MATCHING_SLOTS, "HTCondor's pool has no slot at all now: no execute node is there."
    unmet = _first_causes([clause for clause in analysis.clauses if not clause.met])
    if unmet:
        return reasons.NO_MATCHING_SLOTS, " ".join(_unmet(clause, slots) for clause in unmet[:_TOLD])
    if not analysis.fit:
        return reasons.NO_MATCHING_SLOTS, _together(verdict.told(analysis), slots)
    fit = _fit(analysis)
    if not analysis.take and (analysis.refuse or analysis.drain):
        return reasons.SLOTS_REFUSE, _refused(analysis, fit)
    if not analysis.take:
        return (
            reasons.WAITING_FOR_MATCH,
            f"{fit}; whether they take it depends on what the collector does not show.{_rejected(job)}",
        )
    if analysis.reached:
        return (
            reasons.QUOTA_REACHED,
            f"{fit}, and the accounting group {analysis.group} has {analysis.used:g} of its quota of "
            f"{analysis.quota:g}: the job starts when others of the group end. Who needs more asks the site.",
        )
    if analysis.limit is not None:
        return reasons.LIMIT_REACHED, f"{fit}, and {_limited(analysis)}"
    if not analysis.room:
        return (
            reasons.POOL_FULL,
            f"{fit}, and none{_seen(analysis)} has room now: the job starts when others end. Smaller ones "
            f"find room sooner.{_precedence(analysis)}",
        )
    return (
        reasons.WAITING_FOR_MATCH,
        f"{fit}, and some have room now: the job waits for its turn.{_precedence(analysis)} A limit of the "
        f"site may hold it, too.{_rejected(job)}",
    )


def _fit(analysis: Analysis) -> str:
    return f"{analysis.fit} of {analysis.slots} slots fit the job when they are empty"


def _seen(analysis: Analysis) -> str:
    """Of how many that is known, if not of all that fit."""
    return "" if analysis.looked_at >= analysis.fit else f" of the {analysis.looked_at} looked at"


def _quiet(analysis: Analysis) -> str:
    """That nobody matches jobs and slots, if so: it comes before all that a match depends on."""
    if analysis.negotiators == 0:
        what = "HTCondor's pool has no negotiator now"
    elif analysis.quiet is not None:
        what = f"The pool's negotiator has not run for {analysis.quiet / 60:.0f} min"
    else:
        return ""
    return f"{what}: nothing is matched, whoever asks; tell the site's admins."


def _broken(analysis: Analysis) -> str:
    """How much of all that is not known."""
    if not analysis.broken:
        return ""
    one = f" ({sanitize.name(analysis.broken_slot)})" if analysis.broken_slot else ""
    said = "it says" if analysis.broken == 1 else "they say"
    return (
        f" Of {counted(analysis.broken, 'slot')}{one} nothing is known: what {said} takes too much time or "
        "memory, or ends HTCondor's library. Tell the site's admins."
    )


def _limited(analysis: Analysis) -> str:
    """What is known of a limit is its use: how much there may be is configuration."""
    use = "" if analysis.limit_used is None else f", of which running jobs use {analysis.limit_used:g}"
    return (
        f"HTCondor's negotiator says that the concurrency limit {analysis.limit} is reached{use}. The job "
        "starts when others that use it end. How high the limit is, is the negotiator's configuration and "
        "not known here: ask the site."
    )


def _precedence(analysis: Analysis) -> str:
    """Who comes first, as far as it can be seen: of the same submitter, and by fair share."""
    own = analysis.earlier or 0
    if not own:
        return _fair_share(analysis)
    jobs, are = ("idle job", "is") if own == 1 else ("idle jobs", "are")
    return (
        f" {own} {jobs} of the same accounting user (everybody, where the site sets no accountingGroup), "
        f"older or of a higher priority, {are} offered before it."
        f"{_fair_share(analysis)}"
    )


def _fair_share(analysis: Analysis) -> str:
    if analysis.ahead is None:
        return " Who comes first is the negotiator's to say (condor_userprio)."
    if not analysis.ahead:
        return ""
    who, come = (
        ("Another accounting user", "comes")
        if analysis.ahead == 1
        else (f"{analysis.ahead} other accounting users", "come")
    )
    return (
        f" {who} with idle jobs and a better priority (condor_userprio) {come} first: this one's improves "
        "while fewer of its jobs run."
    )


def _first_causes(unmet: Sequence[Clause]) -> Sequence[Clause]:
    """Who runs no container at all runs none of any kind: that is said once."""
    if not any(clause.text == _RUNTIME for clause in unmet):
        return unmet
    return [clause for clause in unmet if clause.text == _RUNTIME or clause.text not in _CONTAINERS]


def _unmet(clause: Clause, slots: int) -> str:
    if clause.text in _CONTAINERS:
        return f"No slot of {slots} {_CONTAINERS[clause.text]}."
    if clause.undefined == slots:
        offer = _offer(clause)
        typed = "Request" not in clause.text  # by a person, and not made from what is requested
        end = ": is the name right?" if typed and not offer else f"{offer}."
        return f"No slot of {slots} defines what {_quoted(clause)} asks for{end}"
    return f"No slot of {slots} meets {_quoted(clause)}{_offer(clause)}."


def _together(clauses: Sequence[Clause], slots: int) -> str:
    """`clauses`: the one that stands out, or the rarest."""
    best = clauses[0]
    if not best.without:
        rare = " and ".join(f"{_quoted(clause)} ({clause.met})" for clause in clauses)
        return f"No slot of {slots} meets all that the job requires. The fewest meet {rare}."
    return (
        f"No slot of {slots} meets all that the job requires: of the {best.without} that meet the rest, "
        f"none meets {_quoted(best)}{_offer(best)}."
    )


def _refused(analysis: Analysis, fit: str) -> str:
    if not analysis.refuse:
        return f"{fit}, and {_drain(analysis)}: no job starts there until the site ends that. Ask it when."
    if analysis.start:
        rule = f": START is {analysis.start}"
    else:
        rule = f": `{analysis.rule}` in their Requirements is false" if analysis.rule else ""
    some = "" if analysis.refuse == analysis.looked_at else f" (at least {analysis.refuse} of them)"
    whose = f"{_drain(analysis)}, and the others' own rules" if analysis.drain else "their own rules"
    return f"{fit}, and {whose} refuse it{some}{rule}. Ask the site which jobs may run there."


def _drain(analysis: Analysis) -> str:
    """With the reason in the words of whoever drains them, which are no sentence of ours."""
    who = "they" if analysis.drain == analysis.looked_at else f"at least {analysis.drain} of them"
    why = f' ("{sanitize.line(analysis.drain_reason, _REASON)}")' if analysis.drain_reason else ""
    return f"{who} drain{why}"


def _offer(clause: Clause) -> str:
    """What was asked for, and what there is."""
    if clause.asked is None or not clause.nearest:
        return ""
    best = clause.nearest[0]
    if clause.text in _SIZES and isinstance(clause.asked, int | float) and isinstance(best, int | float):
        what, unit = _SIZES[clause.text]
        return (
            f": {_bytes(clause.asked * unit)} of {what} are asked for, and the largest has "
            f"{_bytes(best * unit)}; ask for less"
        )
    if clause.text in _COUNTS:
        what = _COUNTS[clause.text]
        whole = type(clause.asked) is int
        asked = counted(int(clause.asked), what, "are") if whole else f"{clause.asked} {what}s are"
        return f": {asked} asked for, and the largest has {best}; ask for fewer"
    return f": they offer {', '.join(_shown(value) for value in clause.nearest)}"


def _bytes(count: float) -> str:
    for unit, size in (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return f"{count:.0f} bytes"


def _shown(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def _quoted(clause: Clause) -> str:
    return f"`{clause.text}`"


def _rejected(job: Job) -> str:
    return f" It says: {job.reject_reason}." if job.reject_reason else ""
