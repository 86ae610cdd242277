"""One real API server for all tests of this folder, with the chart installed by real Helm."""

from collections.abc import Iterator

import pytest

from playground.node.controlplane import ControlPlane
from tests.chart.helm import CHART, EXAMPLE, run_helm


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server on which the chart is installed as release `htcdask`, pools in namespace `gateway`."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as plane:
        for namespace in ("gateway", "htcdask", "elsewhere"):
            plane.kubectl("create", "namespace", namespace)
        run_helm(
            "install",
            "htcdask",
            str(CHART),
            "--kubeconfig",
            str(plane.kubeconfig),
            "--namespace",
            "htcdask",
            "--values",
            str(EXAMPLE),
        )
        plane.kubectl(
            "wait", "--for=condition=Established", "--timeout=30s", "crd/htcworkerpools.htcdask.org"
        )
        yield plane
