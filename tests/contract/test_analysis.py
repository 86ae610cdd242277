"""Why a worker waits, as a real HTCondor's slots show it: what its pool tells, for each cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import Template
from htcdask_operator.condor import constraints
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.condor.errors import CondorRefused
from htcdask_operator.core.model import JobId, JobStatus
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.status import slots
from htcdask_operator.core.submit import descriptions
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, PAYLOAD, RealLab

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
    "GPUs": (
        {"gpus": 1},
        "No slot of 1 meets `TARGET.GPUs >= RequestGPUs`: 1 GPU is asked for, and the largest has 0; ask for",
    ),
    "one of two wishes": (
        {"requirements": "Memory >= 99999999 || HasCheese == 3"},
        "No slot of 1 defines what `Memory >= 99999999 || HasCheese == 3` asks for: is the name right?",
    ),
    "a wish": (
        {"requirements": 'TARGET.Arch == "PPC64" && TARGET.Cpus > 0'},
        'No slot of 1 meets `TARGET.Arch == "PPC64"`: they offer "X86_64".',
    ),
    "an attribute that nobody has": (
        {"requirements": "TARGET.HasCheese >= 3"},
        "No slot of 1 defines what `TARGET.HasCheese >= 3` asks for: is the name right?",
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
    assert "Another accounting user with idle jobs and a better priority (condor_userprio) comes" in told[1]
    bare_pool.run("condor_rm", "alice")


async def test_the_right_to_read_is_enough(bare_pool: BarePool, waiting: Waiting, tmp_path: Path) -> None:
    job = await waiting.submit(memory="4Ti")
    ours = constraints.of_operator(waiting.operator_id, (), ["dask@htcdask.test"])
    one = constraints.of_waiting(ours, job)
    token = tmp_path / "reader"
    token.write_text(bare_pool.token("dask", "READ"))
    reader = CondorClient(AccessPoint(waiting.operator_id, bare_pool.address, bare_pool.schedd, token))
    with pytest.raises(CondorRefused):
        await reader.whoami()  # which asks for more
    found = await reader._ask("analyze", one, of=reader._analyst)
    assert found["slots"] == 1 and "TARGET.Memory >= RequestMemory" in str(found["clauses"])
    await reader.close()


@pytest.fixture
def other_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """One that may come to harm."""
    with BarePool(tmp_path_factory.mktemp("other") / "pool") as pool:
        yield pool


def advertise(pool: BarePool, like: str, command: str, changes: Mapping[str, str]) -> None:
    """Tell the collector of another ad like this one, with these changes."""
    kept = [line for line in like.strip().splitlines() if line.split(" = ")[0] not in changes]
    ad = "\n".join([*kept, *(f"{name} = {value}" for name, value in changes.items())])
    pool.run("condor_advertise", "-tcp", command, "-", input=f"{ad}\n")


async def test_a_negotiator_that_does_not_run_is_told_first(other_pool: BarePool, tmp_path: Path) -> None:
    """It stands still, and then it is gone."""
    waiting = Waiting(other_pool, tmp_path)
    iwd = await waiting.anchor()
    await waiting.running(await waiting.submit(iwd, "w2"))
    job = await waiting.submit(cores=512)
    assert "negotiator" not in (await waiting.why(job))[1].replace("the negotiator's to say", "")
    kept = other_pool.run("condor_status", "-l", "-negotiator")
    other_pool.run("condor_off", "-daemon", "negotiator")
    await told_first(waiting, job, "HTCondor's pool has no negotiator now: nothing is matched, whoever asks")
    now = int(waiting.lab.now())
    old = {"LastNegotiationCycleEnd0": str(now - 1830), "MyCurrentTime": str(now)}
    advertise(other_pool, kept, "UPDATE_NEGOTIATOR_AD", old)
    await told_first(waiting, job, "The pool's negotiator has not run for 3")
    await waiting.close()


async def told_first(waiting: Waiting, job: JobId, words: str) -> None:
    """Wait until it is."""
    told = ("", "")
    async with asyncio.timeout(20):
        while not told[1].startswith(words):
            told = await waiting.why(job)
            await asyncio.sleep(0.2)
    assert told[0] == "WaitingForMatch"


@pytest.mark.parametrize(("broken", "fit"), [("Requirements", "2 of 2"), ("Arch", "1 of 1")])
async def test_an_ad_that_ends_the_library_hides_no_slot(
    broken: str, fit: str, other_pool: BarePool, tmp_path: Path
) -> None:
    """Whoever may advertise a machine may write anything into it. The negotiator need not live with it."""
    waiting = Waiting(other_pool, tmp_path)
    other_pool.run("condor_off", "-daemon", "negotiator")
    job = await waiting.submit(requirements='TARGET.Arch != "odd"')
    evil = {"Name": '"slot1@evil"', "Machine": '"evil"', "Start": "false", broken: f'MY["{broken}"]'}
    like = other_pool.run("condor_status", "-l", "slot1@condor")
    advertise(other_pool, like, "UPDATE_STARTD_AD", evil)
    told = ("", "")
    async with asyncio.timeout(20):
        while "evil" not in told[1]:
            told = await waiting.why(job)
    assert f" {fit} slots fit the job when they are empty" in told[1]
    assert "Of 1 slot (slot1@evil) nothing is known: what it says takes too much time or memory" in told[1]
    await waiting.close()


async def test_a_machine_that_drains_is_told_with_its_reason(other_pool: BarePool, tmp_path: Path) -> None:
    waiting = Waiting(other_pool, tmp_path)
    other_pool.run("condor_drain", "-reason", "new kernel", "slot1@condor")
    told, job = ("", ""), await waiting.submit()
    async with asyncio.timeout(20):
        while told[0] != "SlotsRefuse":
            told = await waiting.why(job)
            await asyncio.sleep(0.2)
    assert told[1] == (
        '1 of 1 slots fit the job when they are empty, and they drain ("new kernel"): no job starts there '
        "until the site ends that. Ask it when."
    )
    await waiting.close()


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


async def test_execute_nodes_that_say_that_they_run_no_containers_are_told_with_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Those that say nothing of it are in test_causes."""
    with BarePool(tmp_path_factory.mktemp("bare") / "pool", settings=NO_APPTAINER + FALSE) as pool:
        waiting = Waiting(pool, tmp_path)
        assert await waiting.why(await waiting.submit()) == (
            "NoMatchingSlots",
            "No slot of 1 runs containers: no execute node has Apptainer, or HTCondor does not find it "
            "(SINGULARITY in its configuration). Ask the site.",
        )
        await waiting.close()
