"""Two operators, real processes on a real API server: one works, the other waits, and who lost it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from htcdask_api import manifest, names
from htcdask_operator import uninstall
from playground.condor.bare import BarePool
from playground.node.controlplane import ControlPlane, free_ports
from tests.contract.labs import remove_jobs

SECONDS = 3
NEVER = "false"  # requirements that no slot meets: jobs wait in the queue, and nothing needs to run


def until(holds: Callable[[], object], seconds: float, what: str) -> float:
    """Look until something holds; how long that took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.02)
    return time.monotonic() - began


class Program:
    """One operator's process."""

    def __init__(self, pod: str, settings: dict[str, Any], plane: ControlPlane, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._log = folder / f"{pod}.log"
        file = folder / f"{pod}.yaml"
        file.write_text(yaml.safe_dump({**settings, "healthPort": self.port}))
        environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "POD_NAME": pod}
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "htcdask_operator", "--settings", str(file)],
                env=environment,
                stderr=log,
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def says(self, text: str, seconds: float = 30) -> float:
        """Wait for it in the log; how long that took."""

        def said() -> bool:
            assert self.process.poll() is None or text in self.log, self.log
            return text in self.log

        return until(said, seconds, f"{text!r} in\n{self.log}")

    def answers(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
            return str(response.read().decode())

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ends(self, seconds: float) -> int:
        return self.process.wait(timeout=seconds)


class Pair:
    """What a test has: a namespace, and operators that share a lease in it."""

    def __init__(self, plane: ControlPlane, pool: BarePool, folder: Path) -> None:
        self.plane = plane
        self.pool = pool
        self.folder = folder
        self.namespace = f"pair-{uuid.uuid4().hex[:8]}"
        self.programs: list[Program] = []
        plane.kubectl("create", "namespace", self.namespace)
        (folder / "token").write_text(pool.token("dask"))
        kubernetes = plane.kubectl("get", "namespace", "kube-system", "-o", "jsonpath={.metadata.uid}")
        self.identity = names.operator_identity(self.namespace, kubernetes)
        self.ours = f'{names.AD_OPERATOR} == "{self.identity}"'

    def start(self, pod: str, release: str = "htcdask", seconds: int = SECONDS) -> Program:
        settings = {
            "operatorId": self.namespace,
            "gatewayNamespaces": [self.namespace],
            "leader": {"namespace": self.namespace, "name": release, "leaseSeconds": seconds},
            "accessPoint": {"collector": self.pool.address, "schedd": self.pool.schedd},
            "tokenFile": str(self.folder / "token"),
            "schedulerAddress": "gateway.example:443",
        }
        self.programs.append(Program(pod, settings, self.plane, self.folder))
        return self.programs[-1]

    def lead(self, pod: str) -> Program:
        program = self.start(pod)
        program.says("Watching the pools")
        return program

    def wait(self, pod: str, holder: str) -> Program:
        program = self.start(pod)
        program.says(f"held by {holder}")
        return program

    def holder(self) -> str:
        return self.kubectl("get", "lease", "htcdask", "-o", "jsonpath={.spec.holderIdentity}")

    def kubectl(self, *arguments: str, body: dict[str, Any] | None = None) -> str:
        given = None if body is None else json.dumps(body)
        return self.plane.kubectl("--namespace", self.namespace, *arguments, input=given)

    def create(self, kind: str, version: str, name: str, **content: Any) -> None:
        body = {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **content}
        self.kubectl("create", "-f", "-", body=body)

    def create_cluster(self, wanted: int) -> None:
        """A running cluster whose workers wait in the queue for ever."""
        template = {"containerImage": "/cvmfs/img", "requirements": NEVER}
        pool = manifest.pool(self.namespace, "default-c1", "c1", template=template)
        self.kubectl("create", "-f", "-", body=pool)
        parts = {"dask.crt": "CERT", "dask.pem": "KEY", "api-token": "TOKEN"}
        self.create("Secret", "v1", "dask-credentials-c1", stringData=parts)
        spec = {"username": "alice", "options": {"worker_backend": "htcondor"}, "htcondorReplicas": wanted}
        self.create(names.DASKCLUSTER_KIND, names.GATEWAY_API_VERSION, "c1", spec=spec)
        status = {"status": {"phase": "Running", "credentials": "dask-credentials-c1"}}
        self.patch_cluster(status, "--subresource=status")

    def patch_cluster(self, patch: dict[str, Any], *options: str) -> None:
        self.kubectl("patch", "daskcluster", "c1", "--type=merge", f"--patch={json.dumps(patch)}", *options)

    def workers(self) -> list[str]:
        """The names of the worker jobs in the queue."""
        ours = f'{self.ours} && {names.AD_ROLE} == "worker"'
        found = self.pool.run("condor_q", "-allusers", "-constraint", ours, "-af", names.AD_WORKER)
        return sorted(found.split())

    def end(self) -> None:
        for program in self.programs:
            program.process.kill()
            program.process.wait()
        remove_jobs(self.pool, self.identity)


@pytest.fixture
def pair(plane: ControlPlane, bare_pool: BarePool, tmp_path: Path) -> Iterator[Pair]:
    pair = Pair(plane, bare_pool, tmp_path)
    yield pair
    pair.end()


def test_one_works_while_the_other_waits_and_takes_over_when_it_is_killed(pair: Pair) -> None:
    a = pair.lead("a")
    b = pair.wait("b", "a")
    waiting = f"waiting for the lease {pair.namespace}/htcdask, held by a; it is over in "
    assert a.answers("/healthz") == a.answers("/readyz") == "ok\n"
    assert b.answers("/healthz").startswith(waiting)
    assert b.answers("/readyz").startswith(waiting)
    assert "htcdask_leader 1.0" in a.answers("/metrics")
    assert "htcdask_leader 0.0" in b.answers("/metrics")
    pair.create_cluster(wanted=2)
    until(lambda: len(pair.workers()) == 2, 20, "two workers in the queue")
    until(lambda: pair.holder() == "a", 1, "a goes on renewing")
    assert "anchor submitted" not in b.log
    assert "htcdask_poll_seconds_count 0.0" in b.answers("/metrics")  # HTCondor was never asked

    a.signal(signal.SIGKILL)
    took = b.says("b holds the lease", SECONDS * 2)
    assert SECONDS * 0.5 < took < SECONDS + 2
    b.says("Watching the pools")
    pair.patch_cluster({"spec": {"htcondorReplicas": 3}})
    until(lambda: len(pair.workers()) == 3, 20, "b goes on where a ended")
    assert b.answers("/healthz") == "ok\n"


def test_one_that_is_asked_to_end_lets_the_other_in_at_once(pair: Pair) -> None:
    a = pair.lead("a")
    b = pair.wait("b", "a")
    a.signal(signal.SIGTERM)
    assert a.ends(20) == 0
    assert b.says("b holds the lease") < 2
    assert pair.holder() == "b"


def test_one_that_waits_ends_when_asked_and_leaves_the_lease_alone(pair: Pair) -> None:
    pair.lead("a")
    b = pair.wait("b", "a")
    b.signal(signal.SIGTERM)
    assert b.ends(10) == 0
    assert pair.holder() == "a"


def test_a_container_that_starts_again_in_its_pod_goes_on_at_once(pair: Pair) -> None:
    a = pair.lead("a")
    a.signal(signal.SIGKILL)
    a.ends(5)
    again = pair.start("a")
    again.says("Watching the pools")
    assert "Waiting for the lease" not in again.log


def test_one_that_slept_through_its_lease_ends_and_submits_nothing(pair: Pair) -> None:
    a = pair.lead("a")
    pair.create_cluster(wanted=2)
    until(lambda: len(pair.workers()) == 2, 20, "two workers in the queue")
    b = pair.wait("b", "a")
    a.signal(signal.SIGSTOP)
    b.says("b holds the lease", SECONDS + 2)
    pair.patch_cluster({"spec": {"htcondorReplicas": 5}})
    until(lambda: len(pair.workers()) == 5, 20, "five workers in the queue")
    before, seen = pair.workers(), len(a.log)

    a.signal(signal.SIGCONT)
    assert a.ends(20) == 1
    # Whichever of the two it looks at first.
    assert re.search(rf"the lease {pair.namespace}/htcdask(-worker-pools)? is lost", a.log)
    assert not re.search(r"(workers|anchor) submitted", a.log[seen:])
    assert pair.holder() == "b"
    assert pair.workers() == before
    assert b.process.poll() is None


def test_a_second_release_for_one_namespace_says_so_and_follows_when_the_first_is_gone(pair: Pair) -> None:
    a = pair.lead("a")
    pair.create_cluster(wanted=2)
    until(lambda: len(pair.workers()) == 2, 20, "two workers in the queue")
    b = pair.start("b", release="second")
    said = f"the HTCDask release {pair.namespace}/htcdask works for the namespace {pair.namespace}"
    b.says(said)
    until(lambda: said in b.answers("/healthz"), 10, "the health page says it, too")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        b.answers("/readyz")
    assert a.answers("/readyz") == "ok\n"
    assert "htcdask_poll_seconds_count 0.0" in b.answers("/metrics")  # HTCondor was never asked
    assert len(pair.workers()) == 2
    a.signal(signal.SIGTERM)
    assert a.ends(20) == 0
    assert b.says("Watching the pools") < SECONDS * 2
    assert b.answers("/readyz") == "ok\n"
    assert len(pair.workers()) == 2


def test_after_the_hook_of_an_uninstallation_the_next_release_works_at_once(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    """However long the leases of the first one are. Its container starts again until Helm takes it away."""
    a = pair.start("a", seconds=60)
    a.says("Watching the pools")
    pair.create_cluster(wanted=2)
    until(lambda: len(pair.workers()) == 2, 20, "two workers in the queue")
    restarting = threading.Thread(target=lambda: (a.ends(60), pair.start("a", seconds=60)))
    restarting.start()
    lease = f"--lease={pair.namespace}/htcdask"
    given = (f"--kubeconfig={pair.plane.kubeconfig}", f"--namespace={pair.namespace}", "--seconds=30")
    assert uninstall.main([*given, lease]) == 0
    restarting.join()
    assert pair.workers() == []
    assert "given" not in capsys.readouterr().out
    b = pair.start("b", release="second", seconds=60)
    assert b.says("Watching the pools") < 15
    again = pair.programs[1]
    again.says("Waiting for the lease")
    assert re.search(r"held by uninstall; it is over in \d+ s at most, unless it is renewed", again.log)
    again.signal(signal.SIGKILL)


def test_the_pools_of_a_namespace_that_is_deleted_are_let_go(pair: Pair) -> None:
    pair.lead("a")
    pair.create_cluster(wanted=2)
    until(lambda: len(pair.workers()) == 2, 20, "two workers in the queue")
    pair.plane.kubectl("delete", "namespace", pair.namespace, "--wait=false")
    # Without the controllers of a whole site nobody empties the namespace: so does this test.
    pair.kubectl("delete", "daskcluster,htcwp,leases", "--all", "--wait=false")
    until(lambda: not pair.kubectl("get", "htcwp", "-o", "name"), 60, "no pool left")
    assert pair.workers() == []


def test_one_whose_lease_is_taken_away_ends(pair: Pair) -> None:
    a = pair.lead("a")
    pair.kubectl("patch", "lease", "htcdask", "--type=merge", '--patch={"spec": {"holderIdentity": "x"}}')
    assert a.ends(20) == 1
    assert "is lost: x holds it now" in a.log
    assert pair.holder() == "x"
