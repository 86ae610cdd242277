"""Ask the schedulers of clusters whose workers may come or go: in time, and none at the cost of the others.

Owned by the poller, which calls `ask` at each of its ticks. User code in a scheduler may answer late, never
or badly. So who did that lately is asked in a lane of its own, and less often the longer it goes on: the
others never wait behind it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_operator.core import mistake
from htcdask_operator.core.model import Job, SchedulerWorkers, Unnamed, Unseen, WorkerName
from htcdask_operator.core.polling import Heard, PollIntervals
from htcdask_operator.core.workers import states
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.reconcile.observe import ask_scheduler, names
from htcdask_operator.state.clusters import Answer
from htcdask_operator.state.known import Known

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 200  # schedulers asked at the same time
_TROUBLED_AT_ONCE: Final = 20  # and those of them that gave trouble lately


@dataclass(slots=True)
class _Asked:
    """One scheduler: what was heard of it, and the question that is under way."""

    heard: Heard = field(default_factory=Heard)
    task: asyncio.Task[None] | None = None


class Schedulers:
    """All that are asked now and then."""

    def __init__(
        self,
        ports: Ports,
        known: Known,
        intervals: PollIntervals,
        clock: Callable[[], float],
        changed: Callable[[ClusterKey], None],
    ) -> None:
        self._ports = ports
        self._known = known
        self._intervals = intervals
        self._clock = clock
        self._changed = changed
        self._asked: dict[ClusterKey, _Asked] = {}
        self._lane = asyncio.Semaphore(_AT_ONCE)
        self._troubled_lane = asyncio.Semaphore(_TROUBLED_AT_ONCE)

    def ask(self) -> None:
        """Ask where it is time to; nobody waits for the answers here."""
        workers, now = self._workers(), self._clock()
        for key in [key for key, asked in self._asked.items() if key not in workers and asked.task is None]:
            del self._asked[key]
        for key, jobs in workers.items():
            asked = self._asked.setdefault(key, _Asked())
            unsettled = _unsettled(jobs, self._known, key)
            if asked.task is None and asked.heard.is_due(self._intervals, now, unsettled=unsettled):
                asked.heard = replace(asked.heard, asked_at=now)
                asked.task = asyncio.create_task(self._ask(key, asked, names(jobs)), name=f"scheduler {key}")
                asked.task.add_done_callback(_log_failure)

    async def answers(self) -> None:
        """Wait for the schedulers that are being asked."""
        tasks = [asked.task for asked in self._asked.values() if asked.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def any(self) -> bool:
        """Whether there is anybody to ask."""
        return bool(self._workers())

    @property
    def moving(self) -> bool:
        """Whether somewhere workers are about to come or go. One that is silent makes nobody hurry."""
        return any(
            _unsettled(jobs, self._known, key)
            for key, jobs in self._workers().items()
            if (asked := self._asked.get(key)) is None or not asked.heard.silent
        )

    async def _ask(self, key: ClusterKey, asked: _Asked, ours: frozenset[WorkerName]) -> None:
        try:
            async with self._troubled_lane if asked.heard.trouble else self._lane:
                before, began = self._known.clusters.scheduler_workers.get(key), self._clock()
                answer = await ask_scheduler(self._ports, key, ours)
            failed = isinstance(answer, Unseen)
            asked.heard = asked.heard.answered(self._clock() - began, failed=failed)
            self._known.clusters.scheduler_workers[key] = answer
            if _connected(answer, ours) != _connected(before, ours):  # who is busy changes all the time
                self._changed(key)
        finally:
            asked.task = None

    def _workers(self) -> Mapping[ClusterKey, Sequence[Job]]:
        """The jobs that may have a worker process, by cluster; those whose pool is gone beside the others."""
        found: dict[ClusterKey, list[Job]] = {}
        for pool, jobs in self._known.queue.jobs.items():
            key = self._known.clusters.pools.get(pool)
            alive = [job for job in jobs if states.may_have_process(job)]
            if key is not None and alive:
                found.setdefault(key, []).extend(alive)
        clusters = {jobs[0].cluster_uid: key for key, jobs in found.items()}
        for job in self._known.orphans():
            if states.may_have_process(job) and job.cluster_uid in clusters:
                found[clusters[job.cluster_uid]].append(job)
        return found


def _unsettled(jobs: Iterable[Job], known: Known, key: ClusterKey) -> bool:
    """Whether jobs run that are not connected, or the reverse, or nobody knows (yet)."""
    answer = known.clusters.scheduler_workers.get(key)
    if isinstance(answer, Unnamed):  # asking more often tells no more
        return False
    return not isinstance(answer, SchedulerWorkers) or {job.worker for job in jobs} != answer.connected


def _connected(
    answer: Answer | None, ours: frozenset[WorkerName]
) -> frozenset[WorkerName] | Unnamed | Unseen | None:
    """Of a worker whose job has gone, the queue tells."""
    return answer.connected & ours if isinstance(answer, SchedulerWorkers) else answer


def _log_failure(task: asyncio.Task[None]) -> None:
    """A mistake of ours about one cluster must not stop the poller."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s: the answer could not be used: %s", task.get_name(), mistake.of(error))
