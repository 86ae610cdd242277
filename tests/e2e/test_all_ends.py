"""Every road to the end, on a good day, without the operator and without HTCondor: no job of ours is left.

One fault serves all roads. Where nothing has to run, the DaskCluster is made by hand and its jobs are idle.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from htcdask_api import names
from playground.site import wait
from playground.site.site import CHART, VALUES, Site
from tests.e2e import clusters, faults
from tests.e2e.clusters import SMALL
from tests.e2e.faults import Fault
from tests.e2e.look import eventually, pool, queue
from tests.e2e.notebook import Notebook

BUSY_NOTEBOOK = """
cluster = gateway.new_cluster(container_image=IMAGE, idle_timeout=20)
cluster.scale(1)
client = cluster.get_client()
working = client.submit(time.sleep, 3600)
result = cluster.name
"""


@dataclass(frozen=True)
class Road:
    """One pool with jobs, and how its end comes."""

    pool: str  # its uid
    end: Callable[[], object]
    over: Callable[[], object] = lambda: True  # whether Kubernetes shows the end, where it comes later
    runs: bool = False  # a worker is there, not only idle jobs


@pytest.mark.parametrize(
    "fault", [faults.nothing, faults.operator_down, faults.condor_down], ids=lambda fault: str(fault.__name__)
)
def test_no_job_is_left_at_the_end_of_any_road(site: Site, notebook: Notebook, fault: Fault) -> None:
    """Within 30 s of the moment when HTCondor and the operator are both there."""
    with another_namespace(site, f"roads-{uuid.uuid4().hex[:8]}") as elsewhere:
        roads = {**through_the_gateway(site, notebook), **by_hand(site, elsewhere)}
        eventually(
            lambda: {name: jobs(site, road) for name, road in roads.items() if not has_jobs(site, road)},
            180,
            "every pool has an anchor, and a worker that runs or two that cannot",
            lambda without: not without,
        )
        with fault(site):
            for road in roads.values():
                road.end()
            for name, road in roads.items():
                eventually(road.over, 60, f"{name} has come to its end")
        eventually(
            lambda: {name for name, road in roads.items() if jobs(site, road)},
            30,
            "no job left of any road",
            lambda left: not left,
        )
        namespace = ("get", "namespace", elsewhere, "--ignore-not-found", "-o", "name")
        eventually(lambda: site.kubectl(*namespace), 30, "the namespace has gone", lambda shown: not shown)


def jobs(site: Site, road: Road) -> list[int]:
    """The states of the jobs of a road's pool, the anchor's too."""
    return [job["JobStatus"] for job in queue(site) if job[names.AD_POOL_UID] == road.pool]


def has_jobs(site: Site, road: Road) -> bool:
    """Whether there is something to clean up: an anchor, and a worker that runs or two that cannot."""
    return sorted(jobs(site, road)) == ([2, 5] if road.runs else [1, 1, 5])


def through_the_gateway(site: Site, notebook: Notebook) -> dict[str, Road]:
    """The roads that the gateway, its controller or a scheduler takes part in."""
    abandoned, process = notebook.leave_running(BUSY_NOTEBOOK)
    stopped, failed = clusters.new(site, 2)
    pools = [clusters.add_pool(site, cluster, SMALL) for cluster in (stopped, failed)]
    for cluster in (stopped, failed):
        clusters.scale(site, cluster, 1)
    return {
        "shutdown()": Road(pools[0], lambda: notebook.shutdown(stopped), runs=True),
        "the idle timeout after a notebook was killed": Road(
            pool(site, abandoned)["metadata"]["uid"],
            lambda: notebook.kill(process),
            lambda: clusters.get(site, abandoned)["spec"].get("active") is False,
            runs=True,
        ),
        "its scheduler's pod failed": Road(
            pools[1],
            lambda: faults.kill(site, faults.scheduler_pod(site, failed)),
            lambda: clusters.get(site, failed)["status"]["phase"] == "Failed",
            runs=True,
        ),
    }


def by_hand(site: Site, elsewhere: str) -> dict[str, Road]:
    """The roads that need no scheduler: of each, a cluster with two idle jobs."""

    def remake(cluster: str) -> None:
        clusters.delete(site, cluster)
        clusters.make(site, cluster)

    def delete_pool(cluster: str) -> None:
        site.kubectl("-n", "gateway", "delete", names.PLURAL, default(cluster), "--wait=false")

    def strip(cluster: str) -> None:
        delete_pool(cluster)
        none = ("--type=merge", '--patch={"metadata": {"finalizers": null}}')
        # On a good day the operator may have been faster.
        site.kubectl("-n", "gateway", "patch", names.PLURAL, default(cluster), *none, check=False)

    ends: dict[str, Callable[[str], object]] = {
        "the cluster was stopped": lambda cluster: clusters.patch(site, cluster, {"spec": {"active": False}}),
        "the cluster was deleted": lambda cluster: clusters.delete(site, cluster),
        "the cluster was deleted and made again": remake,
        "the pool was deleted": delete_pool,
        "the pool was deleted and its finalizer taken away": strip,
    }
    roads = {name: by_hand_in(site, "gateway", end) for name, end in ends.items()}
    delete_namespace = ("delete", "namespace", elsewhere, "--wait=false")
    roads["the namespace was deleted"] = by_hand_in(
        site, elsewhere, lambda _: site.kubectl(*delete_namespace)
    )
    return roads


def by_hand_in(site: Site, namespace: str, end: Callable[[str], object]) -> Road:
    """A cluster with two idle jobs in this namespace, on its road to this end."""
    made = clusters.by_hand(site, 2, namespace)
    return Road(made.pool, lambda: end(made.name))


def default(cluster: str) -> str:
    """The name of the cluster's default pool."""
    return names.pool_name("default", cluster)


@contextmanager
def another_namespace(site: Site, name: str) -> Iterator[str]:
    """A second release of the chart, for clusters in a namespace that may be deleted."""
    site.kubectl("create", "namespace", name)
    settings = {
        "gateway.namespace": name,
        "gateway.serviceAccountName": "",
        "crds.install": "false",
        "admissionPolicy.enabled": "false",
    }
    changes = [f"--set={key}={value}" for key, value in settings.items()]
    site.node.helm("install", name, str(CHART), "--namespace=htcdask", f"--values={VALUES}", *changes)
    try:
        wait.deployments(site.node, "--namespace=htcdask")
        yield name
    finally:
        site.node.helm("uninstall", name, "--namespace=htcdask", "--no-hooks")
