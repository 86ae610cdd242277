"""Dask workers in jobs of a real HTCondor, in their container, with a scheduler behind an SNI proxy."""

from __future__ import annotations

import asyncio
import operator
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import pytest

from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.policy import PortRange
from htcdask_operator.core.submit import descriptions, spooled
from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.builders import IMAGE, make_cluster, make_policy, make_pool, make_template
from tests.contract.cluster import Cluster, dask_cluster
from tests.contract.labs import RealLab

OPERATOR = "workers"
# Named as things are that this wrapper or an earlier one, bash and the proxy go by.
VARIABLES = {
    "work": "/var/tmp",
    "secrets": "/dev/shm",
    "name": "gpu",
    "program": "/bin/true",
    "options": "-x",
    "PATH": "/nowhere",
    "IFS": "/",
    "BASH_ENV": "/nowhere",
    "UID": "7",
    "POSIXLY_CORRECT": "1",
}
PORTS = PortRange(31_000, 31_099)
NANNY_PORTS = PortRange(31_100, 31_199)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """A pool that sees the worker image."""
    with BarePool(tmp_path_factory.mktemp("condor"), cvmfs=worker_image.tree()) as made:
        yield made


async def submit(
    lab: RealLab, cluster: Cluster, names: list[str], nanny: bool, own_files: bool = False
) -> float:
    """Submit workers as the core does, with an anchor or their own files; when they were asked for."""
    condor = lab.operator(OPERATOR)
    facts, dask, template = (
        make_pool(),
        make_cluster(),
        make_template(
            container_image=IMAGE,
            memory="600Mi",
            nanny=nanny,
            environment={**VARIABLES, "HTCDASK_SCHEDULER_SNI": "another"},
            resources={"MEMORY": 8589934592},
            max_runtime_seconds=3600,
        ),
    )
    policy = make_policy(
        operator_id=OPERATOR,
        scheduler_address=cluster.address.removeprefix("tls://"),
        worker_ports=PORTS,
        nanny_ports=NANNY_PORTS,
        vacate_seconds=30,
    )
    bundle = render(descriptions.bundle(dask, template, policy), cluster.certificate, cluster.key)
    if own_files:
        began = time.monotonic()
        description = descriptions.workers(facts, dask, template, "hash", "", policy, time.time())
        await condor.spool_workers(spooled.described(description), names, bundle)
        return began
    anchor = await condor.submit_anchor(
        descriptions.anchor(facts, dask, template, "hash", policy, time.time()), bundle
    )
    jobs = await lab.until(condor, lambda jobs: any(job.stage_in_finish for job in jobs))
    iwd = next(job.iwd for job in jobs if job.id == anchor)
    await condor.hold([anchor], "keeps the workers' files")
    began = time.monotonic()
    description = descriptions.workers(facts, dask, template, "hash", iwd or "", policy, time.time())
    await condor.submit_workers(description, names)
    return began


async def test_workers_that_bring_their_files_come_and_compute(
    lab: RealLab, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with dask_cluster(tmp_path, "127.0.0.1") as cluster:
        began = await submit(lab, cluster, ["w1", "w2"], nanny=True, own_files=True)
        condor = lab.operator(OPERATOR)
        await cluster.client.wait_for_workers(2, timeout=60)
        record_property("seconds_to_two_workers", time.monotonic() - began)
        assert {worker.name for worker in cluster.scheduler.workers.values()} == {"w1", "w2"}
        assert await cluster.client.submit(operator.add, 40, 2) == 42
        await condor.remove([job.id for job in await condor.jobs()], "scaled down")
        await lab.until(condor, lambda jobs: not jobs)


@pytest.mark.parametrize(
    ("nanny", "host"),
    [(True, "127.0.0.1"), (False, "127.0.0.1"), (True, "::1")],
    ids=["nanny", "no-nanny", "nanny and IPv6"],
)
async def test_workers_come_compute_and_hand_over_when_they_are_removed(
    lab: RealLab, tmp_path: Path, nanny: bool, host: str, record_property: Callable[[str, object], None]
) -> None:
    async with dask_cluster(tmp_path, host) as cluster:
        began = await submit(lab, cluster, ["w1", "w2"], nanny)
        condor = lab.operator(OPERATOR)
        try:
            await cluster.client.wait_for_workers(2, timeout=60)
        except TimeoutError:
            jobs = await condor.jobs()
            (anchor,) = [job.id for job in jobs if not job.worker]
            raise AssertionError(f"{await condor.logs(anchor, ['w1', 'w2'])} {jobs}") from None
        record_property("seconds_to_two_workers", time.monotonic() - began)
        assert {worker.name for worker in cluster.scheduler.workers.values()} == {"w1", "w2"}
        assert await cluster.client.submit(operator.add, 40, 2) == 42
        for worker in cluster.scheduler.workers.values():
            assert PORTS.first <= int(worker.address.rpartition(":")[2]) <= PORTS.last
            if nanny:
                assert NANNY_PORTS.first <= int(worker.nanny.rpartition(":")[2]) <= NANNY_PORTS.last
            assert worker.resources == {"MEMORY": 8589934592}
        for name, value in VARIABLES.items():
            assert await cluster.client.submit(os.getenv, name, pure=False) == value
        # Below the job's own scratch, whose size HTCondor knows.
        assert all(
            "/scratch/htcdask." in worker.local_directory for worker in cluster.scheduler.workers.values()
        )
        # The key is in memory that no other job sees, and on no disk.
        shared = await cluster.client.submit(os.listdir, "/dev/shm", workers=["w1"])
        (folder,) = [name for name in shared if name.startswith("htcdask.")]
        assert sorted(await cluster.client.submit(os.listdir, f"/dev/shm/{folder}", workers=["w1"])) == [
            "dask.crt",
            "dask.pem",
        ]
        kept = [await cluster.client.scatter(number, workers=["w1"], hash=False) for number in range(3)]
        if nanny:
            await cluster.client.restart(timeout=40)
            assert await cluster.client.submit(operator.add, 1, 2) == 3
            kept = [await cluster.client.scatter(number, workers=["w1"], hash=False) for number in range(3)]
        first = next(job.id for job in await condor.jobs() if job.worker == "w1")
        await condor.remove([first], "scaled down")
        jobs = await lab.until(condor, lambda jobs: first not in {job.id for job in jobs})
        assert await asyncio.wait_for(cluster.client.gather(kept), 10) == [0, 1, 2]
        assert [job.status for job in jobs if job.worker == "w2"] == [JobStatus.RUNNING]
        anchor = next(job.id for job in jobs if not job.worker)
        assert await condor.logs(anchor, ["w1", "w2"]) == {}
        await condor.remove([job.id for job in jobs], "the end of the test")
        await lab.until(condor, lambda jobs: not jobs)


@pytest.mark.parametrize("nanny", [True, False], ids=["nanny", "no-nanny"])
async def test_a_busy_worker_that_is_evicted_hands_its_data_over(
    lab: RealLab, tmp_path: Path, nanny: bool
) -> None:
    def sleep_after_saying_so() -> None:  # in here, as there is no module of tests in the container
        distributed.Event("busy").set()
        time.sleep(600)

    async with dask_cluster(tmp_path, "127.0.0.1") as cluster:
        await submit(lab, cluster, ["w1", "w2"], nanny)
        condor = lab.operator(OPERATOR)
        await cluster.client.wait_for_workers(2, timeout=60)
        kept = await cluster.client.scatter("data", workers=["w1"], hash=False)
        busy = cluster.client.submit(sleep_after_saying_so, workers=["w1"], pure=False)
        await asyncio.wait_for(distributed.Event("busy", cluster.client).wait(), 30)
        first = next(job.id for job in await condor.jobs() if job.worker == "w1")
        lab.vacate(first)
        await lab.until(condor, lambda jobs: any(job.id == first and job.vacated for job in jobs))
        assert await asyncio.wait_for(kept, 10) == "data"
        assert [worker.name for worker in cluster.scheduler.workers.values()] == ["w2"]
        await busy.cancel()
        await condor.remove([job.id for job in await condor.jobs()], "the end of the test")
        await lab.until(condor, lambda jobs: not jobs)
