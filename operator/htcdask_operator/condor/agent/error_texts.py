"""What htcondor2's errors say, and what an access point said when it refused a submit. Pure.

Used by `schedd`. The words of a refusal are the site's own (`SUBMIT_REQUIREMENT_NAME_REASON`): whatever
stands in them means nothing to us, or a site that writes "access DENIED" would be taken for one that refuses
the token.
"""

from __future__ import annotations

import re
from typing import Final

LONGEST: Final = 1500
"""Characters of a site's words: all of a status' message is 4096, and it says more than these."""

_UNCOMMITTED: Final = "Unable to commit transaction"
_COMMIT: Final = f"{_UNCOMMITTED}, SCHEDD:"
_REFUSAL: Final = re.compile(
    r"(?:Unable to commit transaction, |Failed to create new cluster\.)SCHEDD:[0-9]+:(.*)"
)
_NO_CLUSTER: Final = "Failed to create new cluster."
_NO_JOB: Final = re.compile(r"expected next ProcId to be [0-9]+, but Schedd says (-[0-9]+)")
# qmgmt_constants.h; htcondor2 shows the bare numbers.
_LIMITS: Final = {
    "-3": "of the operator's account at a time: MAX_JOBS_PER_OWNER",
    "-4": "in one submit: MAX_JOBS_PER_SUBMISSION",
}


def of(error: Exception) -> str:
    """The error's text, on one line. HTCondor's texts are bytes: those that are no UTF-8 arrive undecoded."""
    text = error.object.decode("utf-8", "replace") if isinstance(error, UnicodeDecodeError) else str(error)
    return " ".join(text.split()) or type(error).__name__


def refusal(text: str, schedd: str) -> str | None:
    """What to tell of a submit that the access point refused, its own words first; None: it is not that."""
    limited = _NO_JOB.fullmatch(text)
    if limited is not None and limited[1] in _LIMITS:
        return f"the schedd {schedd} takes no more jobs {_LIMITS[limited[1]]}"
    refused = _REFUSAL.fullmatch(text)
    if refused is None:
        return None
    words = refused[1].strip() or "It gives no reason"
    cut = f"{words[:LONGEST]}..." if len(words) > LONGEST else words
    return f"{cut} [said by the schedd {schedd}]"


def is_open(text: str) -> bool:
    """Whether a submit may have been done all the same: the end of its transaction got no answer in words."""
    return text.startswith(_UNCOMMITTED) and _REFUSAL.fullmatch(text) is None


def is_broken_off(text: str) -> bool:
    """Whether a submit got no answer in words before that end: nothing was submitted, and nobody said why."""
    job = _NO_JOB.fullmatch(text)
    return text == _NO_CLUSTER or (job is not None and job[1] == "-1")


def has_cause(text: str) -> bool:
    """Whether it tells why; many say no more than that something failed."""
    return any(mark in text for mark in ("AUTHENTICATE", "SECMAN", "SCHEDD:", "CEDAR", "ad, errmsg="))


def denies(text: str) -> bool:
    """Whether the daemon does not accept the operator's token, or not for this."""
    return any(mark in text for mark in ("AUTHENTICATE", "DENIED", "SECMAN:2010"))


def is_of_rule(text: str) -> bool:
    """Whether that submit was refused for what the job is: an access point looks at it when all is said.

    Who may not submit at all, such as an account that it does not have, hears so before.
    """
    return text.startswith(_COMMIT) and _REFUSAL.fullmatch(text) is not None
