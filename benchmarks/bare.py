"""Bare htcondor2 in the operator's pod: the same jobs as ours, without HTCDask; and a look at the queue.

The scripts run by the pod's own Python, with the operator's token and settings, so that both sides of a ratio
cross the same network to the same schedd. All clocks are one machine's.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from htcdask_api import names
from htcdask_operator.core.model import ClusterFacts, PoolFacts
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.submit.template import resolve
from htcdask_operator.kube import clusters, pools
from htcdask_operator.settings import Settings, parse
from playground.build import programs
from playground.site.site import Site
from tests.e2e.look import bare

_CONNECT = """
import json, os, shutil, sys, tempfile, time
told = json.loads(sys.stdin.readline())
folder = tempfile.mkdtemp()
shutil.copyfile(told["token"], folder + "/token")
os.chmod(folder + "/token", 0o600)
os.environ.update({
    "CONDOR_CONFIG": "ONLY_ENV",
    "_CONDOR_SEC_TOKEN_DIRECTORY": folder,
    "_CONDOR_SEC_CLIENT_AUTHENTICATION": "REQUIRED",
    "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
    "_CONDOR_SEC_CLIENT_ENCRYPTION": "REQUIRED",
    "_CONDOR_SEC_CLIENT_INTEGRITY": "REQUIRED",
})
import htcondor2
collector = htcondor2.Collector(told["collector"])
schedd = htcondor2.Schedd(collector.locate(htcondor2.DaemonType.Schedd, told["schedd"]))
def wait(constraint, good):
    while not good([ad["JobStatus"] for ad in schedd.query(constraint, ["JobStatus"])]):
        time.sleep(0.02)
    return time.time()
schedd.query("false", ["JobStatus"])
"""

_SUBMIT = """
made = htcondor2.Submit("")
for key, value in told["description"].items():
    made[key] = value
time.sleep(max(0, told["at"] - time.time()))
begun = time.time()
result = schedd.submit(made, itemdata=iter([{"wname": name} for name in told["names"]]), spool=False)
print(json.dumps([begun, result.cluster()]), flush=True)
"""

_THERE_AND_GONE = """
ours = "ClusterId == %d" % result.cluster()
idle = wait(ours, lambda seen: seen == [1] * len(told["names"]))
time.sleep(1)
asked = time.time()
schedd.act(htcondor2.JobAction.Remove, ours)
gone = wait(ours, lambda seen: not seen)
print(json.dumps([idle - begun, gone - asked]))
"""

_WATCH = """
print("watching", flush=True)
idle = wait(told["constraint"], lambda seen: seen.count(1) == told["count"])
print(idle, flush=True)
print(wait(told["constraint"], lambda seen: not seen), flush=True)
"""


def settings(site: Site) -> Settings:
    """What the operator was told."""
    text = site.kubectl(
        "-n", "htcdask", "get", "configmap", "htcdask", "-o", r"jsonpath={.data.settings\.yaml}"
    )
    return parse(text)


def description(site: Site, cluster: str) -> dict[str, str]:
    """The workers of this cluster's default pool as the operator would submit them, without our marks."""
    name = names.pool_name(names.DEFAULT_POOL, bare(cluster))
    facts: PoolFacts = pools.facts(_object(site, names.PLURAL, name))
    dask: ClusterFacts = clusters.facts(_object(site, "daskclusters.gateway.dask.org", bare(cluster)))
    policy = settings(site).policy
    template = resolve(facts, dask, policy)
    iwd = site.condor(
        "condor_q", "-allusers", "-af", "Iwd", "-constraint",
        f'{names.AD_POOL_UID} == "{facts.uid}" && {names.AD_ROLE} == "{names.ROLE_ANCHOR}"',
    ).strip()  # fmt: skip
    made = descriptions.workers(facts, dask, template, "bare", iwd, policy, facts.created_at)
    ours = {f"My.{attribute}" for attribute in vars(names).values() if str(attribute).startswith("HTCDask")}
    kept = {key: value for key, value in made.items() if key not in ours and key != "periodic_remove"}
    return {"initialdir": "/", **kept}


def submit(site: Site, description: Mapping[str, str], workers: Sequence[str], at: float) -> float:
    """Submit workers at a moment that is to come; the moment before the call."""
    told = {"description": dict(description), "names": list(workers), "at": at}
    begun, _ = json.loads(_run(site, _SUBMIT, **told))
    return float(begun)


def there_and_gone(site: Site, description: Mapping[str, str], count: int) -> tuple[float, float]:
    """Seconds until `count` jobs that match no slot are idle, and until they are gone again."""
    workers = [f"b{number}" for number in range(count)]
    said = _run(site, _SUBMIT + _THERE_AND_GONE, description=dict(description), names=workers, at=0)
    idle, gone = json.loads(said.splitlines()[-1])
    return float(idle), float(gone)


@contextmanager
def watching(site: Site, constraint: str, count: int) -> Iterator[Iterator[float]]:
    """Yields the moments at which `count` matching jobs are idle, and at which none is left."""
    process = _start(site, _WATCH, constraint=constraint, count=count)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "watching"
        yield (float(line) for line in process.stdout)
    finally:
        process.kill()
        process.wait()


def _object(site: Site, kind: str, name: str) -> dict[str, Any]:
    return dict(json.loads(site.kubectl("-n", "gateway", "get", kind, name, "-o", "json")))


def _run(site: Site, script: str, **told: Any) -> str:
    with _start(site, script, **told) as process:
        assert process.stdout is not None
        said = process.stdout.read()
    if process.returncode != 0:
        raise RuntimeError(f"the bare submit ended with {process.returncode}: {said}")
    return said


def _start(site: Site, script: str, **told: Any) -> subprocess.Popen[str]:
    known = settings(site)
    told |= {"collector": known.access_point.collector, "schedd": known.access_point.schedd}
    told["token"] = str(known.token_file)
    command = [str(programs.path("kubectl")), f"--kubeconfig={site.node.kubeconfig}", "exec", "--stdin"]
    command += ["--namespace=htcdask", "deployment/htcdask", "--", "python3", "-c", _CONNECT + script]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()
    return process
