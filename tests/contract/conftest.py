"""One bare HTCondor and one real API server for all tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from playground.build import rootfs_condor
from playground.condor.bare import BarePool
from playground.node.controlplane import ControlPlane
from tests.contract.container import make_image
from tests.contract.labs import RealLab

REPOSITORY = Path(__file__).parents[2]
CRDS = (
    "crds/htcworkerpool.yaml",
    "crds/htcworkerlog.yaml",
    "playground/site/manifests/daskcluster-crd.yaml",
)


@pytest.fixture(scope="session")
def bare_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """HTCondor, with an image for jobs that only need bash."""
    folder: Path = tmp_path_factory.mktemp("condor")
    make_image(rootfs_condor.unpacked(), folder / "cvmfs/img")
    with BarePool(folder / "pool", cvmfs=folder / "cvmfs") as pool:
        yield pool


@pytest.fixture
async def lab(pool: BarePool, tmp_path: Path) -> AsyncIterator[RealLab]:
    """One test's access point, of the pool that its module has."""
    made = RealLab(pool, tmp_path)
    yield made
    await made.close()


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows pools and DaskClusters."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        for manifest in CRDS:
            plane.kubectl("apply", "-f", str(REPOSITORY / manifest))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        yield plane
