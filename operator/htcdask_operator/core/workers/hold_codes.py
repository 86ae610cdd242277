"""What a held worker job means, by HoldReasonCode, as data.

Called by `triage`. A held job is either left to whoever held it (`WAIT`) or over (`END`): then it is recorded
under its reason and removed, and `backoff` knows from the reason when, or whether, the next worker may come.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job


class Action(enum.Enum):
    """What to do with a held job."""

    WAIT = "wait"  # never released by us; it counts as live
    END = "end"  # record and remove; a replacement comes as the reason's pace allows


@dataclass(frozen=True, slots=True)
class Treatment:
    """One line of the table."""

    action: Action
    reason: str


def _end(reason: str, *codes: int) -> dict[int, Treatment]:
    return {code: Treatment(Action.END, reason) for code in codes}


def _wait(reason: str, *codes: int) -> dict[int, Treatment]:
    return {code: Treatment(Action.WAIT, reason) for code in codes}


BY_CODE: Final[Mapping[int, Treatment]] = {
    **_wait(reasons.HELD_BY_USER, 1, 15),  # by a person; submitted on hold by a site's transform
    **_end(reasons.HELD_BY_POLICY, 3),
    **_end(reasons.CREDENTIAL_INVALID, 4),
    **_end(reasons.POLICY_BROKEN, 5, 27),
    **_end(reasons.BAD_IMAGE, 6, 35, 45),
    **_end(reasons.ACCESS_POINT_FILES, 7, 8, 9, 10, 13, 14),
    **_end(reasons.TRANSFER_FAILED, 11, 12, 18, 33),  # 33: it printed more than may be brought back
    **_end(reasons.NEVER_SPOOLED, 16),  # only once it has waited too long: `triage`
    **_end(reasons.MACHINE_REFUSED, 19, 21),
    **_end(reasons.HELD_BY_SITE, 22, 23, 26, 32, 43, 44, 48),
    **_end(reasons.OUT_OF_RESOURCES, 34),
    **_end(reasons.RUN_TIME_OVER, 46, 47),
}
UNKNOWN: Final = Treatment(Action.END, reasons.HELD)


def treatment(job: Job) -> Treatment:
    """What to do with this held job."""
    return BY_CODE.get(job.hold_code or 0, UNKNOWN)
