"""The stock controller beside the extension: worker pods for a cluster that wants them, none for ours."""

import json

import pytest

from tests.gateway.servers import Site, heard


def run_scheduler(site: Site, cluster: str) -> None:
    """What kubelet and the endpoints controller would say of the cluster's scheduler."""
    name = cluster.partition(".")[2]
    site.wait(cluster, ".status.schedulerPod")
    pod = site.get("pod", f"dask-scheduler-{name}")
    (container,) = pod["spec"]["containers"]
    told = {"name": container["name"], "image": container["image"], "imageID": "", "restartCount": 0}
    state = {"ready": True, "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    status = {"status": {"phase": "Running", "containerStatuses": [{**told, **state}]}}
    change = f"--patch={json.dumps(status)}"
    site.kubectl("patch", "pod", pod["metadata"]["name"], "--subresource=status", "--type=merge", change)
    site.wait(cluster, ".status.service")
    service = site.get("service", f"dask-{name}")
    endpoints = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": f"dask-{name}", "labels": service["metadata"]["labels"]},
        "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 8786}]}],
    }
    site.kubectl("apply", "-f", "-", input=json.dumps(endpoints))
    site.wait(cluster, ".status.phase", "Running")


def workers(site: Site, cluster: str) -> list[str]:
    name = cluster.partition(".")[2]
    selector = f"gateway.dask.org/cluster={name},app.kubernetes.io/component=dask-worker"
    return site.kubectl("get", "pods", f"--selector={selector}", "-o", "name").split()


@pytest.fixture
def both(site: Site) -> tuple[str, str]:
    ours, theirs = site.cluster(), site.cluster(worker_backend="kubernetes")
    for cluster in (ours, theirs):
        run_scheduler(site, cluster)
    return ours, theirs


def test_makes_worker_pods_only_where_kubernetes_workers_are_wanted(
    site: Site, both: tuple[str, str]
) -> None:
    ours, theirs = both
    assert site.heartbeat(ours, heard(3)) == 200
    assert site.heartbeat(theirs, heard(2)) == 200
    # The controller takes clusters up in the order of their changes: theirs was the later one.
    name = theirs.partition(".")[2]
    selector = f"--selector=gateway.dask.org/cluster={name},app.kubernetes.io/component=dask-worker"
    site.kubectl("wait", "--for=create", "--timeout=30s", "pod", selector)
    site.wants(ours, 3)
    assert workers(site, ours) == []
    assert 1 <= len(workers(site, theirs)) <= 2
