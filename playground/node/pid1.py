"""The first process of a node. namespaces.py starts it, by path, in new namespaces; it needs Python only.

It makes the folders and the network that the node has for itself, starts the parts of `plan.json` in their
order, restarts what ends, and writes `parts.json` whenever something changed. It never stops anything: the
kernel does that, for all parts at once, when this process is killed.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_INTERFACE = "node0"
_TICK = 0.1
_RESTART_AFTER = 0.5
# The kubelet sets these for the whole machine. In the node they read as it wants them, so it sets nothing.
_TUNABLES = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


@dataclass
class Running:
    """What is known about a part; this is what `parts.json` holds."""

    name: str
    pid: int = 0
    healthy: bool = False
    restarts: int = 0
    last_exit: int | None = None
    not_before: float = 0.0


def main(state: Path) -> None:
    """Never returns."""
    plan = json.loads((state / "plan.json").read_text())
    make_folders(state, plan["hostname"], plan["address"])
    make_network(plan["network"])
    keep(state, plan["parts"])


def make_folders(state: Path, hostname: str, address: str) -> None:
    """Private copies of everything that two nodes, or a node and the machine, would fight over."""
    own = state / "etc"
    resolver = Path("/etc/resolv.conf").resolve()  # often a link into /run, which is about to be empty
    _run("mount", "--make-rprivate", "/")
    _fresh_sys()
    for folder in ("/run", "/var/log"):
        _run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", folder)
    for folder in ("/run/node/upper", "/run/node/work", "/run/lock"):
        Path(folder).mkdir(parents=True)
    # Some paths below /var/lib are fixed in the kubelet and in libcni: what they write stays in memory.
    layers = "lowerdir=/var/lib,upperdir=/run/node/upper,workdir=/run/node/work"
    _run("mount", "-t", "overlay", "-o", layers, "overlay", "/var/lib")
    socket.sethostname(hostname)
    _bind(own / "hosts", Path("/etc/hosts"), f"127.0.0.1 localhost\n{address} {hostname}\n")
    search = "search svc.cluster.local cluster.local\noptions ndots:3\n"
    _bind(own / "resolv.conf", resolver, f"nameserver {address}\n{search}")
    for name, value in _TUNABLES.items():
        _bind(own / "sysctl" / name, Path("/proc/sys") / name, f"{value}\n")
    # Pods' mounts must be seen by the kubelet and the other way round.
    _run("mount", "--make-rshared", "/")


def make_network(network: str) -> None:
    """One interface with the node's address; a bridge, since not every kernel has dummy interfaces."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "link", "add", _INTERFACE, "type", "bridge")
    _run("ip", "address", "add", network, "dev", _INTERFACE)
    _run("ip", "link", "set", _INTERFACE, "up")
    _run("ip", "route", "add", "default", "dev", _INTERFACE)
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    bridged = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    if bridged.exists():
        bridged.write_text("1")


def keep(state: Path, parts: list[dict[str, Any]]) -> None:
    """Start, watch, restart, for ever."""
    signals = {signal.SIGCHLD, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    known = {part["name"]: Running(part["name"]) for part in parts}
    published = ""
    while True:
        _reap(known)
        for part in parts:
            running = known[part["name"]]
            startable = all(known[other].healthy for other in part["after"])
            if not running.pid and startable and time.monotonic() >= running.not_before:
                running.pid = _start(state, part)
            elif running.pid and not running.healthy:
                running.healthy = is_healthy(part["health"])
        current = json.dumps([asdict(running) for running in known.values()], indent=1)
        if current != published:
            _publish(state / "parts.json", current)
            published = current
        settled = all(running.pid and running.healthy for running in known.values())
        caught = signal.sigtimedwait(signals, 60 if settled else _TICK)
        if caught and caught.si_signo == signal.SIGTERM:
            os._exit(0)  # as PID 1: the kernel kills everything else


def is_healthy(url: str) -> bool:
    """Whether a part answers on its health URL; `unix:PATH` asks only whether somebody listens there."""
    if url.startswith("unix:"):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(url.removeprefix("unix:")) == 0
    # The parts' health ports have certificates of their own making, and are on this node's loopback.
    context = ssl._create_unverified_context()  # noqa: S323
    try:
        with urllib.request.urlopen(url, timeout=2, context=context) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return False


def _reap(known: dict[str, Running]) -> None:
    by_pid = {running.pid: running for running in known.values() if running.pid}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        ended = by_pid.get(pid)
        if ended:
            ended.pid, ended.healthy = 0, False
            ended.restarts += 1
            ended.last_exit = os.waitstatus_to_exitcode(status)
            ended.not_before = time.monotonic() + _RESTART_AFTER


def _start(state: Path, part: dict[str, Any]) -> int:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ETCD_")}
    log = os.open(state / "logs" / f"{part['name']}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.execve(part["command"][0], part["command"], environment)  # noqa: S606
        finally:
            os._exit(127)
    os.close(log)
    return pid


def _fresh_sys() -> None:
    """A /sys that shows this network namespace, and still the machine's cgroups."""
    aside = Path("/run")
    _run("mount", "--rbind", "/sys/fs/cgroup", str(aside))
    _run("mount", "-t", "sysfs", "sysfs", "/sys")
    _run("mount", "--rbind", str(aside), "/sys/fs/cgroup")
    _run("umount", "--recursive", "--lazy", str(aside))


def _bind(source: Path, target: Path, content: str) -> None:
    if not target.exists() and str(target).startswith("/proc/"):
        return  # a kernel without this tunable
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(content)
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _run("mount", "--bind", str(source), str(target))


def _publish(path: Path, content: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(content + "\n")
    draft.replace(path)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
