"""What it means that a worker's job went back to idle, by VacateReasonCode, as data.

Called by `triage` for spent jobs: HTCondor never starts them again, so each is recorded under this reason,
removed and replaced under a new name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job

BY_CODE: Final[Mapping[int, str]] = {
    45: reasons.BAD_IMAGE,
    1001: reasons.VACATED_BY_POLICY,
    1008: reasons.CONTACT_LOST,
    1023: reasons.REMOVED_BY_OTHERS,
    **dict.fromkeys((1004, 1009, 1010, 1013, 1014, 1016, 1017, 1018, 1019, 1022), reasons.EVICTED),
    **dict.fromkeys((1002, 1007, 1012, 1021, 1024, 1031, 1036), reasons.MACHINE_FAILED),
    **dict.fromkeys(
        (1003, 1005, 1006, 1026, 1027, 1028, 1029, 1030, 1032, 1033, 1034, 1035), reasons.NEVER_STARTED
    ),
}


def reason(job: Job) -> str:
    """Why this spent job lost its slot; an access point before 25 does not say, and then it was evicted."""
    return BY_CODE.get(job.vacate_code or 0, reasons.EVICTED)
