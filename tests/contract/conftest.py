"""One bare HTCondor for the whole run, with an image for jobs that only need bash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.condor import rootfs
from playground.condor.bare import BarePool
from tests.contract.container import make_image


@pytest.fixture(scope="session")
def bare_pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    folder: Path = tmp_path_factory.mktemp("condor")
    make_image(rootfs.unpacked(), folder / "cvmfs/img")
    with BarePool(folder / "pool", cvmfs=folder / "cvmfs") as pool:
        yield pool
