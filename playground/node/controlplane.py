"""etcd and kube-apiserver: their command lines, and both alone on loopback for tests.

The node starts the same two with the same flags (daemons.py). `ControlPlane` needs no root and
takes a few seconds: enough for everything that concerns the API only (CRDs, admission, RBAC, charts). There
is no controller and no kubelet in it: nothing collects garbage and no pod ever runs.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from playground.build import programs
from playground.build.errors import PlaygroundError
from playground.build.packages import need
from playground.node import kubeconfig
from playground.node.certificates import Authority, Pair, signing_key

SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
# The defaults, and what a careful site adds: owner references need rights on the owner, as on OpenShift.
ADMISSION = "OwnerReferencesPermissionEnforcement"


@dataclass(frozen=True)
class Credentials:
    """What an API server serves and trusts."""

    authority: Authority
    server: Pair
    admin: Pair
    tokens: Path

    @classmethod
    def prepare(cls, folder: Path, *hosts: str) -> Credentials:
        """Made once in `folder`; `hosts` are the names and addresses under which clients reach the server."""
        authority = Authority(folder)
        names = ["localhost", "127.0.0.1", API_SERVICE, "kubernetes", "kubernetes.default"]
        names += ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", *hosts]
        return cls(
            authority=authority,
            server=authority.issue("kube-apiserver", "kube-apiserver", hosts=names),
            admin=authority.issue("admin", "playground-admin", groups=["system:masters"]),
            tokens=signing_key(folder / "service-accounts.key"),
        )


def etcd(data: Path, client: str, peer: str) -> list[str]:
    """etcd on plain HTTP: `client` and `peer` are URLs that only its own machine or namespace reaches."""
    return [
        str(programs.asset("etcd") or need("etcd")[0]),
        f"--data-dir={data}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--auto-compaction-retention=1",
        "--logger=zap",
        "--log-level=warn",
    ]


def apiserver(
    credentials: Credentials, etcd_url: str, bind: str, advertise: str, port: int, run: Path
) -> list[str]:
    """kube-apiserver as every cluster of kubeadm runs it, but for what its kubelets need (see daemons.py)."""
    return [
        str(programs.path("kube-apiserver")),
        f"--etcd-servers={etcd_url}",
        f"--bind-address={bind}",
        f"--advertise-address={advertise}",
        f"--secure-port={port}",
        f"--cert-dir={run}",
        f"--tls-cert-file={credentials.server.certificate}",
        f"--tls-private-key-file={credentials.server.key}",
        f"--client-ca-file={credentials.authority.pair.certificate}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={credentials.tokens}",
        f"--service-account-signing-key-file={credentials.tokens}",
        "--authorization-mode=Node,RBAC",
        f"--enable-admission-plugins=NodeRestriction,{ADMISSION}",
        "--allow-privileged=true",
        "--shutdown-delay-duration=0s",
        "--v=1",
    ]


def is_ready(server: str, authority: Path) -> bool:
    """Whether the API server at this URL answers `ok` to /readyz."""
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with urllib.request.urlopen(f"{server}/readyz", context=context, timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


class ControlPlane:
    """A Kubernetes API for tests: `with ControlPlane(tmp_path) as cp:` and then `cp.kubeconfig`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="htcdask-controlplane-")
        self.folder = folder or Path(self._temporary.name if self._temporary else "")
        self.kubeconfig = self.folder / "kubeconfig"
        self.server = ""
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kubectl(self, *arguments: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as cluster admin and return what it printed (stdout, then stderr when it failed)."""
        return run_kubectl(self.kubeconfig, *arguments, input=input, check=check)

    def stop(self) -> None:
        """End both processes; the data in the folder is of no further use."""
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes.clear()
        if self._temporary:
            self._temporary.cleanup()

    def _start(self) -> None:
        client, peer, port = free_ports(3)
        credentials = Credentials.prepare(self.folder / "pki")
        etcd_url = f"http://127.0.0.1:{client}"
        self.server = f"https://127.0.0.1:{port}"
        self._run("etcd", etcd(self.folder / "etcd", etcd_url, f"http://127.0.0.1:{peer}"))
        command = apiserver(credentials, etcd_url, "127.0.0.1", "127.0.0.1", port, self.folder / "run")
        # A loopback address cannot be an endpoint of the `kubernetes` service: nobody needs that here.
        self._run("kube-apiserver", [*command, "--endpoint-reconciler-type=none"])
        authority = credentials.authority.pair.certificate
        kubeconfig.write(self.kubeconfig, self.server, authority, credentials.admin)
        self._wait(authority)

    def _run(self, name: str, command: list[str]) -> None:
        # Another cluster's settings in the environment must not reach etcd.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes.append(
                subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
            )

    def _wait(self, authority: Path) -> None:
        deadline = time.monotonic() + 60
        while not is_ready(self.server, authority):
            ended = [process for process in self._processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise PlaygroundError(
                    f"the control plane did not get ready; its logs say:\n{tail(self.folder)}"
                )
            time.sleep(0.05)


def tail(folder: Path, lines: int = 12) -> str:
    """The last lines of every log in a folder, for error messages."""
    parts = []
    for log in sorted(folder.glob("*.log")):
        text = log.read_text(errors="replace").splitlines()[-lines:]
        parts.append("\n".join([f"--- {log.name}", *text]))
    return "\n".join(parts)


def run_kubectl(kubeconfig: Path, *arguments: str, input: str | None = None, check: bool = True) -> str:
    """kubectl with this kubeconfig; a failure's own words are in the error."""
    command = [str(programs.path("kubectl")), f"--kubeconfig={kubeconfig}", *arguments]
    outcome = subprocess.run(command, input=input, capture_output=True, text=True)
    if outcome.returncode == 0:
        return outcome.stdout
    if check:
        raise PlaygroundError(
            f"`kubectl {' '.join(arguments)}` failed: {outcome.stderr.strip() or outcome.stdout.strip()}"
        )
    return outcome.stdout + outcome.stderr
