"""How long things take, seen from the notebook. All clocks are one machine's."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime

from htcdask_api import names
from playground.site import Site
from tests.e2e.look import bare, clean, eventually, settled, status, workers
from tests.e2e.notebook import IMAGE, Notebook

SUBMITTED = re.compile(r"workers submitted")


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
    return {"floor: one worker without HTCondor, connected, s": float(ended) - float(begun)}


def scale_up(site: Site) -> dict[str, float]:
    """scale(4) on a cluster whose pool is Ready, to the submit call, the first and the fourth worker."""
    notebook = Notebook(site)
    cluster = notebook.new_cluster()
    eventually(lambda: _ready(site, cluster), 60, "the pool is Ready")
    called, first, every = notebook.run(
        """
        cluster = gateway.connect(cluster)
        client = cluster.get_client()
        begun = time.time()
        cluster.scale(4)
        times = []
        for count in (1, 4):
            while client.scheduler_info(n_workers=-1)["n_workers"] < count:
                time.sleep(0.02)
            times.append(time.time())
        result = [begun, *times]
        """,
        cluster=cluster,
    )
    submitted = _submitted_at(site, bare(cluster), called)
    notebook.shutdown(cluster)
    clean(site, cluster)
    return {
        "scale(4) to the schedd's answer to our submit, s": submitted - called,
        "scale(4) to first connected, s": first - called,
        "scale(4) to all connected, s": every - called,
    }


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


def _ready(site: Site, cluster: str) -> bool:
    anchors = json.loads(
        site.condor(
            "condor_q", "-allusers", "-json", "-attributes", f"JobStatus,HoldReasonCode,{names.AD_POOL}",
            "-constraint", f'{names.AD_ROLE} == "{names.ROLE_ANCHOR}"',
        )
        or "[]"
    )  # fmt: skip
    return any(
        bare(cluster) in job[names.AD_POOL] and job["JobStatus"] == 5 and job["HoldReasonCode"] == 1
        for job in anchors
    )


def _submitted_at(site: Site, cluster: str, after: float) -> float:
    log = site.kubectl("-n", "htcdask", "logs", "deploy/htcdask", "--timestamps", "--tail=400")
    times = [
        datetime.fromisoformat(line.split(" ", 1)[0][:26] + "+00:00").timestamp()
        for line in log.splitlines()
        if cluster in line and SUBMITTED.search(line)
    ]
    return min(moment for moment in times if moment >= after)
