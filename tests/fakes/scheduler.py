"""Dask schedulers as far as the operator asks them: which workers each knows, and how many each wants."""

from collections.abc import Collection

from htcdask_operator.core.model import SchedulerWorkers, Unnamed, WorkerName
from htcdask_operator.scheduler.port import SchedulerError


class FakeScheduler:
    def __init__(self) -> None:
        self.connected: dict[tuple[str, str], set[WorkerName]] = {}
        self.busy: set[WorkerName] = set()
        self.told: list[tuple[str, str, int]] = []
        self.asked: list[tuple[str, str]] = []
        self.unnamed = False  # they answer, and have nothing that names their workers
        self.failing: str | None = None

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        self.asked.append((namespace, cluster))
        self._answer()
        if self.unnamed:
            return Unnamed()
        there = frozenset(self.connected.get((namespace, cluster), ()))
        connected = there.intersection(ours)
        return SchedulerWorkers(connected, connected & self.busy, len(there) - len(connected))

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        self._answer()
        self.told.append((namespace, cluster, count))

    def _answer(self) -> None:
        if self.failing is not None:
            raise SchedulerError(self.failing)
