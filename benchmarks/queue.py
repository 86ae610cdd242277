"""1,000 workers asked for that no slot can hold: until all are idle in the queue, and until all are gone."""

from __future__ import annotations

from benchmarks import bare
from benchmarks.connected import wait_for_anchor
from htcdask_api import names
from playground.site.site import Site
from tests.e2e import look
from tests.e2e.notebook import Notebook

COUNT = 1000
_ASK = """
cluster = gateway.connect(cluster)
begun = time.time()
cluster.scale(count)
time.sleep(10)  # they are all there by then
asked = time.time()
cluster.scale(0)
result = [begun, asked]
"""


def thousand(site: Site) -> dict[str, float]:
    """Ours from the calls in the notebook, bare from those of htcondor2: the same jobs and schedd."""
    notebook = Notebook(site)
    cluster = notebook.new_cluster(worker_cores=1000)
    wait_for_anchor(site, cluster)
    made = bare.description(site, cluster)
    pool = look.pool(site, cluster)["metadata"]["uid"]
    workers = f'{names.AD_POOL_UID} == "{pool}" && {names.AD_ROLE} == "{names.ROLE_WORKER}"'
    with bare.watching(site, workers, COUNT) as moments:
        begun, asked = notebook.run(_ASK, cluster=cluster, count=COUNT)
        idle, gone = next(moments) - begun, next(moments) - asked
    bare_idle, bare_gone = bare.there_and_gone(site, made, COUNT)
    notebook.shutdown(cluster)
    look.clean(site, cluster)
    return {
        f"{COUNT} asked, all idle, s": idle,
        f"{COUNT} asked, all idle, bare, s": bare_idle,
        f"{COUNT} asked, all idle, ours / bare": idle / bare_idle,
        f"{COUNT} gone, s": gone,
        f"{COUNT} gone, bare, s": bare_gone,
        f"{COUNT} gone, ours / bare": gone / bare_gone,
    }
