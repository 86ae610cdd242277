"""The lines that users of today's forks have in their notebooks run as printed.

Only the address, the password, the port of the proxy and the image paths differ, as they do between sites.
"""

from pathlib import Path

from playground.site.site import Site
from tests.e2e.look import clean, settled, workers
from tests.e2e.notebook import Door, Notebook

SNIPPETS = Path(__file__).parent / "snippets"
COMPUTE = """
client.wait_for_workers({count}, timeout=120)
total = client.submit(sum, client.map(lambda x: x * x, range(100))).result(timeout=60)
result = [cluster.name, total]
cluster.shutdown_on_close = False
"""


def ncsa(site: Site) -> str:
    """The NCSA README's snippet with this site's address, password and images."""
    text = (SNIPPETS / "ncsa.py").read_text(encoding="utf-8")
    for printed, here in {
        "https://dask.software-dev.ncsa.illinois.edu": site.inner_gateway_url,
        "proxy_address=8786": "proxy_address=80",  # this site's proxy has one port for both
        "____________": site.password,
        "ncsa/dask-public-health:latest": "htcdask/dask:dev",
        "/u/bengal1/condor/PublicHealth.sif": (
            "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/htcdask/worker:latest"
        ),
    }.items():
        assert printed in text
        text = text.replace(printed, here)
    return text


def test_the_ncsa_snippet_gives_four_workers_that_compute(site: Site, door: Door) -> None:
    """As printed, by both doors; then the queue, the scheduler and the status agree and all of it ends."""
    notebook = Notebook(site, door, user="dask")  # username=None is who runs the notebook
    cluster, total = notebook.run(ncsa(site) + COMPUTE.format(count=4))
    assert total == sum(x * x for x in range(100))
    settled(site, cluster, 4)
    notebook.shutdown(cluster)
    clean(site, cluster)


def test_the_fermilab_snippets_run_from_configuration_alone(site: Site) -> None:
    """`HTCGateway()` and `new_cluster()` without a word: address, auth and image are the site's defaults."""
    notebook = Notebook(site)
    configured = f"""
    dask.config.set({{
        "gateway.address": {site.inner_gateway_url!r},
        "gateway.auth.type": "basic",
        "gateway.auth.kwargs": {{"username": "alice", "password": {site.password!r}}},
    }})
    """
    first = (SNIPPETS / "fermilab.py").read_text(encoding="utf-8")
    compute = COMPUTE.format(count=5) + "\n# When computations"
    setup = "\n".join(line.strip() for line in configured.splitlines())
    cluster, total = notebook.run(setup + first.replace("# When computations", compute))
    assert total == sum(x * x for x in range(100))
    clean(site, cluster)


def test_the_fermilab_list_and_connect_snippet(site: Site) -> None:
    """A cluster is found in the list, connected to by name and shut down."""
    notebook = Notebook(site)
    name = notebook.new_cluster()
    notebook.scale(name, 1)
    settled(site, name, 1)
    snippet = (SNIPPETS / "fermilab_list_and_connect.py").read_text(encoding="utf-8")
    listed = notebook.run(snippet + "\nresult = [c.name for c in clusters]", cluster_name=name)
    assert name in listed
    clean(site, name)
    assert not workers(site, name)
