"""A worker reaches the end of its time: gateway, operator, HTCondor and Dask together."""

from __future__ import annotations

from htcdask_api import names
from playground.site.site import Site
from tests.e2e.look import clean, settled, status, workers
from tests.e2e.notebook import Notebook


def test_a_worker_whose_time_is_over_hands_its_data_over_and_its_successor_is_there(
    site: Site, notebook: Notebook
) -> None:
    """Never nobody, never one too many, nothing lost, and no failure."""
    cluster = notebook.new_cluster(max_runtime=300)
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    seen = notebook.run(
        """
        client = gateway.connect(cluster).get_client()
        client.wait_for_workers(2, timeout=60)

        def connected():
            return {str(worker["name"]): address
                    for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()}

        first = connected()
        kept = [client.scatter(name, workers=[address], hash=False) for name, address in first.items()]
        counts = set()
        ends = time.time() + 330
        while time.time() < ends:
            now = connected()
            counts.add(len(now))
            if now.keys() - first.keys():
                break
            time.sleep(0.5)
        result = {"first": sorted(first), "now": sorted(now), "counts": sorted(counts),
                  "kept": sorted(client.gather(kept))}
        """,
        cluster=cluster,
        timeout=400,
    )
    assert len(seen["first"]) == len(seen["now"]) == 2
    (retired,) = set(seen["first"]) - set(seen["now"])
    (successor,) = set(seen["now"]) - set(seen["first"])
    by_name = {job[names.AD_WORKER]: job for job in workers(site, cluster)}
    assert by_name[successor][names.AD_SUCCEEDS] == retired
    assert set(seen["counts"]) <= {1, 2}
    assert seen["kept"] == seen["first"], "each one's data"
    assert status(site, cluster)["failed"] == 0
    notebook.shutdown(cluster)
    clean(site, cluster)
