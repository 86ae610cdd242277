"""The namespaces of a node, from the outside: start, find, enter, end. Only node.py calls it.

A node is known by the process that is PID 1 inside. Its number could be given to somebody else once it has
ended, so the time at which it started is kept and compared too.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from playground.build import paths
from playground.build.errors import PlaygroundError
from playground.build.packages import need

_NAMESPACES = ("--net", "--mount", "--pid", "--uts", "--ipc")
_PID1 = paths.SOURCE / "node" / "pid1.py"
_CGROUPS = Path("/sys/fs/cgroup")
_EXITING = 0x4  # PF_EXITING in the flags of /proc/PID/stat


def start(state: Path) -> int:
    """Start PID 1 in new namespaces and return its number as the machine sees it."""
    unshare = need("unshare")[0]
    # The shell ends at once, so the node is nobody's child: it outlives us and leaves no zombie.
    script = 'setsid "$@" </dev/null >"$0" 2>&1 & echo $!'
    log = state / "logs" / "pid1.log"
    program = [sys.executable, "-I", str(_PID1), str(state)]
    command = [unshare, *_NAMESPACES, "--fork", "--kill-child", "--mount-proc", "--", *program]
    outer = int(
        subprocess.run(["sh", "-c", script, str(log), *command], capture_output=True, check=True).stdout
    )
    pid = _child(outer)
    if pid is None:
        raise PlaygroundError(f"the node's namespaces could not be made: {log.read_text().strip()}")
    (state / "node.json").write_text(json.dumps({"pid": pid, "outer": outer, "started": _started(pid)}))
    return pid


def running(state: Path) -> int | None:
    """The number of the node's PID 1, or None when the node is not running."""
    pid = _noted(state)
    return None if pid is None or _is_ending(pid) else pid


def enter(pid: int) -> list[str]:
    """What to put before a command so that it runs inside."""
    return [need("nsenter")[0], f"--target={pid}", *_NAMESPACES, "--"]


def end(state: Path, timeout: float = 30) -> None:
    """Kill the node; returns when no process of it is left."""
    pid = _noted(state)
    # A start that was interrupted at a bad moment left a node that nobody noted.
    for process in [*([pid] if pid else []), *_strays(state)]:
        try:
            handle = os.pidfd_open(process)
        except ProcessLookupError:
            continue
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            # PID 1 counts as ended only after the kernel has ended all others of its namespace.
            if not select.select([handle], [], [], timeout)[0]:
                raise PlaygroundError(f"process {process} of the node did not end within {timeout:.0f} s")
        except ProcessLookupError:
            continue
        finally:
            os.close(handle)
    (state / "node.json").unlink(missing_ok=True)


def make_cgroups(name: str) -> str:
    """One group for the node's pods in every hierarchy; returns its name as the kubelet wants it."""
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
    control = _CGROUPS / "cgroup.subtree_control"
    if control.exists():
        for controller in (_CGROUPS / "cgroup.controllers").read_text().split():
            with contextlib.suppress(OSError):  # the kubelet says which of them it misses
                control.write_text(f"+{controller}")
    return f"/{name}"


def remove_cgroups(name: str, timeout: float = 10) -> None:
    """Remove the node's groups; those of processes that are just ending take a moment."""
    deadline = time.monotonic() + timeout
    for hierarchy in _hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            while Path(folder).exists():
                try:
                    Path(folder).rmdir()
                except OSError:
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.02)


def _hierarchies() -> list[Path]:
    if (_CGROUPS / "cgroup.procs").exists():
        return [_CGROUPS]
    return [path for path in _CGROUPS.iterdir() if (path / "cgroup.procs").exists() and not path.is_symlink()]


def _child(outer: int, timeout: float = 10) -> int | None:
    children = Path(f"/proc/{outer}/task/{outer}/children")
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            found = children.read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        if found:
            return int(found[0])
        time.sleep(0.01)
    return None


def _noted(state: Path) -> int | None:
    """The PID 1 that `start` noted, unless it is gone or its number is somebody else's now."""
    try:
        noted = json.loads((state / "node.json").read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid, started = int(noted["pid"]), noted["started"]
    return pid if started is not None and _started(pid) == started else None


def _strays(state: Path) -> list[int]:
    """The processes that carry a node of this state folder: its PID 1 and what waits for that one."""
    ending = f"{_PID1.name}\0{state}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if (folder / "cmdline").read_bytes().endswith(ending):
                found.append(int(folder.name))
    return found


def _is_ending(pid: int) -> bool:
    fields = _stat(pid)
    return fields is None or bool(int(fields[6]) & _EXITING)


def _started(pid: int) -> int | None:
    """When a process started, in ticks since boot; None when it is gone or only waits to be collected."""
    fields = _stat(pid)
    return None if fields is None or fields[0] in "ZX" else int(fields[19])


def _stat(pid: int) -> list[str] | None:
    """What the kernel tells about a process, from its state on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
