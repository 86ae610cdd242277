"""What the operator's pod weighs with ten pools and 100 workers."""

from __future__ import annotations

from htcdask_api import names
from playground.site import Site
from tests.e2e import manifest
from tests.e2e.look import bare, clean, eventually, status
from tests.e2e.notebook import Notebook

POOLS, EACH = 10, 10
PROCESSES = """
import glob, os
for path in set(glob.glob("/proc/[0-9]*/status")) - {f"/proc/{os.getpid()}/status"}:  # not this one
    try:
        with open(path) as file:
            fields = dict(line.split(":", 1) for line in file)
    except OSError:
        continue
    if "VmRSS" in fields:
        print("RSS", fields["Name"].strip(), fields["VmRSS"].split()[0])
"""


# A plain cluster whose pool is made by hand: without nannies, 100 workers fit a small machine.
NEW_CLUSTER = """
from dask_gateway import Gateway
plain = Gateway(address=gateway.address, auth=gateway.auth)
result = plain.new_cluster(worker_backend="htcondor", shutdown_on_close=False).name
"""


def memory(site: Site) -> dict[str, float]:
    """Resident MiB of all processes of the operator's pod, while 100 jobs run."""
    notebook = Notebook(site)
    clusters = [str(notebook.run(NEW_CLUSTER)) for _ in range(POOLS)]
    for cluster in clusters:
        name = names.pool_name("default", bare(cluster))
        small = manifest.pool(name, bare(cluster), memory="256Mi", disk="64Mi", cores=1, nanny=False)
        site.kubectl("apply", "-f", "-", input=small)
        notebook.scale(cluster, EACH)
    for cluster in clusters:
        eventually(
            lambda name=cluster: status(site, name).get("connected", 0),  # type: ignore[misc]
            600,
            f"{EACH} workers of {cluster} are connected",
            lambda count: count == EACH,
        )
    text = site.kubectl("-n", "htcdask", "exec", "deploy/htcdask", "--", "python3", "-c", PROCESSES)
    kib = [int(line.split()[-1]) for line in text.splitlines() if line.startswith("RSS")]
    for cluster in clusters:
        notebook.shutdown(cluster)
    for cluster in clusters:
        clean(site, cluster, within=60)
    return {f"operator and agent, {POOLS} pools and {POOLS * EACH} workers, MiB": sum(kib) / 1024}
