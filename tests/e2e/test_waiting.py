"""A worker that no slot takes: its pool says soon, and everywhere, which clause keeps the machines away."""

import re

from playground.site.site import Site
from tests.e2e.look import eventually, pool, status
from tests.e2e.notebook import Notebook

SENTENCE = 'meets `TARGET.Arch == "PPC64"`: they offer "X86_64".'


def test_the_clause_that_keeps_machines_away_is_named(site: Site, notebook: Notebook) -> None:
    cluster = notebook.run(
        """
        wish = 'requirements = TARGET.Arch == "PPC64"'
        cluster = gateway.new_cluster(shutdown_on_close=False, node_match_expr=wish)
        cluster.scale(2)
        result = cluster.name
        """
    )
    (why,) = eventually(
        lambda: [
            each for each in status(site, cluster).get("explanation", []) if SENTENCE in each["message"]
        ],
        50,  # 20 of them are the time that any worker may wait
        "the pool says what keeps its workers",
    )
    assert (why["reason"], why["count"]) == ("NoMatchingSlots", 2)
    name = pool(site, cluster)["metadata"]["name"]
    assert SENTENCE in site.kubectl("-n", "gateway", "describe", "htcwp", name)
    told = notebook.run(
        "result = str(gateway.connect(name, shutdown_on_close=False).explain())", name=cluster
    )
    assert SENTENCE in told
    notebook.shutdown(cluster)


def test_a_mistyped_image_of_the_scheduler_ends_in_time_and_leaves_nothing(
    site: Site, notebook: Notebook
) -> None:
    """In Kubernetes' words, which are the operator's to tell and the gateway's route to show."""
    said, left = notebook.run(
        """
        from htcdaskgateway import ClusterStartTimeoutError
        before = {c.name for c in gateway.list_clusters()}
        try:
            with dask.config.set({"htcdask.cluster-start-timeout": "5s"}):
                gateway.new_cluster(container_image=IMAGE, image="localhost/typo:latest")
            said = "accepted"
        except ClusterStartTimeoutError as error:
            said = str(error)
        result = said, [c.name for c in gateway.list_clusters() if c.name not in before]
        """
    )
    assert re.search(r"Kubernetes could not run its scheduler: \w*Image\w*: .*localhost/typo:latest", said)
    assert "nothing is left behind" in said
    assert left == []


def test_a_pool_that_the_site_would_refuse_is_not_made(site: Site, notebook: Notebook) -> None:
    said = notebook.run(
        """
        from htcdaskgateway import PoolRefusedError
        cluster = gateway.new_cluster(container_image=IMAGE)
        try:
            cluster.add_pool("typo", 1, profile="no-such-profile")
            result = "made"
        except PoolRefusedError as error:
            result = str(error)
        result += f"; {len(cluster.pools)} pool"
        cluster.shutdown()
        """
    )
    assert "no profile 'no-such-profile'" in said
    assert said.endswith("; 1 pool")
