"""A hundred schedulers misbehave in every way at once: nobody else notices.

On real sockets at loopback; the schedulers are another process. What is measured is the asker's event loop,
in which the operator renews its lease.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from htcdask_operator.core.model import Job, JobStatus, SchedulerWorkers, Unnamed, Unseen, WorkerName
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.scheduler.http import DEADLINE, SchedulerHttp
from htcdask_operator.scheduler.port import SchedulerError
from htcdask_operator.state.known import Known
from htcdask_operator.state.queue import QueueState
from htcdask_operator.watch.schedulers import Schedulers
from tests.builders import make_job
from tests.fakes.condor import FakeCondor, FakeSchedd
from tests.fakes.kube import FakeKube

PROGRAM = Path(__file__).parent / "misbehaving.py"
OURS = tuple(f"w{number}" for number in range(5))
HONEST_ROLL = SchedulerWorkers(frozenset(OURS), frozenset({"w1", "w3"}))
MANY = 100
LONGEST_STALL = 0.5  # a lease is given up after 10 s; 0.02 s is usual
TIMES_THE_MACHINES_OWN = 10  # where others keep it busy
MOST_MEMORY = 64 * 2**20


@pytest.fixture(scope="module")
def bad() -> Iterator[dict[int, str]]:
    """What each port does."""
    with _program(str(MANY)) as ports:
        yield ports


@pytest.fixture(scope="module")
def honest() -> Iterator[int]:
    with _program("honest") as ports:
        yield next(iter(ports))


class _program:  # noqa: N801
    def __init__(self, which: str) -> None:
        command = [sys.executable, str(PROGRAM), which]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )

    def __enter__(self) -> dict[int, str]:
        assert self._process.stdout is not None
        ports: dict[int, str] = {}
        for line in self._process.stdout:
            port, name = line.strip().split(" ", 1)
            if name == "end":
                return ports
            ports[int(port)] = name
        raise AssertionError("the schedulers did not start")

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


class Watched(SchedulerHttp):
    """How long each answer took, and what was said."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:{cluster}")
        self.answers: dict[str, list[tuple[float, SchedulerWorkers | Unnamed | str]]] = defaultdict(list)

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        began = time.monotonic()
        try:
            answer = await super().workers(namespace, cluster, ours)
        except SchedulerError as error:
            self.answers[cluster].append((time.monotonic() - began, str(error)))
            raise
        self.answers[cluster].append((time.monotonic() - began, answer))
        return answer


@dataclass
class Measured:
    longest_stall: float = 0.0
    memory: int = 0


@asynccontextmanager
async def measuring() -> AsyncIterator[Measured]:
    """The longest time in which nothing else had its turn, and the memory that was used at the most."""
    measured, before = Measured(), _memory()

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            now = time.monotonic()
            measured.longest_stall = max(measured.longest_stall, now - last - 0.005)
            measured.memory = max(measured.memory, _memory() - before)
            last = time.monotonic()

    ticker = asyncio.create_task(tick())
    yield measured
    ticker.cancel()


def _memory() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_others_are_answered_in_time_and_nothing_stalls(bad: dict[int, str], honest: int) -> None:
    known, port = Known(QueueState(unseen=None)), Watched()
    for number in (*bad, honest):
        known.clusters.pools[str(number)] = ClusterKey("gateway", str(number))
        known.queue.jobs[str(number)] = jobs_of(number)
    told: list[ClusterKey] = []
    ports = Ports(FakeCondor(FakeSchedd(), "htcdask"), FakeKube(), port)
    schedulers = Schedulers(ports, known, PollIntervals(active_seconds=0.5), time.time, told.append)
    async with measuring() as alone:
        await asyncio.sleep(2)
    async with measuring() as measured:
        for _ in range(16):
            schedulers.ask()
            await asyncio.sleep(0.5)
            assert known.clusters.scheduler_workers[ClusterKey("gateway", str(honest))] == HONEST_ROLL
        await schedulers.answers()
    slowest = max(took for took, _ in port.answers[str(honest)])
    print(  # noqa: T201
        f"longest stall {measured.longest_stall * 1000:.0f} ms (alone {alone.longest_stall * 1000:.0f}), "
        f"memory {measured.memory / 2**20:.1f} MiB, honest at most {slowest:.2f} s"
    )
    port.close()
    assert measured.longest_stall < max(LONGEST_STALL, TIMES_THE_MACHINES_OWN * alone.longest_stall)
    assert measured.memory < MOST_MEMORY
    answers = port.answers.pop(str(honest))
    assert {answer for _, answer in answers} == {HONEST_ROLL}
    assert told.count(ClusterKey("gateway", str(honest))) == 1, "woken once, when its workers were first seen"
    assert len(port.answers) == MANY, "everybody was asked"
    for cluster, each in port.answers.items():
        assert max(took for took, _ in each) < DEADLINE + 2, bad[int(cluster)]
        for _, said in each:
            _check(bad[int(cluster)], said)


def _check(behaviour: str, said: SchedulerWorkers | Unnamed | str) -> None:
    """No harm is done by what is believed, and what is not can be printed."""
    if isinstance(said, str):
        assert said.isprintable() and len(said) < 400, behaviour
    elif isinstance(said, Unnamed):
        assert behaviour == "nothing anywhere", behaviour
    else:
        assert behaviour in ("cookies", "a name a thousand times", "no UTF-8"), (behaviour, said)
        assert said.connected <= {"w1"}, behaviour


async def test_each_alone_is_an_answer_or_an_error_in_time(bad: dict[int, str]) -> None:
    port = SchedulerHttp("http://127.0.0.1:{cluster}", "http://127.0.0.1:{cluster}")
    some = {name: number for number, name in bad.items()}

    async def one(number: int) -> list[SchedulerWorkers | Unnamed | SchedulerError | None]:
        said: list[SchedulerWorkers | Unnamed | SchedulerError | None] = []
        for question in (
            port.workers("gateway", str(number), OURS),
            port.scale("gateway", str(number), 1, "t"),
        ):
            try:
                said.append(await question)
            except SchedulerError as error:
                said.append(error)
        return said

    async with asyncio.timeout(2 * DEADLINE + 10):
        answers = await asyncio.gather(*map(one, some.values()))
    port.close()
    assert len(answers) == len(set(bad.values()))
    failed = {name for name, said in zip(some, answers, strict=True) if isinstance(said[0], SchedulerError)}
    believed = {"cookies", "a name a thousand times", "no UTF-8", "nothing anywhere"}
    assert set(some) - failed == believed


def jobs_of(number: int) -> tuple[Job, ...]:
    return tuple(
        make_job(name, JobStatus.RUNNING, pool_uid=str(number), cluster_uid=f"uid-{number}") for name in OURS
    )


async def test_a_mistake_of_ours_is_that_clusters_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(SchedulerHttp):
        async def workers(
            self, namespace: str, cluster: str, ours: Collection[WorkerName]
        ) -> SchedulerWorkers:
            raise RecursionError("deep")

    known = Known(QueueState(unseen=None, jobs={"1": jobs_of(1)}))
    known.clusters.pools["1"] = ClusterKey("gateway", "c1")
    ports = Ports(FakeCondor(FakeSchedd(), "htcdask"), FakeKube(), Broken())
    schedulers = Schedulers(ports, known, PollIntervals(), time.time, lambda key: None)
    schedulers.ask()
    await schedulers.answers()
    assert known.clusters.scheduler_workers == {
        ClusterKey("gateway", "c1"): Unseen(
            "the scheduler's answer could not be understood: a mistake of the operator (RecursionError)"
        )
    }
