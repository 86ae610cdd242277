"""Workers that restart, die or are vacated."""

from dask_gateway_server.tls import new_keypair

from htcdask_api import names
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.actions import Bundle
from playground.site.site import Site
from tests.e2e.look import bare, clean, condition, eventually, settled, status, workers
from tests.e2e.notebook import Notebook


def test_restart_and_a_worker_over_its_memory(site: Site, notebook: Notebook) -> None:
    """client.restart() works through the proxy; a nanny restarts a worker over its memory; jobs live on."""
    cluster = notebook.new_cluster(worker_memory=0.7)
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    before = {(job["ClusterId"], job["ProcId"]) for job in workers(site, cluster)}
    report = notebook.run(
        """
        from distributed import KilledWorker
        client = gateway.connect(cluster).get_client()
        client.wait_for_workers(2, timeout=120)
        pids = set(client.run(lambda: __import__("os").getpid()).values())
        client.restart(timeout=60)
        client.wait_for_workers(2, timeout=60)
        again = set(client.run(lambda: __import__("os").getpid()).values())

        def eat():
            kept = []
            while True:
                kept.append(b"x" * 20_000_000)
                time.sleep(0.05)

        dask.config.set({"distributed.scheduler.allowed-failures": 0})
        killed = False
        try:
            client.submit(eat, retries=0).result(timeout=120)
        except KilledWorker:
            killed = True
        client.wait_for_workers(2, timeout=60)
        result = {"restarted": not pids & again, "killed": killed,
                  "works": client.submit(sum, [1, 2]).result(timeout=30)}
        """,
        cluster=cluster,
        timeout=300,
    )
    assert report == {"restarted": True, "killed": True, "works": 3}
    assert {(job["ClusterId"], job["ProcId"]) for job in workers(site, cluster)} == before, (
        "the jobs lived on"
    )
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_a_vacated_worker_is_replaced_under_a_new_name(site: Site, notebook: Notebook) -> None:
    """HTCondor does not restart it behind our back; a new job with a new name takes its place."""
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    first = {job[names.AD_WORKER]: job for job in workers(site, cluster)}
    victim, job = next(iter(first.items()))
    site.condor("condor_vacate_job", f"{job['ClusterId']}.{job['ProcId']}")
    eventually(
        lambda: {job[names.AD_WORKER] for job in workers(site, cluster)},
        60,
        "two workers, the vacated one not among them",
        lambda found: len(found) == 2 and victim not in found,
    )
    settled(site, cluster, 2)
    known = notebook.run(
        """
        client = gateway.connect(cluster).get_client()
        result = [w["name"] for w in client.scheduler_info(n_workers=-1)["workers"].values()]
        """,
        cluster=cluster,
    )
    assert victim not in known
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_why_a_worker_failed_is_told_where_people_read(site: Site, notebook: Notebook) -> None:
    """The line of its log that is the cause, in the Event, the status and `explain()`."""
    cluster = notebook.new_cluster(environment={"DASK_DISTRIBUTED__WORKER__PRELOAD": "no_such_module"})
    notebook.scale(cluster, 1)
    cause = "It said: ModuleNotFoundError: No module named 'no_such_module'"
    its = f"--field-selector=involvedObject.name=default-{bare(cluster)}"
    told = ("-n", "gateway", "get", "events", its, "-o", "jsonpath={.items[*].message}")
    eventually(lambda: site.kubectl(*told), 120, "an Event with the cause", lambda text: cause in text)
    failure = eventually(
        lambda: status(site, cluster)["recentFailures"][0], 60, "its last lines", lambda its: "logTail" in its
    )
    assert cause in failure["message"] and failure["reason"] == "WorkerFailed"
    assert "ModuleNotFoundError" in failure["logTail"] and " - INFO - " not in failure["logTail"]
    explained = notebook.run("result = str(gateway.connect(cluster).explain())", cluster=cluster)
    assert cause in explained
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_a_cluster_that_the_proxy_does_not_know_is_told(site: Site, notebook: Notebook) -> None:
    """By the worker's bundle, where the proxy is reached: Traefik answers with a certificate of its own."""
    certificate, key = (part.decode() for part in new_keypair("gone"))
    bundle = Bundle(
        scheduler="tls://traefik-dask-gateway.gateway.svc.cluster.local:80",
        sni=names.scheduler_sni("gateway", "gone"),
        threads=1,
        memory_limit=2**30,
        nanny=True,
        death_timeout=3,
        lifetime=None,
        worker_ports=None,
        nanny_ports=None,
        retire_seconds=15,
        close_seconds=2.5,
        environment=(),
        resources=(),
    )
    said = notebook.run(
        """
        import subprocess
        ran = subprocess.run(["bash", "-s", "w1"], input=bundle, capture_output=True, text=True)
        result = [ran.returncode, ran.stdout + ran.stderr]
        """,
        bundle=render(bundle, certificate, key).decode(),
    )
    assert said[0] == 1
    assert "cannot reach the scheduler at traefik-dask-gateway.gateway.svc.cluster.local:80: " in said[1]
    assert (
        "shows another certificate than this cluster's (self-signed certificate): its proxy has no route"
        in said[1]
    )


def test_a_scheduler_that_has_no_pages_gets_its_workers(site: Site, notebook: Notebook) -> None:
    """As an image's `distributed.scheduler.http.routes` can make it: then the queue's word has to do."""
    cluster = notebook.new_cluster()
    wiped = notebook.run(
        """
        def wipe(dask_scheduler):
            app = dask_scheduler.http_application
            for router in (app.default_router, app.wildcard_router):
                router.rules.clear()
                router.named_rules.clear()

        client = gateway.connect(cluster).get_client()
        client.run_on_scheduler(wipe)
        left = lambda dask_scheduler: len(dask_scheduler.http_application.wildcard_router.rules)
        result = client.run_on_scheduler(left)
        """,
        cluster=cluster,
    )
    assert wiped == 0
    notebook.scale(cluster, 1)
    works = notebook.run(
        """
        client = gateway.connect(cluster).get_client()
        client.wait_for_workers(1, timeout=90)
        result = client.submit(sum, [1, 2]).result(timeout=30)
        """,
        cluster=cluster,
    )
    assert works == 3
    ready = eventually(
        lambda: condition(site, cluster, "Ready"), 60, "ready", lambda found: found["status"] == "True"
    )
    assert ready["reason"] == "WorkersRunning"
    notebook.shutdown(cluster)
    clean(site, cluster)
