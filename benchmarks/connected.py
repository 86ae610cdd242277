"""From scale(n) in a notebook to workers connected, against bare htcondor2 and against no HTCondor at all."""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import bare
from htcdask_api import names
from playground.site.site import Site
from tests.e2e import look
from tests.e2e.notebook import IMAGE, Notebook

_UNTIL_IT_WATCHES = 10.0
_runs = itertools.count(1)

_WAIT = """
client = cluster.get_client()
def connected(count):
    while client.scheduler_info(n_workers=-1)["n_workers"] < count:
        time.sleep(0.02)
    return time.time()
"""


def floor(site: Site) -> dict[str, float]:
    """One worker of the same image by `apptainer exec` on the access point, to a scheduler on loopback."""
    script = """
set -e
export HOME=/tmp
apptainer exec IMAGE dask scheduler --host 127.0.0.1 --port 29786 --no-dashboard --no-show \
    >/tmp/floor.log 2>&1 & S=$!
while ! grep -q 'Scheduler at' /tmp/floor.log; do sleep 0.02; done
B=$(date +%s.%N)
apptainer exec IMAGE dask worker tcp://127.0.0.1:29786 --nthreads 1 --no-dashboard >/dev/null 2>&1 & W=$!
while ! grep -q 'Register worker' /tmp/floor.log; do sleep 0.02; done
E=$(date +%s.%N)
kill $W $S; wait || true
echo "FLOOR $B $E"
""".replace("IMAGE", IMAGE)
    # As a job's account: Apptainer asks root for more than this node may give.
    said = site.condor("runuser", "-u", "dask", "--", "timeout", "60", "bash", "-c", script)
    begun, ended = said.partition("FLOOR ")[2].split()
    return {"one worker without HTCondor, connected, s": float(ended) - float(begun)}


def scale(site: Site, count: int) -> dict[str, float]:
    """Ours and bare, one after the other, each on a fresh cluster whose files are on the access point."""
    ours_first, ours_all = _ours(site, count)
    bare_first, bare_all = _bare(site, count)
    label = f"scale({count})"
    return {
        f"{label}, first connected, s": ours_first,
        f"{label}, first connected, bare, s": bare_first,
        f"{label}, first connected, ours - bare, s": ours_first - bare_first,
        f"{label}, all connected, s": ours_all,
        f"{label}, all connected, bare, s": bare_all,
        f"{label}, all connected, ours / bare": ours_all / bare_all,
    }


def _ours(site: Site, count: int) -> tuple[float, float]:
    notebook = Notebook(site)
    cluster = notebook.new_cluster()
    wait_for_anchor(site, cluster)
    begun, first, last = notebook.run(
        "cluster = gateway.connect(cluster)\n"
        + _WAIT
        + "begun = time.time()\ncluster.scale(count)\nresult = [begun, connected(1), connected(count)]",
        cluster=cluster,
        count=count,
    )
    notebook.shutdown(cluster)
    look.clean(site, cluster)
    return first - begun, last - begun


def _bare(site: Site, count: int) -> tuple[float, float]:
    """The scheduler wants `count`, the pool may have none: so the workers that come are the bare ones."""
    notebook = Notebook(site)
    cluster = notebook.new_cluster()
    pool = look.pool(site, cluster)["metadata"]["name"]
    capped = json.dumps({"spec": {"maxReplicas": 0}})
    site.kubectl("-n", "gateway", "patch", names.PLURAL, pool, "--type=merge", "-p", capped)
    wait_for_anchor(site, cluster)
    notebook.scale(cluster, count)
    made = bare.description(site, cluster)
    workers = [f"b{next(_runs)}" for _ in range(count)]
    with ThreadPoolExecutor(1) as thread:
        watched = thread.submit(
            notebook.run,
            "cluster = gateway.connect(cluster)\n"
            + _WAIT
            + "result = [time.time(), connected(1), connected(count)]",
            cluster=cluster,
            count=count,
        )
        begun = bare.submit(site, made, workers, at=time.time() + _UNTIL_IT_WATCHES)
        watches, first, last = watched.result()
    assert watches < begun, "the notebook was not there yet when the jobs were submitted"
    notebook.shutdown(cluster)
    look.clean(site, cluster)
    return first - begun, last - begun


def wait_for_anchor(site: Site, cluster: str) -> None:
    """Until the pool's anchor is held: workers can be submitted at once."""
    look.eventually(lambda: _anchor_is_held(site, cluster), 60, "the pool's anchor is held")


def _anchor_is_held(site: Site, cluster: str) -> bool:
    jobs = look.queue(site, cluster)
    return any(job[names.AD_ROLE] == names.ROLE_ANCHOR and job.get("HoldReasonCode") == 1 for job in jobs)
