"""What it means that a worker ended or is held: one row a code of HTCondor's, one row a reason of ours.

`states` takes the reason of a job from here, `backoff` what follows from the reason: how long the next worker
waits, and from when on nothing but a person helps.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job, JobStatus


class HoldAction(enum.Enum):
    """What to do with a held job."""

    WAIT = "wait"  # never released by us; it counts as live
    REPLACE = "replace"  # record and remove; another one comes as the reason's policy allows


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """One HoldReasonCode."""

    action: HoldAction
    reason: str


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """How a failure of some reason slows down what follows. The default doubles until the breaker trips."""

    penalty: bool = True  # the pause doubles with each event of this reason
    pause: bool = True  # the next worker waits at least the first delay
    breaker: bool = True  # with other failures it counts towards WorkersKeepFailing
    events: int | None = None  # so many of this reason: nothing but a person helps
    machines: int | None = None  # the same on so many machines: it is not the machine


def _replace(reason: str, *codes: int) -> dict[int, HoldPolicy]:
    return {code: HoldPolicy(HoldAction.REPLACE, reason) for code in codes}


def _wait(reason: str, *codes: int) -> dict[int, HoldPolicy]:
    return {code: HoldPolicy(HoldAction.WAIT, reason) for code in codes}


_WANT_HOLD: Final = 21  # a rule of the execute node; which one is not said in a way that programs understand
_OUT_OF_RESOURCES: Final = 34
_OUTPUT_NOT_BROUGHT: Final = 12

HOLD_CODES: Final[Mapping[int, HoldPolicy]] = {
    **_wait(reasons.HELD_BY_USER, 1, 15),  # by a person; submitted on hold by a site's transform
    **_replace(reasons.HELD_BY_POLICY, 3),
    **_replace(reasons.CREDENTIAL_INVALID, 4),
    **_replace(reasons.POLICY_BROKEN, 5, 27),
    **_replace(reasons.BAD_IMAGE, 6, 35, 45),
    **_replace(reasons.ACCESS_POINT_FILES, 7, 8, 9, 10, 13, 14),
    # 33: it printed more than may be brought back.
    **_replace(reasons.TRANSFER_FAILED, 11, _OUTPUT_NOT_BROUGHT, 18, 33),
    **_replace(reasons.NEVER_SPOOLED, 16),  # only once it has waited too long: `states`
    **_replace(reasons.MACHINE_REFUSED, 19, 21),
    **_replace(reasons.HELD_BY_SITE, 22, 23, 26, 32, 43, 44, 48),
    **_replace(reasons.OUT_OF_RESOURCES, _OUT_OF_RESOURCES),
    **_replace(reasons.RUN_TIME_OVER, 46, 47),
}
_TOO_LARGE: Final = HoldPolicy(HoldAction.REPLACE, reasons.OUT_OF_RESOURCES)
_OVER: Final = HoldPolicy(HoldAction.REPLACE, reasons.OUTPUT_LOST)
_UNKNOWN_HOLD: Final = HoldPolicy(HoldAction.REPLACE, reasons.HELD)

VACATE_CODES: Final[Mapping[int, str]] = {
    45: reasons.BAD_IMAGE,
    # Of the job, as a transform sets it; of the site.
    **dict.fromkeys((1000, 1001), reasons.VACATED_BY_POLICY),
    1008: reasons.CONTACT_LOST,
    1023: reasons.REMOVED_BY_OTHERS,
    **dict.fromkeys((1004, *range(1009, 1012), *range(1013, 1020), 1022), reasons.EVICTED),
    **dict.fromkeys((1002, 1007, 1012, 1021, 1024, 1031, 1036), reasons.MACHINE_FAILED),
    **dict.fromkeys(
        (1003, 1005, 1006, 1026, 1027, 1028, 1029, 1030, 1032, 1033, 1034, 1035), reasons.SLOT_LOST
    ),
}

_FREE: Final = FailurePolicy(penalty=False, pause=False)
_PAUSE: Final = FailurePolicy(penalty=False)
_SLOWER: Final = FailurePolicy(breaker=False)  # ever longer pauses, and nobody is called
_STOP: Final = FailurePolicy(events=1)

BY_REASON: Final[Mapping[str, FailurePolicy]] = {
    reasons.EVICTED: _FREE,
    reasons.EVICTED_EARLY: _SLOWER,
    reasons.RUN_TIME_OVER: _FREE,
    reasons.CONTACT_LOST: _FREE,
    reasons.SUSPENDED: _FREE,
    reasons.MEMORY_RAISED: _FREE,  # what was wrong with it is mended
    reasons.MACHINE_FAILED: _PAUSE,
    reasons.NEVER_SPOOLED: _PAUSE,
    reasons.SLOT_LOST: _PAUSE,
    reasons.OUTPUT_LOST: _PAUSE,
    reasons.NEVER_STARTED: FailurePolicy(),
    reasons.BAD_IMAGE: FailurePolicy(machines=2),
    reasons.MACHINE_REFUSED: FailurePolicy(events=3),
    reasons.OUT_OF_RESOURCES: FailurePolicy(events=3),
    reasons.REMOVED_BY_OTHERS: FailurePolicy(events=3),
    reasons.ANCHOR_REMOVED: FailurePolicy(events=3),
    reasons.ACCESS_POINT_FILES: FailurePolicy(events=2),
    reasons.HELD: FailurePolicy(events=2),
    reasons.HELD_BY_POLICY: _STOP,
    reasons.HELD_BY_SITE: _STOP,
    reasons.CREDENTIAL_INVALID: _STOP,
    reasons.POLICY_BROKEN: _STOP,
}
_DEFAULT: Final = FailurePolicy()


def of_hold(job: Job, *, early: bool) -> HoldPolicy:
    """What to do with this held job. `early`: held before its worker can have been of use."""
    if job.hold_code == _OUTPUT_NOT_BROUGHT and not early:
        return _OVER
    if job.hold_code == _WANT_HOLD and takes_too_much_memory(job):
        return _TOO_LARGE  # the job's doing, and not the machine's
    return HOLD_CODES.get(job.hold_code or 0, _UNKNOWN_HOLD)


def takes_too_much_memory(job: Job) -> bool:
    """Whether HTCondor has measured as much as the job asked for, or more."""
    asked, peak = job.request_memory_mib, job.memory_mib
    return asked is not None and peak is not None and peak >= asked


def is_lost_to_memory(job: Job) -> bool:
    """Whether this job, which is over, had too little memory: by HTCondor's word, or what it measured."""
    if job.status is JobStatus.COMPLETED:  # 128 and more is what a shell makes of a signal
        return (job.exit_signal == 9 or job.exit_code == 128 + 9) and takes_too_much_memory(job)
    if job.status is not JobStatus.HELD or job.hold_code not in (_WANT_HOLD, _OUT_OF_RESOURCES):
        return False
    # The code of resources is the disk's, too: the reason says which, and the subcode not in all releases.
    said = job.hold_code == _OUT_OF_RESOURCES and "memory" in (job.hold_reason or "").casefold()
    return said or takes_too_much_memory(job)


def of_vacate(job: Job, *, early: bool) -> str:
    """Why this job lost its slot. `early`: before its worker can have been of use.

    An access point before 25 says nothing. What it then does not tell is an eviction where the worker had run
    for a while, and else taken for a worker that cannot start, such as one with a bad image.
    """
    unknown = reasons.NEVER_STARTED if early else reasons.EVICTED
    reason = VACATE_CODES.get(job.vacate_code, unknown) if job.vacate_code is not None else unknown
    return reasons.EVICTED_EARLY if early and reason == reasons.EVICTED else reason


def of(reason: str) -> FailurePolicy:
    """What follows from a failure of this reason."""
    return BY_REASON.get(reason, _DEFAULT)
