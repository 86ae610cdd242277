"""Two access points that must look the same through the port: the fake one, and HTCondor by the agent.

A lab lets a test make things happen behind the port's back, and wait until the port shows them.
"""

from __future__ import annotations

import asyncio
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from htcdask_api import names
from htcdask_operator.condor import token
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.condor.port import Condor
from htcdask_operator.core.model import Job, JobId
from playground.condor.bare import BarePool
from tests.fakes.condor import FakeCondor, FakeSchedd, Life

IMAGE = "/cvmfs/img"
PAYLOAD = b"""case $1 in
  flood*) printf "%2000000s" end; exit 3 ;;
  long*) printf "%1000000s" end; exit 3 ;;
  ok*) exit 0 ;;
  fail*) echo "no luck on this machine"; exit 3 ;;
  *) trap 'exit 0' TERM; while true; do sleep 0.1; done ;;
esac
"""
_PATIENCE = 30.0
_RULE = "/etc/condor/config.d/99-anchors"
_UNSPOOLED = """
import json, sys
import htcondor2
collector, schedd, description = sys.argv[1:]
made = htcondor2.Submit("")
for key, value in {**json.loads(description), "transfer_input_files": "/etc/hostname"}.items():
    made[key] = value
ad = htcondor2.Collector(collector).locate(htcondor2.DaemonType.Schedd, schedd)
htcondor2.Schedd(ad).submit(made, count=1, spool=True)
"""


def life(worker: str) -> Life:
    """What PAYLOAD does, for the fake."""
    for start, printed in (("fail", "no luck on this machine\n"), ("flood", " " * 1_999_997 + "end")):
        if worker.startswith(start):
            return Life(printed, 3)
    if worker.startswith("long"):
        return Life(" " * 999_997 + "end", 3)
    return Life("", 0) if worker.startswith("ok") else Life()


class Lab(Protocol):
    """An access point, and power over it."""

    def operator(self, operator_id: str, ahead: float = 0.0) -> Condor:
        """The port of one more operator, all of them as the user `dask`.

        `ahead`: so many seconds is the access point's clock ahead of this operator's.
        """

    async def until(
        self, condor: Condor, seen: Callable[[tuple[Job, ...]], object], pool: str | None = None
    ) -> tuple[Job, ...]:
        """The jobs, once `seen` is true of them."""

    def now(self) -> float:
        """The time on the access point."""

    def vacate(self, job: JobId) -> None:
        """Evict a running job."""

    def silent_execute_node(self) -> AbstractContextManager[None]:
        """Meanwhile no execute node answers."""

    def anchors_refused(self, words: str) -> AbstractContextManager[None]:
        """Meanwhile a rule of the access point, with these words, refuses anchors."""

    def hold(self, job: JobId) -> None:
        """What a person does with condor_hold."""

    def release(self, job: JobId) -> None:
        """What a person does with condor_release; nothing happens to a job that cannot be released."""

    def unspooled(self, description: Mapping[str, str], operator_id: str) -> None:
        """An anchor whose submitter ends before it sends the file."""

    def foreign(self, operator_id: str) -> JobId:
        """A job of alice's, who wrote an operator's id into it."""

    def printed(self, anchor: Job) -> dict[str, int]:
        """The files with what workers printed on the access point's disk, and how large they are."""

    def exists(self, job: JobId) -> bool:
        """Whether the job is in the queue, whoever owns it."""

    def lease(self, job: JobId) -> int | None:
        """The job's lease."""

    async def close(self) -> None:
        """End what was started."""


class FakeLab:
    """In memory; time passes while a test waits."""

    def __init__(self) -> None:
        self.schedd = FakeSchedd(life=life)

    def operator(self, operator_id: str, ahead: float = 0.0) -> Condor:
        condor = FakeCondor(self.schedd, operator_id)
        condor.ahead = ahead
        return condor

    async def until(
        self, condor: Condor, seen: Callable[[tuple[Job, ...]], object], pool: str | None = None
    ) -> tuple[Job, ...]:
        for _ in range(100):
            jobs = await (condor.jobs() if pool is None else condor.jobs_of(pool))
            if seen(jobs):
                return jobs
            self.schedd.tick(0.5)
        raise AssertionError(f"never seen in {self.schedd.queue}")

    def now(self) -> float:
        return self.schedd.now

    def vacate(self, job: JobId) -> None:
        self.schedd.vacate(job)

    @contextmanager
    def silent_execute_node(self) -> Iterator[None]:
        self.schedd.silent = True
        yield
        self.schedd.silent = False

    @contextmanager
    def anchors_refused(self, words: str) -> Iterator[None]:
        role = f"My.{names.AD_ROLE}"
        self.schedd.rule = lambda description: words if description[role] == '"anchor"' else None
        yield
        self.schedd.rule = lambda _: None

    def hold(self, job: JobId) -> None:
        self.schedd.hold(job, "via condor_hold (by user root)")

    def release(self, job: JobId) -> None:
        self.schedd.release(job)

    def unspooled(self, description: Mapping[str, str], operator_id: str) -> None:
        self.schedd.add_anchor(operator_id, "dask@htcdask.test", description, None)

    def foreign(self, operator_id: str) -> JobId:
        return self.schedd.foreign("alice@htcdask.test", operator_id)

    def printed(self, anchor: Job) -> dict[str, int]:
        found = self.schedd.files[anchor.id]
        return {name: len(text) for name, text in found.items() if name != "bundle.sh"}

    def exists(self, job: JobId) -> bool:
        return job in self.schedd.queue

    def lease(self, job: JobId) -> int | None:
        lease = self.schedd.queue[job].job.lease
        return None if lease is None else math.ceil(lease)

    async def close(self) -> None:
        """Nothing was started."""


class RealLab:
    """A bare pool and agents."""

    def __init__(self, pool: BarePool, folder: Path) -> None:
        self.pool = pool
        self._token = folder / "token"
        self._token.write_text(pool.token("dask"))
        self._agents: list[CondorClient] = []
        self._operators: set[str] = set()

    def operator(self, operator_id: str, ahead: float = 0.0) -> Condor:
        access = AccessPoint(operator_id, self.pool.address, self.pool.schedd, self._token)
        agent = CondorClient(access, clock=lambda: time.time() - ahead)
        self._agents.append(agent)
        self._operators.add(operator_id)
        return agent

    async def until(
        self, condor: Condor, seen: Callable[[tuple[Job, ...]], object], pool: str | None = None
    ) -> tuple[Job, ...]:
        jobs: tuple[Job, ...] = ()
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    jobs = await (condor.jobs() if pool is None else condor.jobs_of(pool))
                    if seen(jobs):
                        return jobs
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"not seen in {_PATIENCE:g} s: {jobs}") from None

    def now(self) -> float:
        return time.time()

    def vacate(self, job: JobId) -> None:
        self.pool.run("condor_vacate_job", job)

    @contextmanager
    def silent_execute_node(self) -> Iterator[None]:
        daemons = ("-x", "condor_startd|condor_starter")
        self.pool.run("pkill", "-STOP", *daemons)
        try:
            yield
        finally:
            self.pool.run("pkill", "-CONT", *daemons)

    @contextmanager
    def anchors_refused(self, words: str) -> Iterator[None]:
        file = self.pool.path(_RULE)
        file.write_text(
            "SUBMIT_REQUIREMENT_NAMES = $(SUBMIT_REQUIREMENT_NAMES) Anchors\n"
            f'SUBMIT_REQUIREMENT_Anchors = {names.AD_ROLE} =!= "anchor"\n'
            f'SUBMIT_REQUIREMENT_Anchors_REASON = "{words}"\n'
        )
        self._rules("Anchors")
        try:
            yield
        finally:
            file.unlink()
            self._rules("Not defined")

    def _rules(self, names: str) -> None:
        """Wait until the schedd has these."""
        self.pool.run("condor_reconfig", "-daemon", "schedd")
        deadline = time.monotonic() + _PATIENCE
        ask = ("condor_config_val", "-schedd", "SUBMIT_REQUIREMENT_NAMES")
        while (found := self.pool.run(*ask, check=False).strip()) != names:
            if time.monotonic() > deadline:
                raise AssertionError(f"the schedd's rules are {found!r}, not {names!r}")
            time.sleep(0.1)

    def hold(self, job: JobId) -> None:
        self.pool.run("condor_hold", job)

    def release(self, job: JobId) -> None:
        self.pool.run("condor_release", job, check=False)

    def unspooled(self, description: Mapping[str, str], operator_id: str) -> None:
        agent = CondorClient(AccessPoint(operator_id, self.pool.address, self.pool.schedd, self._token))
        token.write(agent.folder / "tokens", token.read(self._token, time.time()))
        self._agents.append(agent)
        subprocess.run(
            [sys.executable, "-c", _UNSPOOLED, self.pool.address, self.pool.schedd, json.dumps(description)],
            check=True,
            env=agent._environment(),
            timeout=60,
        )

    def foreign(self, operator_id: str) -> JobId:
        description = (
            "executable = /bin/sleep\ntransfer_executable = false\narguments = 1000\nrequirements = false\n"
            f'My.{names.AD_OPERATOR} = "{operator_id}"\nMy.{names.AD_ROLE} = "worker"\nqueue\n'
        )
        said = self.pool.run("condor_submit", "-terse", "-", user="alice", input=description)
        return said.split()[0]

    def printed(self, anchor: Job) -> dict[str, int]:
        found = self.pool.path(anchor.iwd or "").iterdir()
        return {file.name: file.stat().st_size for file in found if file.name != "bundle.sh"}

    def exists(self, job: JobId) -> bool:
        return bool(self.attribute(job, "JobStatus"))

    def lease(self, job: JobId) -> int | None:
        text = self.attribute(job, names.AD_LEASE)
        return int(text) if text.isdigit() else None

    def attribute(self, job: JobId, *attributes: str) -> str:
        """What condor_q says of a job."""
        return self.pool.run("condor_q", "-allusers", job, "-af", *attributes).strip()

    async def close(self) -> None:
        for agent in self._agents:
            await agent.close()
        for operator_id in self._operators:
            remove_jobs(self.pool, operator_id)


@contextmanager
def silent_schedd(pool: BarePool) -> Iterator[None]:
    """The schedd's port takes connections, and nobody ever answers."""
    pool.run("pkill", "-STOP", "-x", "condor_schedd")
    try:
        yield
    finally:
        pool.run("pkill", "-CONT", "-x", "condor_schedd")


def remove_jobs(pool: BarePool, operator_id: str) -> None:
    """Take all jobs out of the queue that carry this operator's id, whoever owns them."""
    theirs = f'{names.AD_OPERATOR} == "{operator_id}"'
    for force in ([], ["-forcex"]):
        pool.run("condor_rm", *force, "-constraint", theirs, check=False)
    deadline = time.monotonic() + _PATIENCE
    while pool.run("condor_q", "-allusers", "-constraint", theirs, "-af", "ClusterId"):
        if time.monotonic() > deadline:
            raise AssertionError(f"jobs of {operator_id} do not leave the queue")
        time.sleep(0.05)


def statuses(jobs: Sequence[Job]) -> list[str]:
    """For messages and comparisons."""
    return [job.status.name for job in jobs]
