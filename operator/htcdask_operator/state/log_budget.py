"""How many bytes of HTCWorkerLogs all pools of this operator may write: etcd keeps each revision for minutes.

Used by `perform`. Who finds nothing left is not written now: the core plans the write anew after its pause,
of the newest then. Losing it costs nothing but a burst.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from htcdask_api.worker_log import MAX_BYTES
from htcdask_operator.core.token_bucket import Rate, Spent

BYTES: Final = Rate(16 * 1024 * 1024, 1 / (256 * 1024))
"""In the five minutes between two compactions 91 MiB, of etcd's 2 GiB."""


@dataclass(slots=True)
class LogBudget:
    """Of all pools."""

    spent: Spent = field(default_factory=Spent)

    def reserve(self, now: float) -> bool:
        """Whether one object may be written: as much is set aside as it may have."""
        if self.spent.left(BYTES, now) < MAX_BYTES:
            return False
        self.spent = self.spent.more(MAX_BYTES, BYTES, now)
        return True

    def wrote(self, size: int, now: float) -> None:
        """It had so many bytes: the rest of what was set aside is free again."""
        self.spent = self.spent.more(size - MAX_BYTES, BYTES, now)
