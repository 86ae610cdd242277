"""`/healthz`, `/readyz` and `/metrics`, on one port of their own, which any pod may ask (`small_http`).

Run by `__main__` as a supervised task, from the start. Healthy means that the loops turn, however slowly they
are answered, or that the lease is waited for, not that HTCondor or Kubernetes answer: a pod that is restarted
because another system is down helps nobody. Nothing that is answered is a secret: numbers of jobs and
requests, and names of Leases.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from htcdask_operator.process import small_http
from htcdask_operator.process.small_http import Answer

_FRESH: Final = 1.0  # seconds for which the metrics are not reckoned again, whoever asks


@dataclass(frozen=True, slots=True)
class Health:
    """How the operator is, in words too."""

    well: bool
    words: str


async def serve(
    port: int, check: Callable[[], Health], blocked: Callable[[], str | None] = lambda: None
) -> None:
    """Serve until cancelled. `blocked`: what only a person can mend, and keeps the pod from being ready."""
    metrics = _Metrics()

    def respond(path: str) -> Answer | None:
        if path == "/healthz":
            health = check()
            return _said(health.words, health.well)
        if path == "/readyz":
            words = blocked()
            return _said(words or check().words, words is None)
        return metrics.answer() if path == "/metrics" else None

    await small_http.serve(port, respond)


class _Metrics:
    def __init__(self) -> None:
        self._answer = Answer(b"")
        self._until = -1.0

    def answer(self) -> Answer:
        now = time.monotonic()
        if now >= self._until:
            self._answer = Answer(generate_latest(), content_type=CONTENT_TYPE_LATEST)
            self._until = now + _FRESH
        return self._answer


def _said(words: str, well: bool) -> Answer:
    return Answer(f"{words}\n".encode(), 200 if well else 503)
