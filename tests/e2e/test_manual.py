"""A cap that is lowered, the pool that nobody made, and one that goes. (`steady.py` sizes Manual pools.)"""

import pytest

from htcdask_api import names
from playground.site.site import Site
from tests.e2e import clusters, faults
from tests.e2e.look import bare, clean, condition, eventually, pool, settled, status, workers
from tests.e2e.notebook import IMAGE, Notebook

WORK = """
client = gateway.connect(cluster).get_client()
client.wait_for_workers(3, timeout=90)

def work(seconds):
    from distributed import get_client, get_worker
    get_client().log_event("started", get_worker().name)
    time.sleep(seconds)
    return get_worker().name

kept = client.scatter([{"value": i} for i in range(30)])
busy = [client.submit(work, 20, key=f"busy-{i}", pure=False) for i in range(3)]
client.publish_dataset(busy=busy, kept=kept)
while len(client.get_events("started")) < 3:
    time.sleep(0.1)
"""
COLLECT = """
client = gateway.connect(cluster).get_client()
result = {
    "ran_on": client.gather(client.get_dataset("busy")),
    "started": [name for _, name in client.get_events("started")],
    "values": [each["value"] for each in client.gather(client.get_dataset("kept"))],
}
"""
PLAIN = """
from dask_gateway import Gateway
plain = Gateway(address=gateway.address, auth=gateway.auth)
cluster = plain.new_cluster(worker_backend="htcondor", shutdown_on_close=False)
cluster.scale(1)
client = cluster.get_client()
client.wait_for_workers(1, timeout=90)
assert client.submit(sum, [1, 2]).result(timeout=60) == 3
result = cluster.name
"""


def test_a_cap_that_is_lowered_waits_for_busy_workers(site: Site, notebook: Notebook) -> None:
    """No task starts twice, what was scattered is kept, and in the end only one worker is left."""
    [cluster] = clusters.new(site)
    clusters.add_pool(site, cluster, clusters.SMALL)
    clusters.scale(site, cluster, 3)
    settled(site, cluster, 3)
    notebook.run(WORK, cluster=cluster)
    name = pool(site, cluster)["metadata"]["name"]
    lower = ("--type=merge", '--patch={"spec": {"maxReplicas": 1}}')
    site.kubectl("-n", "gateway", "patch", names.PLURAL, name, *lower)
    settled(site, cluster, 1)
    report = notebook.run(COLLECT, cluster=cluster)
    assert sorted(report["ran_on"]) == sorted(report["started"]), "a busy worker was closed"
    assert report["values"] == list(range(30))
    clusters.stop(site, cluster)
    clean(site, cluster)


def test_a_cap_has_a_deadline_even_against_tasks_without_end(site: Site, notebook: Notebook) -> None:
    """The site says how long surplus workers may go on; then they hand over and go, tasks or not."""
    [cluster] = clusters.new(site)
    clusters.add_pool(site, cluster, clusters.SMALL)
    clusters.scale(site, cluster, 3)
    settled(site, cluster, 3)
    notebook.run(WORK.replace("work, 20,", "work, 3000,"), cluster=cluster)
    name = pool(site, cluster)["metadata"]["name"]
    with site.changed_chart("settings.limits.drainSeconds=15"):
        lower = ("--type=merge", '--patch={"spec": {"maxReplicas": 1}}')
        site.kubectl("-n", "gateway", "patch", names.PLURAL, name, *lower)
        said = eventually(
            lambda: condition(site, cluster, "Ready"),
            60,
            "it says so",
            lambda c: "until" in c.get("message", ""),
        )
        assert said["reason"] == "ScalingDown"
        settled(site, cluster, 1, within=120)
    clusters.stop(site, cluster)
    clean(site, cluster)


def test_a_plain_gateway_client_gets_the_default_pool(site: Site, notebook: Notebook) -> None:
    """`dask_gateway.Gateway` knows nothing of pools; the operator makes one, and its worker computes."""
    cluster = notebook.run(PLAIN)
    assert pool(site, cluster)["spec"]["clusterRef"] == {"name": bare(cluster)}
    assert len(workers(site, cluster)) == 1
    clusters.stop(site, cluster)
    clean(site, cluster)


def test_a_notebook_adds_a_pool_whose_workers_take_its_tasks(site: Site, notebook: Notebook) -> None:
    """By the Dask resource of the pool's name, beside workers of the default pool."""
    report = notebook.run(
        """
        def where():
            from distributed import get_worker
            return get_worker().name

        with gateway.new_cluster(container_image=IMAGE) as cluster:
            big = cluster.add_pool("big", 1)
            cluster.scale(2)
            client = cluster.get_client()
            client.wait_for_workers(2, timeout=90)
            workers = client.scheduler_info()["workers"].values()
            marked = [w["name"] for w in workers if "big" in w["resources"]]
            futures = [client.submit(where, resources=big.resources, pure=False) for _ in range(6)]
            ran_on = set(client.gather(futures))
            big.delete()
            until = time.monotonic() + 60
            while [pool.name for pool in cluster.pools] != ["default"] and time.monotonic() < until:
                time.sleep(0.5)
            result = len(workers), marked, sorted(ran_on), [pool.name for pool in cluster.pools]
        """
    )
    workers, marked, ran_on, left = report
    assert (workers, len(marked), ran_on, left) == (2, 1, marked, ["default"])


@pytest.mark.parametrize(("asked", "left"), [("scale(1)", 1), ("scale(3) again", 3), ("adapt()", 1)])
def test_a_pool_that_is_deleted_takes_its_number_with_it(site: Site, asked: str, left: int) -> None:
    """The scheduler was told of three; the first pool gets what was asked for last, and never more.

    A user may have asked for just that number. What they asked for is written down: the operator is another
    one by then.
    """
    [cluster] = clusters.new(site)
    clusters.add_pool(site, cluster, clusters.SMALL)
    if asked == "adapt()":
        clusters.ask(site, "POST", f"clusters/{cluster}/adapt", {"minimum": 1, "maximum": 1, "active": True})
    else:
        clusters.scale(site, cluster, 1)
    settled(site, cluster, 1)
    pools = f"clusters/{cluster}/htcondor/pools"
    more = {"scaling": "Manual", "replicas": 3, "template": {"containerImage": IMAGE, **clusters.SMALL}}
    clusters.ask(site, "POST", pools, {"name": "more", "spec": more})

    def connected() -> dict[str, int]:
        answer = clusters.ask(site, "GET", pools)["pools"]
        return {its["name"]: its["status"].get("connected", 0) for its in answer}

    eventually(connected, 90, "all three have come", lambda its: its == {"default": 0, "more": 3})
    if asked == "scale(3) again":
        clusters.scale(site, cluster, 3)
    word = clusters.get(site, cluster)["spec"][names.ASKED_FIELD]
    assert word.get("replicas") == (None if asked == "adapt()" else left)
    its_own = {"replicas": 3, "before": 1, "word": word["at"]} if asked == "adapt()" else None
    assert status(site, cluster).get("schedulerTold") == its_own
    faults.kill_operator(site)
    faults.operator_starts(site)
    clusters.ask(site, "DELETE", f"{pools}/more")
    wanted: list[int] = []

    def first() -> bool:
        wanted.append(status(site, cluster)["desiredReplicas"])
        said = clusters.get(site, cluster)["spec"][names.WANTED_FIELD]
        return (said, connected()) == (left, {"default": left})

    eventually(first, 90, "what was asked for, of the first pool")
    assert max(wanted) == left, wanted
    clusters.stop(site, cluster)
    clean(site, cluster)
