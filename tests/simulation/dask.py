"""Dask schedulers: a count, the workers that connected, what they do, and heartbeats to the gateway."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from htcdask_operator.core.model import (
    ClusterUid,
    Job,
    JobStatus,
    Role,
    SchedulerWorkers,
    Unnamed,
    WorkerName,
)
from htcdask_operator.core.workers import lifetime
from htcdask_operator.scheduler.port import SchedulerError
from tests.fakes.condor import FakeSchedd

CONNECTING = 2.0  # seconds from a worker's start to its connection
RETIRING = 3.0  # so often surplus workers are retired
HEARTBEAT = 15.0
VACATING = 20.0  # so long a worker that was told to end may go on with its task


PAGE, NAMES, NOTHING = "its page of workers", "a list of names", "nothing"
Word = tuple[int | None, int]  # a user's last: a number, or None for adapt(), and which one of theirs it is


@dataclass
class Dask:
    """One cluster's scheduler, alive."""

    uid: ClusterUid
    count: int = 0
    adaptive: tuple[int, int] | None = None
    load: int = 0
    connected: set[WorkerName] = field(default_factory=set)
    busy: dict[WorkerName, float] = field(default_factory=dict)  # in the middle of a task, and since when
    seen: set[WorkerName] = field(default_factory=set)  # connected once: its process never connects again
    closing: set[WorkerName] = field(default_factory=set)
    offers: str = PAGE  # where it tells of its workers
    retired_at: float = 0.0
    beat_at: float = 0.0
    said: int | None = None
    asked: int | None = field(init=False)  # what its user asked for last, or adapt() found; None: who knows
    asked_at: float = 0.0
    told_at: float | None = None  # when an operator told it a number, if nobody else has since
    word: Word = field(init=False)
    said_word: Word | None = None

    def __post_init__(self) -> None:
        self.asked, self.word = self.count, (self.count, 1)

    def scale(self, count: int, now: float) -> None:
        """The user's scale(): it ends adapt()."""
        self.adaptive, self.count, self.told_at = None, count, None
        self.asked, self.asked_at, self.word = count, now, (count, self.word[1] + 1)

    def adapt(self, least: int, most: int, load: int, now: float) -> None:
        """The user's adapt()."""
        self.adaptive, self.load, self.told_at = (least, most), load, None
        self.asked_at, self.word = now, (None, self.word[1] + 1)

    def forget_word(self) -> None:
        """Somebody else has written a number: what was asked for is believed no more, unless it was since."""
        if self.word == self.said_word:
            self.word, self.asked = (None, self.word[1] + 1), None

    def hear(self, count: int, now: float) -> None:
        """The operator's: it ends adapt(), too."""
        self.adaptive, self.count, self.told_at = None, count, now

    def beat(self, now: float) -> None:
        """The gateway hears its number."""
        self.said, self.said_word, self.beat_at = self.count, self.word, now

    def has_news(self, now: float) -> bool:
        """Whether it is time for a heartbeat."""
        is_said = (self.count, self.word) == (self.said, self.said_word)
        return not is_said or now - self.beat_at >= HEARTBEAT

    def restart(self) -> None:
        """The process starts anew: it knows nobody, wants nobody, and its workers end."""
        self.connected.clear()
        self.busy.clear()
        self.closing.clear()
        self.count, self.adaptive, self.said = 0, None, None
        self.told_at = None
        if self.word[0] is None:
            self.asked = 0

    def work(self, tasks: int, now: float) -> None:
        """So many workers are in the middle of a task, the others are idle."""
        chosen = sorted(self.connected - self.closing)[:tasks]
        self.busy = {worker: self.busy.get(worker, now) for worker in chosen}


class Schedulers:
    """All of them, as the operator asks them and as their workers know them."""

    def __init__(self, schedd: FakeSchedd) -> None:
        self._schedd = schedd
        self.dasks: dict[tuple[str, str], Dask] = {}
        self.workers_connect = True
        self.name_nobody = False  # none of them, whatever it offers
        self.told: Callable[[str, int], None] = lambda cluster, count: None

    # --- the port

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        dask = self.dasks.get((namespace, cluster))
        if dask is None:
            raise SchedulerError("no such host")
        if self.name_nobody or dask.offers == NOTHING:
            return Unnamed()
        connected = frozenset(dask.connected.intersection(ours))
        busy = connected if dask.offers == NAMES else connected.intersection(dask.busy)
        return SchedulerWorkers(connected, busy, len(dask.connected) - len(connected))

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        dask = self.dasks.get((namespace, cluster))
        if dask is None:
            raise SchedulerError("no such host")
        self.told(cluster, count)
        dask.hear(count, self._schedd.now)

    # --- what happens by itself

    def tick(self, now: float) -> None:
        """Workers connect, surplus is retired, processes end."""
        alive = {dask.uid: dask for dask in self.dasks.values()}
        running: dict[ClusterUid, set[WorkerName]] = {uid: set() for uid in alive}
        for entry in list(self._schedd.queue.values()):
            job = entry.job
            if job.role is not Role.WORKER or job.started_at is None or not job.worker:
                continue
            dask = alive.get(job.cluster_uid)
            if job.status is JobStatus.RUNNING:
                self._run(dask, job, now)
            if dask is not None and job.status in (JobStatus.RUNNING, JobStatus.REMOVED):
                running[dask.uid].add(job.worker)
                if job.status is JobStatus.REMOVED and job.worker not in dask.busy:
                    dask.connected.discard(job.worker)  # it closed gracefully
        for dask in alive.values():
            dask.connected &= running[dask.uid]
            dask.closing &= dask.connected
            dask.busy = {worker: since for worker, since in dask.busy.items() if worker in dask.connected}
            if dask.adaptive is not None:
                least, most = dask.adaptive
                found = max(least, min(most, dask.load))
                dask.asked_at = now if found != dask.asked else dask.asked_at
                dask.count = dask.asked = found
            if now - dask.retired_at >= RETIRING:
                self._retire(dask, now)

    def busy_since(self, worker: WorkerName) -> float | None:
        """Since when it has been in the middle of a task; None for an idle one."""
        return next((dask.busy[worker] for dask in self.dasks.values() if worker in dask.busy), None)

    def closing(self, worker: WorkerName) -> float:
        """How long a worker lives on after SIGTERM."""
        return 0.0 if self.busy_since(worker) is None else VACATING

    def _run(self, dask: Dask | None, job: Job, now: float) -> None:
        assert job.started_at is not None
        if job.connects_at is not None and self._schedd.now < job.connects_at:
            return  # it waits in its slot
        age = self._schedd.now - job.started_at
        if job.lifetime is not None and age >= lifetime.of_worker(job.lifetime, job.worker):
            self._schedd.end(job.id, 0)  # it hands over what it has
            return
        up = age if job.connects_at is None else min(age, self._schedd.now - job.connects_at)
        if dask is None or not self.workers_connect:
            if up > 60 or (dask is None and up > CONNECTING):  # --death-timeout
                self._schedd.end(job.id, 1)
        elif job.machine in self._schedd.dead:
            dask.connected.discard(job.worker)  # and nobody ends it
        elif job.worker in dask.closing:
            self._schedd.end(job.id, 0)
        elif job.worker in dask.seen:
            if job.worker not in dask.connected:  # the connection broke: a worker ends then
                self._schedd.end(job.id, 0)
        elif up >= CONNECTING:
            dask.seen.add(job.worker)
            dask.connected.add(job.worker)

    @staticmethod
    def _retire(dask: Dask, now: float) -> None:
        surplus = len(dask.connected) - len(dask.closing) - dask.count
        if surplus > 0:
            dask.retired_at = now
            staying = dask.connected - dask.closing
            # Whoever holds the least goes: to the operator that is anybody. Idle ones first.
            order = sorted(staying, key=lambda worker: (worker in dask.busy, worker[::-1]))
            dask.closing |= set(order[:surplus])
