"""Workers that restart, die or are vacated."""

from htcdask_api import names
from playground.site.site import Site
from tests.e2e.look import clean, eventually, settled, workers
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
