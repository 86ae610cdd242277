"""GPUs of a real HTCondor: its execute node finds two that are not there, and gives them to Dask workers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.status import slots
from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.contract.cluster import dask_cluster
from tests.contract.labs import RealLab
from tests.contract.site import Site

DISCOVERY = "/usr/local/bin/invented_gpus"
# What condor_gpu_discovery prints where there are two.
PRINTED = """#!/bin/sh
cat <<'END'
DetectedGPUs="GPU-11111111, GPU-22222222"
Common=[ DeviceName="Invented"; GlobalMemoryMb=24000; ]
GPU_11111111=[ id="GPU-11111111"; DeviceUuid="11111111"; ]
GPU_22222222=[ id="GPU-22222222"; DeviceUuid="22222222"; ]
END
"""
SETTINGS = f"use FEATURE : GPUs\nMACHINE_RESOURCE_INVENTORY_GPUs = {DISCOVERY}\n"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """A pool that looks for its GPUs when it starts anew."""
    folder = tmp_path_factory.mktemp("condor")
    with BarePool(folder, cvmfs=worker_image.tree()) as made:
        made.path(DISCOVERY).write_text(PRINTED)
        made.path(DISCOVERY).chmod(0o755)
        made.path("/etc/condor/config.d/70-gpus").write_text(SETTINGS)
        made.stop()
        made.start()
        yield made


async def test_each_worker_gets_its_own_with_a_nanny_or_without_and_one_too_many_waits(
    lab: RealLab, tmp_path: Path
) -> None:
    async with dask_cluster(tmp_path) as cluster:
        scheduler = cluster.address.removeprefix("tls://")
        nannied, bare, later = (Site(lab, scheduler) for _ in range(3))
        await nannied.workers("w1", cluster=cluster, gpus=1, nanny=True)
        await bare.workers("w2", cluster=cluster, gpus=1, nanny=False)
        await bare.connected(cluster, 2)
        workers = cluster.scheduler.workers
        assert {its.name: bool(its.nanny) for its in workers.values()} == {"w1": True, "w2": False}
        seen = await cluster.client.run(os.getenv, "CUDA_VISIBLE_DEVICES")
        assert sorted(seen.values()) == ["GPU-11111111", "GPU-22222222"]
        await later.workers("w3", gpus=1)
        told = ("", "")
        async with asyncio.timeout(20):  # until the collector has heard of the first ones
            while told[0] != "PoolFull":
                told = await why(later)
                await asyncio.sleep(0.2)
        assert "1 of 1 slots fit the job when they are empty, and none has room now" in told[1]
        for site in (later, bare, nannied):
            await site.end()


async def test_a_worker_that_wants_more_than_there_are_is_told_so(lab: RealLab) -> None:
    site = Site(lab, "127.0.0.1:1")
    await site.workers("w1", gpus=3)
    assert await why(site) == (
        "NoMatchingSlots",
        "No slot of 1 meets `TARGET.GPUs >= RequestGPUs`: 3 GPUs are asked for, and the largest has 2; ask "
        "for fewer.",
    )
    await site.end()


async def why(site: Site) -> tuple[str, str]:
    """What the pool of the one worker that waits tells of it."""
    job = await site.until(JobStatus.IDLE)
    found = await site.condor.analyze(job.id)
    assert found is not None
    return slots.told(found, job)
