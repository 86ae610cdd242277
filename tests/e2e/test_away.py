"""HTCondor or the operator is away for long: nothing is forgotten or freezes, and the status says so."""

import time

from htcdask_api import names
from playground.site import wait
from playground.site.site import Site
from tests.e2e import clusters, faults
from tests.e2e.clusters import SMALL
from tests.e2e.look import condition, eventually, queue, settled, status, workers


def test_htcondor_stopped_for_a_minute_while_workers_come_and_a_pool_goes(site: Site) -> None:
    """The status says so meanwhile; then what was asked for before and during the outage is there."""
    [computing] = clusters.new(site)
    clusters.add_pool(site, computing, SMALL)
    clusters.scale(site, computing, 1)
    waiting, doomed = clusters.by_hand(site, 3), clusters.by_hand(site, 2)
    settled(site, computing, 1)
    idle(site, waiting.name, 3)
    idle(site, doomed.name, 2)

    clusters.scale(site, computing, 3)
    with faults.condor_down(site):
        began = time.monotonic()
        clusters.want(site, waiting.name, 5)
        delete_pool(site, doomed.name)
        for cluster in (computing, waiting.name, doomed.name):
            said = unreachable(site, cluster)
            assert "collector" in said or "schedd" in said
        blocked(site, doomed.name)
        shown = eventually(
            lambda: status(site, waiting.name), 30, "5 are wanted", lambda s: s["desiredReplicas"] == 5
        )
        assert shown["replicas"] == 3, "what was there is not forgotten"
        time.sleep(max(0.0, began + 60 - time.monotonic()))

    eventually(lambda: not exists(site, doomed.name), 30, "the deleted pool has gone")
    assert queue(site, doomed.name) == []
    idle(site, waiting.name, 5)
    settled(site, computing, 3)
    eventually(
        lambda: condition(site, computing, "CondorReachable")["status"], 30, "it says so", "True".__eq__
    )
    clusters.stop(site, computing)
    end(site, waiting.name, doomed.name)


def test_a_schedd_that_takes_connections_and_never_answers(site: Site) -> None:
    """Each pool says why, the probes stay well, Kubernetes is listened to, and a pool can be released."""
    changed, stopped, doomed, quiet = (clusters.by_hand(site, 2) for _ in range(4))
    everyone = [cluster.name for cluster in (changed, stopped, doomed, quiet)]
    for cluster in everyone:
        idle(site, cluster, 2)
    before = ids(site, quiet.name)
    operator = faults.operator_starts(site)

    with faults.schedd_frozen(site):
        clusters.want(site, changed.name, 4)
        clusters.patch(site, stopped.name, {"spec": {"active": False}})
        delete_pool(site, doomed.name)
        waiting = set(everyone)

        def silent() -> set[str]:
            assert healthy(site, operator)
            return {cluster for cluster in waiting if reachable(site, cluster) != "False"}

        eventually(silent, 75, "each pool says that HTCondor does not answer", lambda left: not left)
        assert condition(site, quiet.name, "CondorReachable")["message"]
        eventually(
            lambda: status(site, changed.name)["desiredReplicas"], 10, "4 are wanted", lambda n: n == 4
        )
        eventually(
            lambda: condition(site, stopped.name, "ClusterActive")["status"],
            10,
            "it has ended",
            "False".__eq__,
        )
        blocked(site, doomed.name)
        site.kubectl(
            "-n",
            "gateway",
            "annotate",
            names.PLURAL,
            pool_name(doomed.name),
            f"{names.RELEASE_ANNOTATION}=true",
        )
        eventually(lambda: not exists(site, doomed.name), 30, "the released pool has gone")
        assert healthy(site, operator)

    for cluster in (stopped.name, doomed.name):
        eventually(lambda name=cluster: queue(site, name), 30, "no job is left", lambda jobs: not jobs)  # type: ignore[misc]
    idle(site, changed.name, 4)
    assert ids(site, quiet.name) == before
    assert faults.operator_starts(site) == operator, "it was never started anew"
    end(site, *everyone)


def test_an_operator_that_never_comes_back_leaves_no_idle_and_no_held_job(site: Site) -> None:
    """They end with their lease; and if it does come back, the pool gets what it wants."""
    with site.changed_chart("settings.jobExpirySeconds=60"):
        wait.deployments(site.node, "--namespace=htcdask")
        left = clusters.by_hand(site, 3)
        idle(site, left.name, 3)
        job = workers(site, left.name)[0]
        site.condor("condor_hold", f"{job['ClusterId']}.{job['ProcId']}")
        with faults.operator_down(site):
            eventually(lambda: queue(site, left.name), 75, "the lease is over", lambda jobs: not jobs)
        idle(site, left.name, 3)
    end(site, left.name)


def idle(site: Site, cluster: str, count: int) -> None:
    """Wait for so many idle workers, and for the status to say so."""
    eventually(lambda: len(workers(site, cluster)), 60, f"{count} jobs", lambda n: n == count)
    eventually(lambda: status(site, cluster).get("idle"), 30, f"{count} idle", lambda n: n == count)


def ids(site: Site, cluster: str) -> set[int]:
    """Which jobs a cluster has, the anchor too."""
    return {job["ClusterId"] for job in queue(site, cluster)}


def reachable(site: Site, cluster: str) -> str:
    """The condition CondorReachable."""
    return str(condition(site, cluster, "CondorReachable").get("status"))


def unreachable(site: Site, cluster: str) -> str:
    """What the pool says of HTCondor, once it does not answer."""
    eventually(lambda: reachable(site, cluster), 45, "HTCondor does not answer", "False".__eq__)
    return str(condition(site, cluster, "CondorReachable")["message"])


def blocked(site: Site, cluster: str) -> None:
    """The deleted pool says that it waits for HTCondor, and how it can be released."""
    said = eventually(
        lambda: condition(site, cluster, "Ready"),
        45,
        "CleanupBlocked",
        lambda ready: ready["reason"] == "CleanupBlocked",
    )
    assert names.RELEASE_ANNOTATION in said["message"]


def healthy(site: Site, operator: str) -> bool:
    """`/healthz`; any other answer than 200 is kubectl's failure."""
    path = f"/api/v1/namespaces/htcdask/pods/{operator}:8080/proxy/healthz"
    return site.kubectl("get", "--raw", path) == "ok\n"


def pool_name(cluster: str) -> str:
    """The name of the cluster's default pool."""
    return names.pool_name("default", cluster)


def delete_pool(site: Site, cluster: str) -> None:
    """`kubectl delete`, without waiting for the end."""
    site.kubectl("-n", "gateway", "delete", names.PLURAL, pool_name(cluster), "--wait=false")


def exists(site: Site, cluster: str) -> bool:
    """Whether the cluster's default pool is there."""
    return pool_name(cluster) in site.kubectl("-n", "gateway", "get", names.PLURAL, "-o", "name")


def end(site: Site, *handmade: str) -> None:
    """Take clusters away that were made by hand."""
    for cluster in handmade:
        clusters.delete(site, cluster)
