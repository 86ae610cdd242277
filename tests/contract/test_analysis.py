"""Why a worker waits, as a real HTCondor's slots show it: what its pool tells, for each cause."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import Template
from htcdask_operator.core.model import JobId, JobStatus
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.status import slots
from htcdask_operator.core.submit import descriptions
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, PAYLOAD, RealLab
from tests.contract.shell import Shell, idle

_numbers = count(1)


class Waiting:
    """Workers of one pool that wait."""

    def __init__(self, pool: BarePool, folder: Path) -> None:
        self.operator_id = f"analysis-{next(_numbers)}"
        self.lab = RealLab(pool, folder)
        self.condor = self.lab.operator(self.operator_id)
        self.policy = make_policy(operator_id=self.operator_id)

    async def submit(
        self,
        iwd: str = "/nowhere",
        name: str = "w1",
        avoided: Sequence[str] = (),
        seconds: float = 3600,
        **template: Any,
    ) -> JobId:
        """One worker; `avoided`: for so many seconds."""
        until = dict.fromkeys(avoided, self.lab.now() + seconds)
        worker = make_template(**{"container_image": IMAGE, "memory": "100Mi", **template})
        description = descriptions.workers(
            make_pool(),
            make_cluster(),
            worker,
            "hash",
            iwd,
            self.policy,
            self.lab.now(),
            avoided=until,
        )
        (job,) = await self.condor.submit_workers(description, [name])
        return job

    async def anchor(self) -> str:
        """Where the workers' files are."""
        description = descriptions.anchor(
            make_pool(), make_cluster(), make_template(), "hash", self.policy, self.lab.now()
        )
        job = await self.condor.submit_anchor(description, PAYLOAD)
        jobs = await self.lab.until(self.condor, lambda jobs: jobs[0].stage_in_finish)
        await self.condor.hold([job], "kept")
        return jobs[0].iwd or ""

    async def running(self, job: JobId) -> None:
        """Wait until it runs."""
        await self.lab.until(
            self.condor, lambda jobs: any(each.id == job and each.started_at for each in jobs)
        )

    async def why(self, job: JobId) -> tuple[str, str]:
        """What the pool tells of it."""
        (its,) = [each for each in await self.condor.jobs() if each.id == job]
        assert its.status is JobStatus.IDLE
        found = await self.condor.analyze(job)
        assert found is not None
        return slots.told(found, its)

    async def close(self) -> None:
        """Nothing is left."""
        await self.condor.remove([job.id for job in await self.condor.jobs()], "the end of the test")
        await self.lab.close()


@pytest.fixture
async def waiting(bare_pool: BarePool, tmp_path: Path) -> AsyncIterator[Waiting]:
    made = Waiting(bare_pool, tmp_path)
    yield made
    await made.close()


CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "memory": (
        {"memory": "4Ti"},
        "No slot of 1 meets `TARGET.Memory >= RequestMemory`: 4 TiB of memory are asked for, and the "
        "largest has 2 TiB; ask for less.",
    ),
    "cores": (
        {"cores": 1000},
        "No slot of 1 meets `TARGET.Cpus >= RequestCpus`: 1000 cores are asked for, and the largest has 512; "
        "ask for fewer.",
    ),
    "GPUs": ({"gpus": 1}, "No slot of 1 meets `TARGET.GPUs >= RequestGPUs`"),
    "a wish": (
        {"requirements": 'TARGET.Arch == "PPC64" && TARGET.Cpus > 0'},
        'No slot of 1 meets `TARGET.Arch == "PPC64"`: they offer "X86_64".',
    ),
    "an attribute that nobody has": (
        {"requirements": "TARGET.HasCheese >= 3"},
        "No slot of 1 defines what `TARGET.HasCheese >= 3` asks for.",
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
async def test_what_no_slot_meets_is_named_with_what_there_is(waiting: Waiting, cause: str) -> None:
    template, sentence = CAUSES[cause]
    reason, message = await waiting.why(await waiting.submit(**template))
    assert reason == "NoMatchingSlots"
    assert sentence in message


async def test_a_worker_does_not_go_to_a_machine_that_is_avoided(waiting: Waiting) -> None:
    iwd = await waiting.anchor()
    job = await waiting.submit(iwd, "w1", avoided=["condor", "node7.example.org"])
    elsewhere = await waiting.submit(iwd, "w2", avoided=["node7.example.org"])
    again = await waiting.submit(iwd, "w3", avoided=["condor"], seconds=3)
    await waiting.running(elsewhere)  # a whole negotiation
    reason, message = await waiting.why(job)
    assert reason == "NoMatchingSlots"
    assert message.startswith("No slot of 1 meets `time() > ")
    assert '!member(TARGET.Machine, { "condor", "node7.example.org" })`.' in message
    await waiting.running(again)  # it is forgotten, also by a job that waits


async def test_a_pool_that_is_full(waiting: Waiting) -> None:
    iwd = await waiting.anchor()
    first = await waiting.submit(iwd, "w1")
    await waiting.running(first)
    second = await waiting.submit(iwd, "w2", memory="2Ti")  # all of the machine
    told = ("", "")
    async with asyncio.timeout(20):  # until the collector has heard of the first one
        while told[0] != "PoolFull":
            told = await waiting.why(second)
            await asyncio.sleep(0.2)
    assert told[1] == (
        "1 of 1 slots fit the job when they are empty, and none has room now: the job starts when others "
        "end. Smaller ones find room sooner."
    )


@pytest.fixture(scope="module")
def strict_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """Its one machine takes jobs of physicists only."""
    folder = tmp_path_factory.mktemp("strict")
    settings = 'START = TARGET.Department =?= "physics"\n'
    with BarePool(folder / "pool", settings=settings) as pool:
        yield pool


@pytest.fixture(scope="module")
def pool_with_quotas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """Physicists may have one core."""
    settings = "GROUP_NAMES = group_physics\nGROUP_QUOTA_group_physics = 1\nGROUP_ACCEPT_SURPLUS = False\n"
    with BarePool(tmp_path_factory.mktemp("quotas") / "pool", settings=settings) as pool:
        yield pool


async def test_a_quota_that_is_reached_is_told_with_its_group(
    pool_with_quotas: BarePool, tmp_path: Path
) -> None:
    waiting = Waiting(pool_with_quotas, tmp_path)
    waiting.policy = replace(waiting.policy, accounting_group="group_physics")
    iwd = await waiting.anchor()
    first = await waiting.submit(iwd, "w2")
    await waiting.running(first)
    told, job = ("", ""), await waiting.submit(iwd)
    async with asyncio.timeout(20):  # until the negotiator has told of it
        while told[0] != "QuotaReached":
            told = await waiting.why(job)
            await asyncio.sleep(0.2)
    assert "the accounting group group_physics has " in told[1]
    assert "of its quota of 1: the job starts when others of the group end." in told[1]
    await waiting.close()


async def test_who_has_a_better_priority_is_counted(bare_pool: BarePool, waiting: Waiting) -> None:
    """Two users wait."""
    bare_pool.run("condor_userprio", "-setfactor", "dask@htcdask.test", "5000")
    bare_pool.run("condor_userprio", "-setfactor", "alice@htcdask.test", "1000")
    sleeps = "executable = /bin/sleep\narguments = 1\nrequest_memory = 1\nrequest_disk = 1\n"
    never = f"{sleeps}transfer_executable = false\nrequirements = false\nqueue\n"
    bare_pool.run("condor_submit", "-", user="alice", input=never)
    iwd = await waiting.anchor()
    first = await waiting.submit(iwd, "w2")
    await waiting.running(first)
    job = await waiting.submit(iwd, cores=512)
    told = ("", "")
    async with asyncio.timeout(20):
        while "comes first" not in told[1]:
            told = await waiting.why(job)
            await asyncio.sleep(0.2)
    assert "Another user with idle jobs and a better priority (condor_userprio) comes first." in told[1]
    bare_pool.run("condor_rm", "alice")


@pytest.fixture(scope="module")
def pool_with_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """One license, for everybody."""
    with BarePool(tmp_path_factory.mktemp("limits") / "pool", settings="LICENSE_LIMIT = 1\n") as pool:
        yield pool


async def test_a_limit_that_is_reached_is_told_with_its_use(
    pool_with_limits: BarePool, tmp_path: Path
) -> None:
    waiting = Waiting(pool_with_limits, tmp_path)
    licensed = Profile("licensed", Template(), attributes={"ConcurrencyLimits": "License"})
    waiting.policy = replace(waiting.policy, profiles={"licensed": licensed})
    sleeps = "executable = /bin/sleep\narguments = 1000\nrequest_memory = 1\nrequest_disk = 1\n"
    limited = f"{sleeps}transfer_executable = false\nconcurrency_limits = license\nqueue\n"
    alices = pool_with_limits.run("condor_submit", "-terse", "-", user="alice", input=limited).split()[0]
    for _ in range(100):
        await asyncio.sleep(0.2)
        if pool_with_limits.run("condor_q", "-allusers", alices, "-af", "JobStatus").strip() == "2":
            break
    told, job = ("", ""), await waiting.submit(profile="licensed")
    async with asyncio.timeout(20):  # until the negotiator has looked at it
        while told[0] != "LimitReached":
            told = await waiting.why(job)
            await asyncio.sleep(0.2)
    assert "the concurrency limit license is reached, of which running jobs use 1." in told[1].lower()
    await waiting.close()


async def test_older_idle_jobs_of_the_same_user_are_counted(bare_pool: BarePool, waiting: Waiting) -> None:
    """Another user's are not, nor younger ones, nor those of an accounting group."""
    sleeps = "executable = /bin/sleep\ntransfer_executable = false\nrequirements = false\n"
    for more, user in (("", "dask"), ("", "alice"), ("accounting_group = physics\n", "dask")):
        bare_pool.run("condor_submit", "-", user=user, input=f"{sleeps}{more}queue 2\n")
    await asyncio.sleep(1.1)  # queues tell whole seconds
    job = await waiting.submit("/nowhere", "w1", cores=1000)
    bare_pool.run("condor_submit", "-", user="dask", input=f"{sleeps}priority = 1\nqueue\n")
    await waiting.submit("/nowhere", "w2")
    found = await waiting.condor.analyze(job)
    bare_pool.run("condor_rm", "dask", "alice")
    assert found is not None and found.earlier == 3


async def test_slots_that_refuse_say_by_which_rule(strict_pool: BarePool, tmp_path: Path) -> None:
    waiting = Waiting(strict_pool, tmp_path)
    reason, message = await waiting.why(await waiting.submit())
    assert reason == "SlotsRefuse"
    assert 'START is TARGET.Department is "physics"' in message
    await waiting.close()


NO_APPTAINER = "SINGULARITY = /nowhere/apptainer\n"
SAID = "HasContainer HasSandboxImage"
FALSE = f"HasContainer = False\nHasSandboxImage = False\nSTARTD_ATTRS = $(STARTD_ATTRS) {SAID}\n"


@pytest.mark.parametrize("settings", [NO_APPTAINER, NO_APPTAINER + FALSE], ids=["undefined", "false"])
async def test_execute_nodes_without_apptainer_are_told_with_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, settings: str
) -> None:
    """By the whole operator, as `kubectl describe` shows it, within 30 s of the submit."""
    with BarePool(tmp_path_factory.mktemp("bare") / "pool", settings=settings) as pool:
        shell = Shell(pool, tmp_path, "no-apptainer", cores=1)
        shell.want(1)
        operator = shell.operator()
        await operator.until(idle)
        began, told = time.monotonic(), ""
        while "containers" not in told:
            assert time.monotonic() - began < 30, told
            await operator.go_on(0.5)
            told = " ".join(its["message"] for its in shell.status.get("explanation", ()))
        assert told == (
            "No slot of 1 runs containers: no execute node has Apptainer, or HTCondor does not find it "
            "(SINGULARITY in its configuration). Ask the site."
        )
        await shell.close()
