"""What the doctor found: one line a check, and the same as data.

Made by `examination`, printed by people and by `command`. Whatever others said is made harmless here, once.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

State = Literal["ok", "fails", "not tried"]

_LONGEST: Final = 1500  # characters of one sentence


@dataclass(frozen=True)
class Finding:
    """What came of one check. `remedy` says what to do, where it fails."""

    check: str
    state: State
    said: str
    remedy: str = ""

    def __str__(self) -> str:
        line = f"{self.state:<9}  {self.check:<12}  {self.said}"
        return f"{line}  => {self.remedy}" if self.remedy else line


@dataclass(frozen=True, repr=False)
class Report:
    """All findings, in the order in which they were made. Prints as text."""

    findings: tuple[Finding, ...]

    @property
    def good(self) -> bool:
        """Whether no check fails; what was not tried is not known."""
        return not any(finding.state == "fails" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, fit for JSON."""
        return {"good": self.good, "checks": [vars(finding) for finding in self.findings]}

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings))

    __repr__ = __str__


def harmless(text: str) -> str:
    """`text` in one bounded line, with nothing in it that moves a terminal's cursor."""
    line = " ".join(text[: 8 * _LONGEST].split())
    line = "".join(sign if sign.isprintable() else "?" for sign in line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
