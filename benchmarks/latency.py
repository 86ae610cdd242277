"""How soon the status tells of what happened in the queue."""

from __future__ import annotations

import time

from playground.site.site import Site
from tests.e2e.look import clean, eventually, settled, status, workers
from tests.e2e.notebook import Notebook


def change_to_status(site: Site) -> dict[str, float]:
    """A worker's job removed by hand, until the status tells of it."""
    notebook = Notebook(site)
    cluster = notebook.new_cluster()
    notebook.scale(cluster, 2)
    settled(site, cluster, 2)
    job = workers(site, cluster)[0]
    begun = time.monotonic()
    site.condor("condor_rm", f"{job['ClusterId']}.{job['ProcId']}")
    eventually(
        lambda: status(site, cluster).get("running", 0) + status(site, cluster).get("connected", 0),
        60,
        "the status tells of the lost worker",
        lambda seen: seen < 4,
    )
    seconds = time.monotonic() - begun
    notebook.shutdown(cluster)
    clean(site, cluster)
    return {"a job's end to the pool's status, s": seconds}
