"""What a machine shows of a node: for the tests that it shows nothing, or nothing any more."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from playground.build.packages import need


@dataclass(frozen=True)
class Machine:
    """The machine's own interfaces, firewall and settings: the same before, during and after a node."""

    interfaces: tuple[str, ...]
    firewall: tuple[str, ...]
    tunables: tuple[str, ...]

    @classmethod
    def look(cls) -> Machine:
        ip, _ = need("ip", "iptables")
        saved = _output("iptables-save")
        return cls(
            interfaces=tuple(line.split()[0] for line in _output(ip, "-brief", "link").splitlines()),
            firewall=tuple(line for line in saved.splitlines() if not line.startswith(("#", ":"))),
            tunables=tuple(
                Path("/proc/sys", name).read_text()
                for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
            ),
        )


def processes(state: Path) -> list[str]:
    """The command lines of all processes that have to do with the node in this state folder."""
    return [line for line in _command_lines() if str(state) in line]


def mounts(state: Path) -> list[str]:
    """The machine's mounts that have to do with it."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if str(state) in line or " /run/containerd" in line]


def namespaces(pid: int) -> set[str]:
    """The namespaces of a process that are not ours."""
    return _namespaces(Path(f"/proc/{pid}")) - _namespaces(Path("/proc/self"))


def inhabited(wanted: set[str]) -> set[str]:
    """Those of the namespaces that some process is still in."""
    return wanted & {name for folder in Path("/proc").glob("[0-9]*") for name in _namespaces(folder)}


def cgroups(name: str) -> list[Path]:
    """The groups of that name in any hierarchy."""
    return [
        path
        for path in (Path("/sys/fs/cgroup") / name, *Path("/sys/fs/cgroup").glob(f"*/{name}"))
        if path.exists()
    ]


def _namespaces(process: Path) -> set[str]:
    found = set()
    for kind in ("net", "mnt", "pid", "uts", "ipc"):
        try:
            found.add(str((process / "ns" / kind).readlink()))
        except OSError:
            continue  # it ended meanwhile
    return found


def _command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue
    return lines


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
