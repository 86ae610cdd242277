"""An ordinary cluster with Kubernetes workers lives beside ours, and the site's own options keep working."""

import json

from playground.site.site import Site
from tests.e2e.look import bare, clean, queue, settled, worker_pods
from tests.e2e.notebook import Notebook

ORDINARY = """
from dask_gateway import Gateway
plain = Gateway(address=gateway.address, auth=gateway.auth)
options = plain.cluster_options()
options.worker_backend = "kubernetes"
"""


def test_kubernetes_workers_before_during_and_after(site: Site, notebook: Notebook) -> None:
    """A plain Gateway's worker is a pod, its cluster has no job, and both kinds compute at once."""
    ordinary = notebook.run(
        ORDINARY
        + """
cluster = plain.new_cluster(options, shutdown_on_close=False)
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=120)
assert client.submit(sum, [1, 2]).result(timeout=60) == 3
result = cluster.name
"""
    )
    assert len(worker_pods(site, ordinary)) == 1
    ours = notebook.new_cluster()
    notebook.scale(ours, 1)
    settled(site, ours, 1)
    ask = """
    client = gateway.connect(cluster).get_client()
    client.wait_for_workers(1, timeout=60)
    result = client.submit(sum, [1, 2]).result(timeout=60)
    """
    assert notebook.run(ask, cluster=ordinary) == notebook.run(ask, cluster=ours) == 3
    assert queue(site, ordinary) == []
    notebook.shutdown(ours)
    clean(site, ours)
    assert notebook.run(ask, cluster=ordinary) == 3
    notebook.shutdown(ordinary)


def test_the_sites_image_customization_keeps_working(site: Site, notebook: Notebook) -> None:
    """The README's `image` option reaches the scheduler pod of a cluster of ours."""
    options = notebook.run("result = list(gateway.cluster_options())")
    assert "image" in options
    assert "worker_backend" in options
    cluster = notebook.new_cluster(image="htcdask/dask:dev")
    pods = json.loads(
        site.kubectl(
            "-n", "gateway", "get", "pods", "-l", f"gateway.dask.org/cluster={bare(cluster)}", "-o", "json"
        )
    )["items"]
    assert [c["image"] for p in pods for c in p["spec"]["containers"]] == ["htcdask/dask:dev"]
    notebook.shutdown(cluster)
