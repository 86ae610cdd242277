"""A worker that no slot takes: its pool says soon, and everywhere, which clause keeps the machines away."""

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
