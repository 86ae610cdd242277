"""What the operator asks of a Dask scheduler. Implemented by `http.SchedulerHttp` and by the tests' fake."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from htcdask_operator.core.model import SchedulerWorkers, Unnamed, WorkerName


class SchedulerError(Exception):
    """The scheduler did not answer; the message says which one and why."""


class Scheduler(Protocol):
    """The port."""

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        """Which of our workers the scheduler knows, and which of them are in the middle of a task.

        `ours` are the cluster's workers that may be connected. How much is read of the answer follows their
        number, so that a scheduler costs no more than its own jobs, whatever it says. `Unnamed` where it
        answers, and was configured without anything that names its workers.
        """

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        """Tell the scheduler how many workers there shall be. This ends adaptive scaling."""
