"""The gateway and its proxy are restarted under load, and a scheduler dies."""

from playground.site import wait
from playground.site.site import Site
from tests.e2e import clusters, faults
from tests.e2e.look import clean, condition, eventually, settled, status
from tests.e2e.notebook import Notebook

TASKS = 300
SUBMIT = """
client = gateway.connect(cluster).get_client()

def slow(x):
    time.sleep(0.5)
    return x * x

# Published: the scheduler keeps them although this client goes, as a notebook's does when its proxy goes.
client.publish_dataset(squares=client.map(slow, range(tasks), pure=False))
"""
COLLECT = """
client = gateway.connect(cluster).get_client()
result = sum(client.gather(client.get_dataset("squares")))
"""


def test_a_restart_of_the_proxy_and_of_the_gateway_is_one_event(site: Site, notebook: Notebook) -> None:
    """Workers come back, the breaker stays closed, the work is done; a dead scheduler ends its cluster."""
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 3)
    settled(site, cluster, 3)
    notebook.run(SUBMIT, cluster=cluster, tasks=TASKS)

    restart(site, "traefik")
    back(site, cluster, 3)
    restart(site, "gateway", "controller")
    back(site, cluster, 3)
    assert notebook.run(COLLECT, cluster=cluster) == sum(x * x for x in range(TASKS))
    back(site, cluster, 3)
    assert len(status(site, cluster).get("recentFailures", [])) <= 1, "a common cause is one event"

    faults.kill(site, faults.scheduler_pod(site, cluster))
    eventually(lambda: clusters.phase(site, cluster), 30, "the cluster has failed", "Failed".__eq__)
    clean(site, cluster)
    said = eventually(
        lambda: condition(site, cluster, "ClusterActive"),
        30,
        "it has ended",
        lambda c: c["status"] == "False",
    )
    assert "Failed" in said["message"]
    assert not stalled(site, cluster)


def restart(site: Site, *components: str) -> None:
    """Delete the pods of these parts of the gateway and wait for others."""
    which = f"app.kubernetes.io/name=dask-gateway,app.kubernetes.io/component in ({','.join(components)})"
    site.kubectl("-n", "gateway", "delete", "pods", "-l", which)
    wait.deployments(site.node, "--namespace=gateway")


def back(site: Site, cluster: str, count: int) -> None:
    """Wait until so many workers are connected; nobody is asked for help meanwhile."""

    def connected() -> int:
        assert not stalled(site, cluster)
        return int(status(site, cluster)["connected"])

    eventually(connected, 120, f"{count} workers are connected again", lambda n: n == count)


def stalled(site: Site, cluster: str) -> bool:
    """Whether the pool asks for somebody's help."""
    return bool(condition(site, cluster, "Stalled")["status"] == "True")
