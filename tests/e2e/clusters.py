"""Clusters for tests about jobs: made and told without a notebook's Python, so that many are cheap."""

import base64
import json
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any

from htcdask_api import names
from playground.site.site import Site
from tests.e2e import manifest
from tests.e2e.look import bare, eventually, queue

IDLE = {"cores": 1000}
"""A template that no machine here has: its jobs stay idle, and nothing runs."""
SMALL = {"cores": 1, "memory": "256Mi", "disk": "64Mi", "nanny": False}
"""A worker without a nanny, light enough for many on two cores."""
_DASKCLUSTERS = f"{names.DASKCLUSTER_PLURAL}.{names.GATEWAY_GROUP}"
_CREDENTIALS = "by-hand"


def ask(site: Site, method: str, path: str, body: Any = None) -> Any:
    """One request to the gateway, as Alice."""
    password = base64.b64encode(f"alice:{site.password}".encode()).decode()
    headers = {"Authorization": f"Basic {password}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    url = f"{site.gateway_url}/api/v1/{path}"
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 (http, to the playground)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            text = answer.read()
    except urllib.error.HTTPError as refusal:
        refusal.add_note(f"{method} {path}: {refusal.read().decode()}")
        raise
    return json.loads(text) if text else None


def new(site: Site, count: int = 1, **options: Any) -> list[str]:
    """Full names of new clusters of the gateway with HTCondor workers; they start at the same time."""
    chosen = {names.WORKER_BACKEND_OPTION: names.WORKER_BACKEND_HTCONDOR, **options}
    made = [ask(site, "POST", "clusters/", {"cluster_options": chosen})["name"] for _ in range(count)]
    # The gateway's own word: it may be a moment behind, and scales nothing before.
    eventually(
        lambda: {cluster for cluster in made if _status(site, cluster) != "RUNNING"},
        90,
        "the clusters run",
        lambda left: not left,
    )
    return made


def _status(site: Site, cluster: str) -> str:
    """The gateway's word; it knows a cluster only when its watch has shown it."""
    try:
        return str(ask(site, "GET", f"clusters/{cluster}")["status"])
    except urllib.error.HTTPError as refusal:
        if refusal.code != 404:
            raise
        return ""


def scale(site: Site, cluster: str, count: int) -> None:
    """`cluster.scale(count)`."""
    ask(site, "POST", f"clusters/{cluster}/scale", {"count": count})


def stop(site: Site, *clusters: str) -> None:
    """`cluster.shutdown()`."""
    for cluster in clusters:
        ask(site, "DELETE", f"clusters/{cluster}")


@dataclass(frozen=True)
class Handmade:
    """A cluster without a gateway, and its default pool."""

    name: str
    pool: str  # its uid


def by_hand(site: Site, wanted: int, namespace: str = "gateway") -> Handmade:
    """A DaskCluster that runs and wants workers, as far as anybody can see, and its pool of idle jobs."""
    name = uuid.uuid4().hex
    make(site, name, namespace)
    uid = add_pool(site, name, IDLE, namespace)
    want(site, name, wanted, namespace)
    return Handmade(name, uid)


def make(site: Site, name: str, namespace: str = "gateway") -> None:
    """The DaskCluster alone: it has no scheduler, and wants no workers yet."""
    where = {"namespace": namespace}
    keys = dict.fromkeys(("dask.crt", "dask.pem", "api-token"), "not a secret")
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _CREDENTIALS, **where}}
    spec = {
        "username": "alice",
        "active": True,
        "options": {names.WORKER_BACKEND_OPTION: names.WORKER_BACKEND_HTCONDOR},
    }
    cluster = {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        # Without the label of the gateway's instance: its controller leaves it alone.
        "metadata": {"name": name, **where},
        "spec": spec,
    }
    documents = [{**secret, "stringData": keys}, cluster]
    site.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, documents)))
    status = {"status": {"phase": "Running", "credentials": _CREDENTIALS}}
    patch(site, name, status, "--subresource=status", namespace=namespace)


def patch(
    site: Site, cluster: str, change: dict[str, Any], *options: str, namespace: str = "gateway"
) -> None:
    """Change the DaskCluster itself."""
    what = ("patch", _DASKCLUSTERS, bare(cluster), "--type=merge", f"--patch={json.dumps(change)}")
    site.kubectl("-n", namespace, *what, *options)


def want(site: Site, cluster: str, count: int, namespace: str = "gateway") -> None:
    """What the scheduler of a cluster that has one would ask for."""
    patch(site, cluster, {"spec": {names.WANTED_FIELD: count}}, namespace=namespace)


def delete(site: Site, cluster: str, namespace: str = "gateway") -> None:
    """Take the DaskCluster itself away."""
    site.kubectl("-n", namespace, "delete", _DASKCLUSTERS, bare(cluster), "--wait=false")


def delete_all(site: Site) -> None:
    """Take every cluster and every pool away, and wait until the queue is empty."""
    kinds = f"{_DASKCLUSTERS},{names.PLURAL}"
    site.kubectl("delete", kinds, "--all", "--all-namespaces", "--wait=false")
    eventually(lambda: queue(site), 180, "no job of ours in the queue", lambda jobs: not jobs)


def get(site: Site, cluster: str) -> dict[str, Any]:
    """The DaskCluster itself."""
    return dict(json.loads(site.kubectl("-n", "gateway", "get", _DASKCLUSTERS, bare(cluster), "-o", "json")))


def phase(site: Site, cluster: str) -> str:
    """The DaskCluster's phase."""
    return str(get(site, cluster).get("status", {}).get("phase", ""))


def add_pool(site: Site, cluster: str, template: dict[str, Any], namespace: str = "gateway") -> str:
    """Give the cluster its default pool; the pool's uid."""
    name = names.pool_name("default", bare(cluster))
    text = manifest.pool_in(namespace, name, bare(cluster), **template)
    made = site.kubectl("apply", "-f", "-", "-o", "jsonpath={.metadata.uid}", input=text)
    return made.strip()
