"""The lines between the operator and the three outside systems: where replies get lost and operators die.

Each call passes `Line.call`, which counts, delays, loses and refuses as the history says. A dead operator's
calls never come through: they wait for ever, and their tasks are cancelled.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from htcdask_api import PoolStatus, WorkerLog
from htcdask_operator.condor.errors import CondorError, CondorTimeout, CondorUnreachable
from htcdask_operator.condor.port import Condor
from htcdask_operator.core.model import (
    Analysis,
    ClusterFacts,
    ClusterUid,
    Gone,
    Job,
    JobId,
    PoolFacts,
    PoolUid,
    SchedulerWorkers,
    Unnamed,
    WorkerName,
)
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Credentials, EventType, Kube
from htcdask_operator.scheduler.port import Scheduler, SchedulerError
from tests.simulation.clock import Clock

T = TypeVar("T")
SECONDS = 0.002  # what any answer takes


class System(enum.Enum):
    """An outside system, by the name that people use."""

    CONDOR = "the access point"
    KUBE = "the API server"
    SCHEDULER = "the scheduler"


SUBMITS = ("submit_anchor", "submit_workers", "spool_workers")
DEADLINES = {System.CONDOR: 30.0, System.KUBE: 15.0, System.SCHEDULER: 5.0}
CALLS = {
    System.CONDOR: (
        *("whoami", "jobs", "jobs_of", "logs", "analyze"),
        *SUBMITS,
        *("hold", "remove", "force_remove", "renew"),
    ),
    System.KUBE: (
        "cluster",
        "clusters",
        "scheduler_pod",
        "pools",
        "create_pool",
        "add_finalizer",
        "remove_finalizer",
        "adopt",
        "publish",
        "write_log",
        "post_event",
        "announce",
        "credentials",
    ),
    System.SCHEDULER: ("workers", "scale"),
}
SYSTEM = {call: system for system, calls in CALLS.items() for call in calls}


class Kind(enum.Enum):
    """What may become of a call, as a story tells it."""

    CRASH_BEFORE = "the operator crashes before {call}"
    CRASH_INSIDE = "the operator crashes in the middle of {call}"
    CRASH_AFTER = "the operator crashes after {call}"
    FAILS = "{system} fails at {call}"
    LOST = "{system} does {call} and its answer is lost"
    HANGS = "{system} hangs at {call}"
    HANGS_DONE = "{system} does {call} and hangs"
    LATE = "{system} answers {call} late, with what was true before"


@dataclass(frozen=True)
class Trouble:
    """Once, at the next call of that name but `skip`."""

    call: str
    kind: Kind | None = None
    meanwhile: Callable[[], None] | None = None  # what somebody does just before
    status: int = 500
    skip: int = 0


@dataclass
class Lines:
    """What every operator's lines have in common: the trouble ahead, and what does not answer at all."""

    clock: Clock
    troubles: list[Trouble] = field(default_factory=list)
    down: dict[System, tuple[float, bool]] = field(default_factory=dict)  # until when; it hangs, or refuses
    hangs: Callable[[str], bool] = lambda call: False  # this one call, again and again
    told: set[JobId] = field(default_factory=set)  # jobs that an answer to an operator's submit has named

    def is_down(self, system: System) -> bool | None:
        """Whether it does not answer now, and if so, whether it hangs."""
        until, hangs = self.down.get(system, (0.0, False))
        return hangs if self.clock.now < until else None

    def any_down(self) -> bool:
        """Whether something does not answer at all now."""
        return any(self.clock.now < until for until, _ in self.down.values())

    def take(self, call: str) -> Trouble | None:
        """The trouble of this call, if it is its turn."""
        for place, trouble in enumerate(self.troubles):
            if trouble.call == call:
                if trouble.skip:
                    self.troubles[place] = Trouble(
                        call, trouble.kind, trouble.meanwhile, trouble.status, trouble.skip - 1
                    )
                    return None
                del self.troubles[place]
                return trouble
        return None


class Line:
    """One operator's line; `cut` when it dies."""

    def __init__(self, lines: Lines, die: Callable[[], None]) -> None:
        self._lines = lines
        self._die = die
        self.dead = False
        self.inside = False  # the submitter of jobs with files dies before it sends the first
        self._turn = asyncio.Lock()  # the condor agent answers one call after the other

    async def call(self, name: str, deed: Callable[[], Awaitable[T]]) -> T:
        """Do it, unless something comes in between."""
        if SYSTEM[name] is System.CONDOR:
            async with self._turn:
                return await self._call(name, deed)
        return await self._call(name, deed)

    async def _call(self, name: str, deed: Callable[[], Awaitable[T]]) -> T:
        await self._arrive()
        system, lines = SYSTEM[name], self._lines
        lines.clock.now += SECONDS
        trouble = lines.take(name)
        if trouble is not None and trouble.meanwhile is not None:
            trouble.meanwhile()
        kind = trouble.kind if trouble is not None else None
        status = trouble.status if trouble is not None else 500
        if kind is Kind.CRASH_BEFORE:
            await self._crash()
        hangs = True if lines.hangs(name) else lines.is_down(system)
        if hangs is not None:
            if hangs:
                await self._hang(system)
            raise _error(system, name, 503, timeout=hangs)
        if kind is Kind.FAILS and name in SUBMITS:
            raise CondorError("the schedd broke off a submit, and gave no reason")
        if kind is Kind.FAILS:
            raise _error(system, name, status)
        if kind is Kind.HANGS:
            await self._hang(system)
            raise _error(system, name, None, timeout=True)
        self.inside = kind is Kind.CRASH_INSIDE
        answer = await deed()
        match kind:
            case Kind.CRASH_AFTER | Kind.CRASH_INSIDE:
                await self._crash()
            case Kind.LOST:
                raise _error(system, name, None)
            case Kind.HANGS_DONE:
                await self._hang(system)
                raise _error(system, name, None, timeout=True)
            case Kind.LATE:
                await asyncio.sleep(DEADLINES[system] * 0.8)
        return answer

    def told(self, *jobs: JobId) -> None:
        """The operator has heard of these jobs."""
        self._lines.told.update(jobs)

    async def _arrive(self) -> None:
        await asyncio.sleep(0)
        if self.dead:
            await asyncio.Event().wait()

    async def _hang(self, system: System) -> None:
        await asyncio.sleep(DEADLINES[system])
        await self._arrive()

    async def _crash(self) -> None:
        self._die()
        await asyncio.Event().wait()


def _error(system: System, call: str, status: int | None, *, timeout: bool = False) -> Exception:
    match system:
        case System.CONDOR:
            return (CondorTimeout if timeout else CondorUnreachable)(f"no answer to {call}")
        case System.KUBE:
            return KubeError(call, "no answer" if timeout else f"HTTP {status}", None if timeout else status)
        case System.SCHEDULER:
            return SchedulerError(f"no answer to {call}")


class CondorLine:
    """The port `Condor`."""

    def __init__(
        self,
        line: Line,
        condor: Condor,
        unspooled: Callable[[Mapping[str, str], Sequence[WorkerName]], None],
    ) -> None:
        self._line, self._condor, self._unspooled = line, condor, unspooled

    async def whoami(self) -> str:
        return await self._line.call("whoami", self._condor.whoami)

    async def jobs(self, also: Collection[str] = ()) -> tuple[Job, ...]:
        return await self._line.call("jobs", lambda: self._condor.jobs(also))

    async def jobs_of(self, pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        return await self._line.call("jobs_of", lambda: self._condor.jobs_of(pool, also))

    async def submit_anchor(
        self, description: Mapping[str, str], bundle: bytes, identity: str | None = None
    ) -> JobId:
        async def submit() -> JobId:
            if self._line.inside:
                self._unspooled(description, ())
                return ""
            return await self._condor.submit_anchor(description, bundle, identity)

        job = await self._line.call("submit_anchor", submit)
        self._line.told(job)
        return job

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName], identity: str | None = None
    ) -> tuple[JobId, ...]:
        jobs = await self._line.call(
            "submit_workers", lambda: self._condor.submit_workers(description, names, identity)
        )
        self._line.told(*jobs)
        return jobs

    async def spool_workers(
        self,
        description: Mapping[str, str],
        names: Sequence[WorkerName],
        bundle: bytes,
        identity: str | None = None,
    ) -> tuple[JobId, ...]:
        async def submit() -> tuple[JobId, ...]:
            if self._line.inside:
                self._unspooled(description, names)
                return ()
            return await self._condor.spool_workers(description, names, bundle, identity)

        jobs = await self._line.call("spool_workers", submit)
        self._line.told(*jobs)
        return jobs

    async def hold(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._line.call("hold", lambda: self._condor.hold(jobs, reason))

    async def remove(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._line.call("remove", lambda: self._condor.remove(jobs, reason))

    async def force_remove(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._line.call("force_remove", lambda: self._condor.force_remove(jobs, reason))

    async def renew(self, until: float) -> None:
        await self._line.call("renew", lambda: self._condor.renew(until))

    async def logs(self, keeper: JobId, names: Sequence[WorkerName]) -> Mapping[WorkerName, str]:
        return await self._line.call("logs", lambda: self._condor.logs(keeper, names))

    async def analyze(self, job: JobId) -> Analysis | None:
        return await self._line.call("analyze", lambda: self._condor.analyze(job))


class KubeLine:
    """The port `Kube`."""

    def __init__(self, line: Line, kube: Kube) -> None:
        self._line, self._kube = line, kube

    async def cluster(self, namespace: str, name: str) -> ClusterFacts | Gone:
        return await self._line.call("cluster", lambda: self._kube.cluster(namespace, name))

    async def scheduler_pod(self, namespace: str, cluster: str) -> str | Gone:
        return await self._line.call("scheduler_pod", lambda: self._kube.scheduler_pod(namespace, cluster))

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        return await self._line.call("pools", lambda: self._kube.pools(namespace, cluster))

    async def clusters(self, namespace: str) -> tuple[ClusterFacts, ...]:
        return await self._line.call("clusters", lambda: self._kube.clusters(namespace))

    async def create_pool(self, namespace: str, name: str, cluster: str, uid: ClusterUid) -> None:
        await self._line.call("create_pool", lambda: self._kube.create_pool(namespace, name, cluster, uid))

    async def add_finalizer(self, pool: PoolFacts) -> None:
        await self._line.call("add_finalizer", lambda: self._kube.add_finalizer(pool))

    async def remove_finalizer(self, pool: PoolFacts) -> None:
        await self._line.call("remove_finalizer", lambda: self._kube.remove_finalizer(pool))

    async def adopt(self, pool: PoolFacts, cluster: ClusterUid) -> None:
        await self._line.call("adopt", lambda: self._kube.adopt(pool, cluster))

    async def publish(self, pool: PoolFacts, status: PoolStatus) -> None:
        await self._line.call("publish", lambda: self._kube.publish(pool, status))

    async def write_log(self, pool: PoolFacts, new: Sequence[WorkerLog], now: float) -> int:
        return await self._line.call("write_log", lambda: self._kube.write_log(pool, new, now))

    async def post_event(self, pool: PoolFacts, kind: EventType, reason: str, message: str) -> None:
        await self._line.call("post_event", lambda: self._kube.post_event(pool, kind, reason, message))

    async def announce(self, namespace: str, lease: str, kind: EventType, reason: str, message: str) -> None:
        await self._line.call(
            "announce", lambda: self._kube.announce(namespace, lease, kind, reason, message)
        )

    async def credentials(self, namespace: str, secret: str) -> Credentials:
        return await self._line.call("credentials", lambda: self._kube.credentials(namespace, secret))


class SchedulerLine:
    """The port `Scheduler`."""

    def __init__(self, line: Line, scheduler: Scheduler) -> None:
        self._line, self._scheduler = line, scheduler

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        return await self._line.call("workers", lambda: self._scheduler.workers(namespace, cluster, ours))

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        await self._line.call("scale", lambda: self._scheduler.scale(namespace, cluster, count, api_token))
