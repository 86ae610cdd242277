"""What the operator asks of a Dask scheduler. Implemented by `http.SchedulerHttp` and by the tests' fake."""

from __future__ import annotations

from typing import Protocol

from htcdask_operator.core.model import Roll


class SchedulerError(Exception):
    """The scheduler did not answer; the message says which one and why."""


class Scheduler(Protocol):
    """The port."""

    async def workers(self, namespace: str, cluster: str) -> Roll:
        """The workers that the scheduler knows, by name, and which of them are in the middle of a task."""

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        """Tell the scheduler how many workers there shall be. This ends adaptive scaling."""
