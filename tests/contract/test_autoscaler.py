"""A pool and a HorizontalPodAutoscaler of Kubernetes' own controller, on a real API server."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from htcdask_api import manifest, names
from playground.build import programs
from playground.node.controlplane import ControlPlane
from tests.builders import POOL, make_observed, make_policy, make_pool, plan_for

NAME = "scaled"


@pytest.fixture
def controller(plane: ControlPlane, tmp_path: Path) -> Iterator[None]:
    """The autoscaler alone of all controllers."""
    command = [
        str(programs.path("kube-controller-manager")),
        f"--kubeconfig={plane.kubeconfig}",
        "--controllers=horizontal-pod-autoscaler-controller",
        "--horizontal-pod-autoscaler-sync-period=1s",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    with (tmp_path / "controller.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
        try:
            yield
        finally:
            process.kill()
            process.wait()


@pytest.mark.usefixtures("controller")
def test_an_autoscaler_takes_the_selector_that_the_operator_publishes(plane: ControlPlane) -> None:
    body = manifest.pool("default", NAME, "abc", scaling="Manual", replicas=2)
    plane.kubectl("create", "-f", "-", input=json.dumps(body))
    plane.kubectl("create", "-f", "-", input=json.dumps(_autoscaler()))
    _publish(plane, {"replicas": 2})
    _until(lambda: _scaling(plane) == "InvalidSelector", lambda: _said(plane))
    published = plan_for([make_pool()], make_observed(), make_policy()).statuses[POOL]
    _publish(plane, {"replicas": 2, "selector": published.selector})
    # There is nobody who has the metric: the controller asks for it now.
    _until(lambda: _scaling(plane) == "FailedGetExternalMetric", lambda: _said(plane))
    plane.kubectl("patch", "hpa", NAME, "--type=merge", "-p", '{"spec": {"minReplicas": 4}}')
    _until(lambda: _replicas(plane) == "4", lambda: _said(plane))


def _autoscaler() -> dict[str, object]:
    target = {"type": "AverageValue", "averageValue": "10"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {
            "scaleTargetRef": {"apiVersion": names.API_VERSION, "kind": names.KIND, "name": NAME},
            "minReplicas": 1,
            "maxReplicas": 5,
            "metrics": [
                {"type": "External", "external": {"metric": {"name": "events_waiting"}, "target": target}}
            ],
        },
    }


def _publish(plane: ControlPlane, status: dict[str, object]) -> None:
    patch = json.dumps({"status": status})
    plane.kubectl("patch", "htcwp", NAME, "--subresource=status", "--type=merge", "-p", patch)


def _scaling(plane: ControlPlane) -> str:
    path = "jsonpath={.status.conditions[?(@.type=='ScalingActive')].reason}"
    return plane.kubectl("get", "hpa", NAME, "-o", path)


def _replicas(plane: ControlPlane) -> str:
    return plane.kubectl("get", "htcwp", NAME, "-o", "jsonpath={.spec.replicas}")


def _said(plane: ControlPlane) -> str:
    return plane.kubectl("describe", "hpa", NAME)


def _until(true: Callable[[], bool], otherwise: Callable[[], str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)
