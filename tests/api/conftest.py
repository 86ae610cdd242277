"""One real API server for all tests of this folder, with the CRD installed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.node.controlplane import ControlPlane

CRD = Path(__file__).parents[2] / "crds/htcworkerpool.yaml"


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        plane.kubectl("apply", "-f", str(CRD))
        plane.kubectl(
            "wait", "--for=condition=Established", "--timeout=30s", "crd/htcworkerpools.htcdask.org"
        )
        yield plane
