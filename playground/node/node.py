"""One Kubernetes node in its own namespaces. The command line, the site and the tests call it.

It promises that `up` may be called at any time (it starts, repairs or does nothing), and that `down` leaves
no process, mount, namespace, interface or firewall rule on the machine. What the node is made of is in
daemons.py, how it is kept running in pid1.py, and how it is found and ended in namespaces.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playground.build import paths, programs
from playground.build.errors import PlaygroundError
from playground.build.packages import need
from playground.build.progress import step
from playground.node import containers, controlplane, daemons, forward, kubeconfig, namespaces, settle
from playground.node.certificates import Authority

# Survives `fresh`: the images, which take longest, and the local ports, which people have in their notes.
_KEPT = {"containerd", "forwards", "lock"}
_START_TIMEOUT = 180.0


class Node:
    """One instance of the playground's node, known by its name."""

    def __init__(self, name: str = "demo") -> None:
        self.name = name
        self.state: Path = paths.instance(name)
        self.kubeconfig: Path = self.state / "kubeconfig"

    @property
    def running(self) -> bool:
        """Whether the node's PID 1 lives; what runs inside is in `parts`."""
        return namespaces.running(self.state) is not None

    def up(self, fresh: bool = False) -> None:
        """Bring the node up to Ready; `fresh` wipes the cluster's state first and keeps the image store."""
        refuse_where_impossible()
        with self._locked():
            if fresh:
                self._end()
                self._wipe()
            known = (self.state / "etcd").exists()
            try:
                started = self._start_if_needed()
            except PlaygroundError:
                if self.running:
                    raise
                started = self._start_if_needed()  # it was just ending
            if started and known:
                settle.wait(lambda: self.kubectl("get", "pods", "-A", "-o", "json"), self.enter())

    def down(self) -> None:
        """End every process of the node; the kernel then takes its namespaces with it."""
        if self.state.is_dir():
            refuse_where_impossible()
            with self._locked():
                self._end()

    def parts(self) -> list[dict[str, Any]]:
        """The programs of the node: name, pid (inside), healthy, restarts, last_exit."""
        try:
            return list(json.loads((self.state / "parts.json").read_text()))
        except (FileNotFoundError, ValueError):
            return []

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> str:
        """Run kubectl as cluster admin and return what it printed; `check` raises on failure."""
        return controlplane.run_kubectl(self.kubeconfig, *args, input=input, check=check)

    def helm(self, *args: str) -> str:
        """Run helm as cluster admin and return what it printed."""
        command = [str(programs.path("helm")), f"--kubeconfig={self.kubeconfig}", *args]
        outcome = subprocess.run(command, capture_output=True, text=True)
        if outcome.returncode != 0:
            raise PlaygroundError(f"`helm {' '.join(args)}` failed: {outcome.stderr.strip()}")
        return outcome.stdout

    def load_image(self, tar: Path) -> None:
        """Put an `oci-archive` (with a reference name) into the image store, unless that digest is there."""
        containers.load(containers.Archive.read(tar), self.enter())

    def forward(self, name: str, host: str, port: int) -> int:
        """Make host:port, as the node sees it, reachable on 127.0.0.1; the local port is returned.

        `host` is an address or the name of a Service (`traefik-dask-gateway.gateway`). The same `name` gives
        the same local port for as long as the instance's state lives.
        """
        return forward.ensure(self.state / "forwards", name, host, port, self._pid(), need("nsenter")[0])

    def forwards(self) -> dict[str, str]:
        """What `forward` made so far: its name, and what leads where."""
        found = {}
        for path in sorted((self.state / "forwards").glob("*.json")):
            noted = json.loads(path.read_text())
            found[path.stem] = f"127.0.0.1:{noted['local']} -> {noted['host']}:{noted['port']}"
        return found

    def enter(self, *argv: str) -> list[str]:
        """The command line that runs `argv` inside the node's namespaces."""
        return [*namespaces.enter(self._pid()), *argv]

    def _pid(self) -> int:
        pid = namespaces.running(self.state)
        if pid is None:
            raise PlaygroundError(f"the playground {self.name!r} is not running: start it with `up`")
        return pid

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def _cgroup(self) -> str:
        return f"htcdask-{self.name}"

    def _end(self) -> None:
        namespaces.end(self.state)
        forward.wait_ended(self.state / "forwards")
        namespaces.remove_cgroups(self._cgroup)
        (self.state / "parts.json").unlink(missing_ok=True)

    def _wipe(self) -> None:
        for path in self.state.iterdir():
            if path.name in _KEPT:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _start_if_needed(self) -> bool:
        needed = not self.running
        with step(f"{'starting' if needed else 'checking'} the node {self.name!r}"):
            if needed:
                self._start()
            self._wait_until_ready()
        return needed

    def _start(self) -> None:
        self._end()  # what a crash may have left
        shutil.rmtree(self.state / "logs", ignore_errors=True)
        (self.state / "logs").mkdir()
        parts = daemons.plan(self.state, namespaces.make_cgroups(self._cgroup))
        plan = {
            "hostname": daemons.NODE_NAME,
            "address": daemons.NODE_ADDRESS,
            "network": daemons.NODE_NETWORK,
            "parts": [asdict(part) for part in parts],
        }
        (self.state / "plan.json").write_text(json.dumps(plan, indent=1) + "\n")
        need("ip", "iptables", "mount", "nsenter")
        _load_modules()
        namespaces.start(self.state)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        port = self.forward("kubernetes", daemons.NODE_ADDRESS, daemons.API_PORT)
        authority = Authority(self.state / "pki")
        admin = authority.issue("admin", "playground-admin", groups=["system:masters"])
        server = f"https://127.0.0.1:{port}"
        kubeconfig.write(self.kubeconfig, server, authority.pair.certificate, admin, self.name)
        self._wait_for_parts(deadline, server, authority.pair.certificate)
        wait = ("wait", "--timeout=120s")
        self.kubectl(*wait, "--for=create", f"node/{daemons.NODE_NAME}", "serviceaccount/default")
        self.kubectl(*wait, "--for=condition=Ready", f"node/{daemons.NODE_NAME}")

    def _wait_for_parts(self, deadline: float, server: str, authority: Path) -> None:
        while True:
            self._pid()
            noted = self.parts()
            waiting = [part["name"] for part in noted if not part["healthy"]]
            # What PID 1 noted may be older than a crash, so the API server is asked too.
            if noted and not waiting and controlplane.is_ready(server, authority):
                return
            if time.monotonic() > deadline:
                raise PlaygroundError(
                    f"{', '.join(waiting) or 'the node'} did not get healthy within {_START_TIMEOUT:.0f} s; "
                    f"the logs in {self.state / 'logs'} say:\n{controlplane.tail(self.state / 'logs', 4)}"
                )
            time.sleep(0.05)


def _load_modules() -> None:
    """Kernel modules that a plain Debian has on disk only; in many kernels they are built in."""
    wanted = {"br_netfilter": "/proc/sys/net/bridge", "overlay": "/sys/module/overlay"}
    for module, sign in wanted.items():
        if not Path(sign).exists():
            subprocess.run([*need("modprobe"), module], check=False, capture_output=True)


def refuse_where_impossible() -> None:
    """Say at once what this machine or this user lacks."""
    if sys.platform != "linux":
        raise PlaygroundError(f"the playground needs Linux (namespaces); this is {sys.platform}")
    if os.geteuid() != 0:
        raise PlaygroundError("the playground needs root for its namespaces: run it with sudo, or as root")
