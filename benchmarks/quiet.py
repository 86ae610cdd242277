"""What many quiet pools cost: questions to the schedd, writes to the API server, memory.

A real API server, a real HTCondor and the operator's program on loopback. The clusters are made by hand and
have no schedulers, so a hundred of them fit a small machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from htcdask_api import manifest, names
from playground.build import paths
from playground.condor.bare import BarePool
from playground.node.controlplane import ControlPlane, free_ports
from tests.e2e.look import eventually

NAMESPACE = "gateway"
JOBS = 1000
_WINDOW = 40.0
_CRDS = (
    "crds/htcworkerpool.yaml",
    "crds/htcworkerlog.yaml",
    "playground/site/manifests/daskcluster-crd.yaml",
)


def pools(count: int) -> dict[str, float]:
    """The figures of `count` pools that nobody scales, then with `JOBS` idle workers."""
    with _operator(count) as operator:
        label = f"{count} quiet pool{'s' if count > 1 else ''}"
        eventually(lambda: operator.anchors(), 120, "every pool has its anchor", lambda n: n == count)
        time.sleep(30)  # what the beginning stirred has settled
        before = operator.counters()
        time.sleep(_WINDOW)
        after = operator.counters()
        minute = {key: (after[key] - before.get(key, 0.0)) * 60 / _WINDOW for key in after}
        figures = {
            f"{label}: questions to the schedd a minute": sum(
                value for key, value in minute.items() if key.startswith("htcdask_condor_questions_total")
            ),
            f"{label}: statuses and Events written a minute": _writes(minute, "htcworkerpools", "events"),
            f"{label}: renewals of the leader's lease a minute": _writes(minute, "leases"),
            f"{label}: operator, MiB": operator.memory()[0],
            f"{label}: agent, MiB": operator.memory()[1],
        }
        operator.ask_for(JOBS // count)
        eventually(lambda: operator.workers(), 120, f"{JOBS} idle workers", lambda n: n == JOBS)
        time.sleep(5)
        operator_mib, agent_mib = operator.memory()
        few = f"{count} pool{'s' if count > 1 else ''} with {JOBS} idle workers"
        return {**figures, f"{few}: operator, MiB": operator_mib, f"{few}: agent, MiB": agent_mib}


def _writes(minute: dict[str, float], *resources: str) -> float:
    """POST and PATCH, which is all that the operator's own client writes with."""
    keys = [
        f'{{resource="{resource}",verb="{verb}"}}' for resource in resources for verb in ("POST", "PATCH")
    ]
    return sum(minute.get(f"htcdask_kube_requests_total{key}", 0.0) for key in keys)


@dataclass(frozen=True)
class _Operator:
    plane: ControlPlane
    condor: BarePool
    process: subprocess.Popen[bytes]
    port: int
    count: int

    def counters(self) -> dict[str, float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {key: float(value) for key, _, value in pairs}

    def memory(self) -> tuple[float, float]:
        """Resident MiB of the operator and of its agent."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return _resident(self.process.pid), sum(_resident(int(child)) for child in children)

    def anchors(self) -> int:
        return self._count(f'{names.AD_ROLE} == "{names.ROLE_ANCHOR}" && HoldReasonCode == 1')

    def workers(self) -> int:
        return self._count(f'{names.AD_ROLE} == "{names.ROLE_WORKER}" && JobStatus == 1')

    def _count(self, constraint: str) -> int:
        listing = self.condor.run("condor_q", "-allusers", "-constraint", constraint, "-af", "ClusterId")
        return len(listing.split())

    def ask_for(self, workers: int) -> None:
        """What the schedulers' heartbeats would bring."""
        _apply(self.plane, [_cluster(number, workers) for number in range(self.count)])


@contextmanager
def _operator(count: int) -> Iterator[_Operator]:
    with TemporaryDirectory() as name:
        folder = Path(name)
        with ControlPlane(folder / "plane") as plane, BarePool(folder / "condor") as condor:
            for manifest in _CRDS:
                plane.kubectl("apply", "-f", str(paths.REPOSITORY / manifest))
            plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
            plane.kubectl("create", "namespace", NAMESPACE)
            secret = {"dask.crt": "CERT", "dask.pem": "KEY", "api-token": "TOKEN"}
            metadata = {"name": "credentials", "namespace": NAMESPACE}
            _apply(
                plane, [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": secret}]
            )
            clusters = [_cluster(number, 0) for number in range(count)]
            _apply(plane, clusters)
            _apply(plane, clusters, "--subresource=status")
            _apply(plane, [_pool(number) for number in range(count)])
            (port,) = free_ports(1)
            (folder / "token").write_text(condor.token("dask"))
            (folder / "settings.yaml").write_text(yaml.safe_dump(_settings(folder, condor, port)))
            command = [sys.executable, "-m", "htcdask_operator", "--settings", str(folder / "settings.yaml")]
            environment = {**os.environ, "KUBECONFIG": str(plane.kubeconfig)}
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(command, env=environment, stderr=log)
            try:
                yield _Operator(plane, condor, process, port, count)
            finally:
                process.terminate()
                process.wait()


def _settings(folder: Path, condor: BarePool, port: int) -> dict[str, Any]:
    return {
        "operatorId": "bench",
        "gatewayNamespaces": [NAMESPACE],
        "leader": {"namespace": NAMESPACE, "name": "bench"},
        "accessPoint": {"collector": condor.address, "schedd": condor.schedd},
        "tokenFile": str(folder / "token"),
        "schedulerAddress": "gateway.example:443",
        "healthPort": port,
    }


def _cluster(number: int, workers: int) -> dict[str, Any]:
    return {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        "metadata": {"name": f"c{number}", "namespace": NAMESPACE},
        "spec": {
            "username": "alice",
            "options": {names.WORKER_BACKEND_OPTION: names.WORKER_BACKEND_HTCONDOR},
            names.WANTED_FIELD: workers,
        },
        "status": {"phase": "Running", "credentials": "credentials"},
    }


def _pool(number: int) -> dict[str, Any]:
    template = {"containerImage": "/cvmfs/image", "cores": 1000}  # no slot is as large
    return manifest.pool(NAMESPACE, f"default-c{number}", f"c{number}", template=template)


def _apply(plane: ControlPlane, objects: list[dict[str, Any]], *options: str) -> None:
    listing = {"apiVersion": "v1", "kind": "List", "items": objects}
    command = ("apply", "--server-side", "--field-manager=bench", "--force-conflicts", *options, "-f", "-")
    plane.kubectl(*command, input=json.dumps(listing))


def _resident(pid: int) -> float:
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024
