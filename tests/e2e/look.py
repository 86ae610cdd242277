"""What an admin sees of a site: the queue, the pools, the pods. And waiting for it to become so."""

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from htcdask_api import names
from playground.site.site import Site

T = TypeVar("T")
ATTRIBUTES = (
    "ClusterId,ProcId,JobStatus,Owner,NumShadowStarts,RemoteHost,HoldReasonCode,HoldReason,"
    f"{names.AD_ROLE},{names.AD_WORKER},{names.AD_POOL},{names.AD_POOL_UID},{names.AD_LEASE},{names.AD_SUCCEEDS}"
)
LIVE = {1, 2, 5, 6, 7}  # idle, running, held, transferring output, suspended


def eventually(ask: Callable[[], T], within: float, what: str, good: Callable[[T], bool] = bool) -> T:
    """The first good answer of `ask`; fails with the last one after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = ask()
        if good(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(0.3)


def queue(site: Site, cluster: str | None = None) -> list[dict[str, Any]]:
    """The jobs of ours in the schedd's queue, of one Dask cluster (bare or full name) or of all."""
    text = site.condor("condor_q", "-allusers", "-json", "-attributes", ATTRIBUTES)
    jobs = [job for job in (json.loads(text) if text.strip() else []) if names.AD_POOL_UID in job]
    return [job for job in jobs if cluster is None or bare(cluster) in job[names.AD_POOL]]


def workers(site: Site, cluster: str) -> list[dict[str, Any]]:
    """The live worker jobs of a cluster, without the pool's anchor."""
    return [
        job
        for job in queue(site, cluster)
        if job[names.AD_ROLE] == names.ROLE_WORKER and job["JobStatus"] in LIVE
    ]


def bare(cluster: str) -> str:
    """The DaskCluster's name: the gateway puts the namespace before it."""
    return cluster.rpartition(".")[2]


def pool(site: Site, cluster: str) -> dict[str, Any]:
    """The cluster's default HTCWorkerPool, as kubectl shows it."""
    name = names.pool_name("default", bare(cluster))
    return dict(json.loads(site.kubectl("-n", "gateway", "get", names.PLURAL, name, "-o", "json")))


def status(site: Site, cluster: str) -> dict[str, Any]:
    """The pool's status; empty before the operator's first word."""
    return dict(pool(site, cluster).get("status", {}))


def condition(site: Site, cluster: str, kind: str) -> dict[str, Any]:
    """One condition of the pool; empty when it is not there."""
    found = [c for c in status(site, cluster).get("conditions", []) if c["type"] == kind]
    return found[0] if found else {}


def worker_pods(site: Site, cluster: str) -> list[str]:
    """Names of Kubernetes worker pods of a cluster."""
    text = site.kubectl(
        "-n",
        "gateway",
        "get",
        "pods",
        "-l",
        f"gateway.dask.org/cluster={bare(cluster)},app.kubernetes.io/component=dask-worker",
        "-o",
        "name",
    )
    return text.split()


def settled(site: Site, cluster: str, count: int, within: float = 60) -> None:
    """Wait until queue, scheduler and status all say `count`."""
    eventually(
        lambda: len(workers(site, cluster)), within, f"{count} worker jobs in the queue", lambda n: n == count
    )
    eventually(
        lambda: status(site, cluster),
        within,
        f"status says {count} desired and connected",
        lambda s: (s.get("desiredReplicas", 0), s.get("replicas", 0), s.get("connected", 0)) == (count,) * 3,
    )


def clean(site: Site, cluster: str, within: float = 30) -> None:
    """Wait until the schedd holds nothing of this cluster."""
    eventually(lambda: queue(site, cluster), within, "no job of ours in the queue", lambda jobs: not jobs)
