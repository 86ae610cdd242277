"""Dask schedulers as far as the operator asks them: which workers each knows."""

from htcdask_operator.core.model import WorkerName
from htcdask_operator.scheduler.port import SchedulerError


class FakeScheduler:
    def __init__(self) -> None:
        self.connected: dict[tuple[str, str], set[WorkerName]] = {}
        self.asked: list[tuple[str, str]] = []
        self.failing: str | None = None

    async def workers(self, namespace: str, cluster: str) -> frozenset[WorkerName]:
        self.asked.append((namespace, cluster))
        if self.failing is not None:
            raise SchedulerError(self.failing)
        return frozenset(self.connected.get((namespace, cluster), ()))

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        raise NotImplementedError("no test scales by this port yet")
