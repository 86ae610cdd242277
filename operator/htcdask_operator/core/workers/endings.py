"""How a worker ended, in a sentence for the person who reads it: in the failure, and in Events.

Called by `states`, which decides that it is over, and why. Machines' and people's words are quoted as they
came; who writes them down makes them harmless.
"""

from __future__ import annotations

from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import Job
from htcdask_operator.core.workers import failure_policy


def exited(job: Job, ran: float | None) -> str:
    """Its process ended by itself, after so many seconds."""
    after = f"{'' if ran is None else f' after {timestamps.lasted(ran)}'}{_where(job)}"
    if job.exit_signal is not None:
        return f"Worker {job.worker} was killed by signal {job.exit_signal}{after}."
    if not job.exit_code:
        return f"Worker {job.worker} ended{after}, although with exit code 0."
    # 128 and more is what a shell makes of a signal; the kernel's killer of who takes too much sends 9.
    killed = " (killed by signal 9: often a lack of memory)" if job.exit_code == 128 + 9 else ""
    return f"Worker {job.worker} ended with exit code {job.exit_code}{killed}{after}."


def lost(job: Job) -> str:
    """Its scheduler has missed it for too long."""
    whom = f"{job.worker}{_where(job)}"
    return f"The scheduler lost worker {whom}, and its job did not end: is the execute node there?"


def vacated(job: Job, reason: str) -> str:
    """HTCondor took its slot."""
    return f"Worker {job.worker} lost its slot{_where(job)}: {_quoted(job.vacate_reason)}.{_remedy(reason)}"


def suspended(job: Job) -> str:
    """HTCondor has stopped it for a while."""
    return f"HTCondor has suspended worker {job.worker}{_where(job)}; it goes on when its machine allows it."


def suspended_too_long(job: Job, seconds: float) -> str:
    """The site does not wait for it any more."""
    return (
        f"Worker {job.worker} was suspended{_where(job)} for {timestamps.lasted(seconds)}, and is replaced."
    )


def held(job: Job, reason: str) -> str:
    """HTCondor, or a site's rule, holds its job."""
    said = f"The job of worker {job.worker} was held (code {job.hold_code or 0}): {_quoted(job.hold_reason)}."
    said += _remedy(reason)
    if not failure_policy.takes_too_much_memory(job):
        return said
    used = f"{job.memory_mib} MiB of memory and asked for {job.request_memory_mib} MiB"
    return f"{said} It had used {used}: ask for more, or let a worker do less at a time."


def outgrew(job: Job, more: str) -> str:
    """It had too little memory, and the next ones request `more`."""
    said = f"The job of worker {job.worker} ended{_where(job)}"
    if job.hold_code is not None:
        said = f"The job of worker {job.worker} was held (code {job.hold_code}): {_quoted(job.hold_reason)}"
    peak = "" if job.memory_mib is None else f" and had used {job.memory_mib} MiB"
    return f"{said}. It had asked for {job.request_memory_mib} MiB of memory{peak}; the next ask for {more}."


def who_removed(job: Job) -> str:
    """As the queue said; most jobs have left it by the next answer, and only the access point knows then."""
    return job.remove_reason or f"`condor_history {job.id}` on the access point says who, and why"


def _remedy(reason: str) -> str:
    if reason != reasons.BAD_IMAGE:
        return ""
    return " Is the image's name right, is it there, and can execute nodes read it?"


def _where(job: Job) -> str:
    return f" on {job.machine}" if job.machine else ""


def _quoted(text: str | None) -> str:
    return text.rstrip(" .") if text and text.rstrip(" .") else "HTCondor gave no reason"
