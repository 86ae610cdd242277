"""One real API server for all tests of this folder, with our CRDs installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.node.controlplane import ControlPlane

CRDS = [Path(__file__).parents[2] / f"crds/{name}.yaml" for name in ("htcworkerpool", "htcworkerlog")]


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        for crd in CRDS:
            plane.kubectl("apply", "-f", str(crd))
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        yield plane
