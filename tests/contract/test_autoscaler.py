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

NAME, METRIC = "scaled", "waitingevents"


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


@pytest.mark.usefixtures("controller", "metric")
def test_an_autoscaler_takes_the_selector_that_the_operator_publishes_and_follows_its_metric(
    plane: ControlPlane,
) -> None:
    body = manifest.pool("default", NAME, "abc", scaling="Manual", replicas=1)
    plane.kubectl("create", "-f", "-", input=json.dumps(body))
    plane.kubectl("create", "-f", "-", input=json.dumps(_autoscaler()))
    _publish(plane, {"replicas": 1})
    _until(lambda: _condition(plane, NAME, "ScalingActive") == "InvalidSelector", lambda: _said(plane))
    published = plan_for([make_pool()], make_observed(), make_policy()).statuses[POOL]
    _publish(plane, {"replicas": 1, "selector": published.selector})
    _until(lambda: _replicas(plane) == "4", lambda: _said(plane))  # 40 events, 10 for each worker
    _publish(plane, {"replicas": 4, "selector": published.selector})
    plane.kubectl("patch", METRIC, "now", "--type=merge", "-p", '{"value": "20"}')
    _until(lambda: _replicas(plane) == "2", lambda: _said(plane))


@pytest.mark.usefixtures("controller")
def test_kubectl_autoscale_finds_the_pools_scale(plane: ControlPlane) -> None:
    body = manifest.pool("default", "by-kubectl", "abd", scaling="Manual", replicas=1)
    plane.kubectl("create", "-f", "-", input=json.dumps(body))
    plane.kubectl("autoscale", "htcwp/by-kubectl", "--min=1", "--max=3")
    _until(
        lambda: _condition(plane, "by-kubectl", "AbleToScale") == "SucceededGetScale",
        lambda: plane.kubectl("describe", "hpa", "by-kubectl"),
    )


@pytest.fixture
def metric(plane: ControlPlane) -> None:
    """How many events wait, as the API of a metrics adapter shows it: here by objects of a kind of ours."""
    group, kind = "external.metrics.k8s.io", "ExternalMetricValue"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{METRIC}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "names": {"plural": METRIC, "kind": kind, "listKind": f"{kind}List"},
            "scope": "Namespaced",
            "versions": [version],
        },
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(definition))
    plane.kubectl("wait", "--for=condition=Established", f"crd/{METRIC}.{group}", "--timeout=30s")
    now = {
        "apiVersion": f"{group}/v1beta1",
        "kind": kind,
        "metadata": {"name": "now", "namespace": "default"},
        "metricName": METRIC,
        "metricLabels": {},
        "timestamp": "2026-01-01T00:00:00Z",
        "value": "40",
    }
    plane.kubectl("create", "-f", "-", input=json.dumps(now))


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
            "metrics": [{"type": "External", "external": {"metric": {"name": METRIC}, "target": target}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    }


def _publish(plane: ControlPlane, status: dict[str, object]) -> None:
    patch = json.dumps({"status": status})
    plane.kubectl("patch", "htcwp", NAME, "--subresource=status", "--type=merge", "-p", patch)


def _condition(plane: ControlPlane, autoscaler: str, kind: str) -> str:
    path = f"jsonpath={{.status.conditions[?(@.type=='{kind}')].reason}}"
    return plane.kubectl("get", "hpa", autoscaler, "-o", path)


def _replicas(plane: ControlPlane) -> str:
    return plane.kubectl("get", "htcwp", NAME, "-o", "jsonpath={.spec.replicas}")


def _said(plane: ControlPlane) -> str:
    return plane.kubectl("describe", "hpa", NAME)


def _until(true: Callable[[], bool], otherwise: Callable[[], str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.2)
