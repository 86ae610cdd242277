"""The gateway and its proxy are restarted under load, and a scheduler dies."""

import time
from concurrent.futures import ThreadPoolExecutor

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
AWAY = """
def connected():
    for _ in range(60):
        try:
            return gateway.connect(cluster)
        except Exception:
            time.sleep(0.5)

cluster = connected()
said, lines = set(), []
began = came_back = time.time()
# Until it has been away, and has been back for three seconds; its new pod may come before the old one goes.
while time.time() - began < 40 and (not said or time.time() - came_back < 3):
    try:
        lines.append(str(cluster.explain()).splitlines()[1])
    except Exception as error:
        said.add(type(error).__name__)
        came_back = time.time()
    time.sleep(0.05)
result = sorted(said), sorted({line for line in lines if "ended" in line}), cluster.status
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


def test_while_the_gateway_is_away_nobody_says_that_a_cluster_has_ended(
    site: Site, notebook: Notebook
) -> None:
    """Its proxy answers in its place, with a 404 of its own for a moment."""
    [cluster] = clusters.new(site)
    with ThreadPoolExecutor(1) as thread:
        told = thread.submit(notebook.run, AWAY, cluster=cluster)
        while not told.done():
            restart(site, "gateway")
            time.sleep(6)
        said, ended, state = told.result()
    assert said, "it was seen to be away"
    assert set(said) <= {"GatewayAwayError", "ClientResponseError", "ClientConnectorError"}
    assert (ended, state) == ([], "running")
    clusters.stop(site, cluster)
    clean(site, cluster)


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
