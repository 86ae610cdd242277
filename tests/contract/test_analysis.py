"""Why a worker waits, as a real HTCondor's slots show it: what its pool tells, for each cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from htcdask_operator.core.model import JobId, JobStatus
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

    async def submit(self, iwd: str = "/nowhere", name: str = "w1", **template: Any) -> JobId:
        """One worker."""
        worker = make_template(**{"container_image": IMAGE, "memory": "100Mi", **template})
        description = descriptions.workers(
            make_pool(), make_cluster(), worker, "hash", iwd, self.policy, self.lab.now()
        )
        (job,) = await self.condor.submit_workers(description, [name])
        return job

    async def anchor(self) -> str:
        """Where the workers' files are."""
        description = descriptions.anchor(make_pool(), make_cluster(), "hash", self.policy, self.lab.now())
        job = await self.condor.submit_anchor(description, PAYLOAD)
        jobs = await self.lab.until(self.condor, lambda jobs: jobs[0].stage_in_finish)
        await self.condor.hold([job], "kept")
        return jobs[0].iwd or ""

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


async def test_a_pool_that_is_full(waiting: Waiting) -> None:
    iwd = await waiting.anchor()
    first = await waiting.submit(iwd, "w1")
    await waiting.lab.until(
        waiting.condor, lambda jobs: any(job.id == first and job.started_at for job in jobs)
    )
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


async def test_slots_that_refuse_say_by_which_rule(strict_pool: BarePool, tmp_path: Path) -> None:
    waiting = Waiting(strict_pool, tmp_path)
    reason, message = await waiting.why(await waiting.submit())
    assert reason == "SlotsRefuse"
    assert 'START is TARGET.Department is "physics"' in message
    await waiting.close()
