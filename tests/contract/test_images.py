"""An image that is a file, and both kinds of a registry: Dask workers in jobs of a real HTCondor."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import pytest

from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.builders import IMAGE
from tests.contract.cluster import dask_cluster
from tests.contract.labs import RealLab
from tests.contract.registry import registry
from tests.contract.site import Site

SIF = "/images/worker.sif"
TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
# Apptainer makes a .sif file of what a registry sends, in each job anew: minutes of gzip on two cores.
# The bare pool has no squashfuse: what is in a .sif file is unpacked for each job.
SQUASH = "/usr/bin/mksquashfs"
QUICKLY = f'#!/bin/sh\nexec {SQUASH}.slow "$@" -noI -noD -noF -noX\n'


@dataclass(frozen=True)
class Images:
    """A pool, and the same image as each kind."""

    pool: BarePool
    urls: dict[str, str]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    folder = tmp_path_factory.mktemp("images")
    with (
        registry(folder) as (url, authority),
        BarePool(folder / "condor", cvmfs=worker_image.tree()) as pool,
    ):
        with pool.path(TRUSTED).open("a") as trusted:
            trusted.write(authority.read_text())
        pool.run("mv", SQUASH, f"{SQUASH}.slow")
        pool.path(SQUASH).write_text(QUICKLY)
        pool.run("chmod", "755", SQUASH)
        pool.run("mkdir", "/images")
        pool.run("apptainer", "build", SIF, IMAGE)
        packed = f"oras://{url.removeprefix('docker://').removesuffix(':latest')}:sif"
        pool.run("apptainer", "push", SIF, packed)
        yield Images(pool, {"a .sif file": SIF, "a registry's image": url, "a registry's .sif file": packed})


@pytest.fixture
async def lab(images: Images, tmp_path: Path) -> AsyncIterator[RealLab]:
    made = RealLab(images.pool, tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize(
    ("kind", "nanny"),
    [
        ("a .sif file", True),
        ("a .sif file", False),
        ("a registry's image", True),
        ("a registry's image", False),
        ("a registry's .sif file", True),
    ],
)
async def test_a_worker_comes_computes_and_goes(
    images: Images,
    lab: RealLab,
    tmp_path: Path,
    kind: str,
    nanny: bool,
    record_property: Callable[[str, object], None],
) -> None:
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, cluster.address.removeprefix("tls://"))
        began = monotonic()
        await site.workers("w1", cluster=cluster, container_image=images.urls[kind], nanny=nanny)
        await site.connected(cluster, 1, seconds=150)
        record_property("seconds_to_a_worker", monotonic() - began)
        (worker,) = cluster.scheduler.workers.values()
        assert (worker.name, bool(worker.nanny)) == ("w1", nanny)
        assert await cluster.client.submit(sum, [40, 2]) == 42
        shown = await cluster.client.submit(os.getenv, "APPTAINER_CONTAINER", pure=False)
        assert shown == SIF or shown.startswith("/var/lib/condor/execute/"), shown
        await site.end()
        assert not cluster.scheduler.workers
