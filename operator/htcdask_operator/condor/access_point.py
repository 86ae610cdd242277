"""Which access point, as whom, and for which operator: what `client.CondorClient` is made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """One schedd, the collectors that know it, and the file with the IDTOKEN to show them."""

    operator_id: str
    collector: str  # one, or several of a pool with commas between
    schedd: str
    token_file: Path
    namespaces: tuple[str, ...] = ()  # of the pools that the operator works for; none: any
    deadline: float = 30.0  # seconds for any one request; then the agent is killed and started anew
    log_deadline: float = 10.0  # the same for what workers printed, which nobody needs that much
