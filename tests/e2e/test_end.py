"""The two everyday ends: shutdown() and kubectl delete. The schedd holds nothing of ours within 30 s."""

import json

from htcdask_api import names, status
from playground.site.site import Site
from tests.e2e.look import bare, clean, condition, eventually, pool, queue, settled, workers
from tests.e2e.notebook import Notebook


def test_shutdown_leaves_no_job(site: Site, notebook: Notebook) -> None:
    """Also with workers still connected; the pool says why it is empty."""
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 3)
    settled(site, cluster, 3)
    notebook.shutdown(cluster)
    clean(site, cluster)
    eventually(
        lambda: condition(site, cluster, "ClusterActive").get("status"),
        10,
        "ClusterActive is False",
        lambda s: s == "False",
    )
    ready = eventually(
        lambda: condition(site, cluster, status.READY),
        30,
        "nothing is left for the pool to do",
        lambda its: its.get("reason") == status.ENDED,
    )
    assert ready["status"] == "True"
    assert ready["message"].endswith("Nothing of this pool is left.")
    assert condition(site, cluster, status.RECONCILING)["status"] == "False"
    name = pool(site, cluster)["metadata"]["name"]
    head, row = site.kubectl("-n", "gateway", "get", names.PLURAL, name).splitlines()
    columns = dict(zip(head.split(), row.split(), strict=True))
    assert (columns["READY"], columns["REASON"]) == ("True", "Ended")
    counts = ("DESIRED", "CONNECTED", "RUNNING", "IDLE", "HELD")
    assert [columns[count] for count in counts] == ["0"] * len(counts)


def test_shutdown_before_a_worker_ever_came(site: Site, notebook: Notebook) -> None:
    """Jobs that are still idle end too."""
    cluster = notebook.new_cluster(worker_cores=1000)
    notebook.scale(cluster, 3)
    eventually(lambda: len(workers(site, cluster)), 30, "three idle jobs", lambda n: n == 3)
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_deleting_the_pool_leaves_no_job(site: Site, notebook: Notebook) -> None:
    """`kubectl delete` returns when the jobs are gone; the cluster itself lives on."""
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    name = pool(site, cluster)["metadata"]["name"]
    site.kubectl("-n", "gateway", "delete", names.PLURAL, name, "--timeout=30s")
    assert queue(site, cluster) == []
    phase = json.loads(
        site.kubectl("-n", "gateway", "get", "daskclusters.gateway.dask.org", bare(cluster), "-o", "json")
    )["status"]["phase"]
    assert phase == "Running"
    notebook.shutdown(cluster)


def test_leaving_a_with_block_ends_the_cluster(site: Site, notebook: Notebook) -> None:
    """Context managers, sync and async, clean up after themselves."""
    found = notebook.run(
        """
        import asyncio
        with gateway.new_cluster(container_image=IMAGE) as cluster:
            cluster.scale(1)
            with cluster.get_client() as client:
                client.wait_for_workers(1, timeout=120)
            first = cluster.name

        async def main():
            async with HTCGateway(address=gateway.address, auth=gateway.auth, asynchronous=True) as g:
                async with await g.new_cluster(container_image=IMAGE) as cluster:
                    await cluster.scale(1)
                    async with await cluster.get_client() as client:
                        await client.wait_for_workers(1, timeout=120)
                        three = await client.submit(sum, [1, 2])
                    return cluster.name, three

        second, three = asyncio.run(main())
        result = [first, second, three]
        """,
        timeout=300,
    )
    first, second, three = found
    assert three == 3
    clean(site, first)
    clean(site, second)
