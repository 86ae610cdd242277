"""scale() and adapt() are followed by the queue, the scheduler and the status, and harm no one's work."""

from playground.site.site import Site
from tests.e2e.look import clean, eventually, settled, status, worker_pods, workers
from tests.e2e.notebook import Door, Notebook


def test_up_and_down_by_both_doors(site: Site, door: Door) -> None:
    """4, 8, 2 and 0 workers; never a Kubernetes worker pod."""
    notebook = Notebook(site, door)
    cluster = notebook.new_cluster()
    for count in (4, 8, 2, 0):
        notebook.scale(cluster, count)
        settled(site, cluster, count)
        assert worker_pods(site, cluster) == []
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_the_last_of_two_numbers_counts_however_soon_one_follows_the_other(
    site: Site, notebook: Notebook
) -> None:
    """The scheduler does not say a number that it is told while its heartbeat with another is on its way."""
    cluster = notebook.new_cluster()
    for last in (0, 1, 0):
        notebook.run(
            f"cluster = gateway.connect(cluster); cluster.scale(3); cluster.scale({last}); result = None",
            cluster=cluster,
        )
        settled(site, cluster, last)
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_scale_down_keeps_busy_workers_and_scattered_data(site: Site, notebook: Notebook) -> None:
    """Two long tasks and forty scattered values survive scale(6) to scale(2); no task starts twice."""
    cluster = notebook.new_cluster()
    report = notebook.run(
        """
        import uuid
        from distributed import get_worker, wait
        cluster = gateway.connect(cluster)
        client = cluster.get_client()
        cluster.scale(6)
        client.wait_for_workers(6, timeout=150)
        scattered = client.scatter([{"value": i} for i in range(40)])

        def work(seconds):
            from distributed import get_client
            get_client().log_event("started", get_worker().name)
            time.sleep(seconds)
            return get_worker().name

        busy = [client.submit(work, 15, key=f"busy-{i}", pure=False) for i in range(2)]
        while len(client.get_events("started")) < 2:
            time.sleep(0.1)
        cluster.scale(2)
        deadline = time.monotonic() + 60
        while client.scheduler_info(n_workers=-1)["n_workers"] > 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        result = {
            "ran_on": client.gather(busy),
            "started": [name for _, name in client.get_events("started")],
            "values": [d["value"] for d in client.gather(scattered)],
            "left": [w["name"] for w in client.scheduler_info(n_workers=-1)["workers"].values()],
        }
        """,
        cluster=cluster,
        timeout=300,
    )
    assert sorted(report["ran_on"]) == sorted(report["started"]), (
        "a busy worker was closed: its task ran twice"
    )
    assert report["values"] == list(range(40))
    assert len(report["left"]) == 2
    settled(site, cluster, 2)
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_adapt_follows_the_load_and_goes_back_to_none(site: Site, notebook: Notebook) -> None:
    """adapt(0, 6): none at rest, several under load, every task done, none again."""
    cluster = notebook.new_cluster()
    seen = notebook.run(
        """
        cluster = gateway.connect(cluster)
        client = cluster.get_client()
        cluster.adapt(minimum=0, maximum=6)

        def slow(x):
            time.sleep(1.0)
            return x + 1

        futures = client.map(slow, range(60), pure=False)
        total, most = 0, 0
        while any(not f.done() for f in futures):
            most = max(most, client.scheduler_info(n_workers=-1)["n_workers"])
            time.sleep(0.5)
        result = {"total": sum(client.gather(futures)), "most": most}
        """,
        cluster=cluster,
        timeout=300,
    )
    assert seen["total"] == sum(range(1, 61))
    assert 2 <= seen["most"] <= 6
    eventually(lambda: len(workers(site, cluster)), 60, "no worker left after the load", lambda n: n == 0)
    eventually(lambda: status(site, cluster).get("connected", 0), 30, "status says none", lambda n: n == 0)
    assert worker_pods(site, cluster) == []
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_short_bursts_of_work_are_no_failures(site: Site, notebook: Notebook) -> None:
    """A task, the worker is let go within its first minute, the next task: three times, by adapt()."""
    cluster = notebook.new_cluster()
    done = notebook.run(
        """
        import operator
        cluster = gateway.connect(cluster)
        client = cluster.get_client()
        cluster.adapt(minimum=0, maximum=2)
        result = []
        for each in range(3):
            result.append(client.submit(operator.add, each, 1, pure=False).result(timeout=90))
            deadline = time.monotonic() + 60
            while client.scheduler_info(n_workers=-1)["n_workers"] and time.monotonic() < deadline:
                time.sleep(0.05)
        """,
        cluster=cluster,
        timeout=400,
    )
    assert done == [1, 2, 3]
    assert status(site, cluster).get("recentFailures", []) == []
    notebook.shutdown(cluster)
    clean(site, cluster)
