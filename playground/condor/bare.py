"""HTCondor on loopback, without Kubernetes: one machine of invented size. Tests and benchmarks use it.

It runs in its own mount, PID and UTS namespaces on an overlay above the cached root file system. Leaving the
`with` block, or the death of this process, ends all of it; nothing is left on the machine.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from playground.build import rootfs_condor
from playground.build.errors import PlaygroundError
from playground.build.packages import need

SCHEDD = "ap@condor"
_INIT = Path(__file__).with_name("bare.sh")
_START_SECONDS = 60.0
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}


class BarePool:
    """`with BarePool(folder) as pool`: a collector at `pool.address` that knows the schedd `pool.schedd`.

    `cvmfs` is a folder of the host that jobs see, read-only, as /cvmfs. `settings` are lines of HTCondor
    configuration that win over condor.conf.
    """

    def __init__(self, state: Path, cvmfs: Path | None = None, settings: str = "") -> None:
        if os.geteuid() != 0:
            raise PlaygroundError("a bare HTCondor needs root on Linux (namespaces and mounts)")
        self.schedd = SCHEDD
        self.port = _free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._state = state.resolve()
        self._cvmfs = cvmfs
        self._settings = settings
        self._init: subprocess.Popen[str] | None = None
        self._pid = ""

    def __enter__(self) -> Self:
        root = rootfs_condor.unpacked()
        self._wipe()
        self._state.mkdir(parents=True, exist_ok=True)
        self._configure()
        words = [str(word) for word in (_INIT, root, self._state, self._cvmfs) if word is not None]
        self._init = subprocess.Popen(
            [*need("unshare"), "--mount", "--pid", "--uts", "--fork", "bash", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert self._init.stdout is not None
            self._pid = self._init.stdout.readline().strip()
            if not self._pid:
                raise PlaygroundError("the bare HTCondor's root file system could not be mounted, see above")
            self.start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def start(self) -> None:
        """Start the daemons and wait until the collector knows schedd, slot and negotiator."""
        self.run("condor_master")
        self._await("Scheduler", "Negotiator", "Machine")

    def stop(self) -> None:
        """End all daemons, as a reboot of the machine does; the queue stays on disk."""
        self.run("condor_off", "-fast", "-master")
        deadline = time.monotonic() + _START_SECONDS
        while self.run("pgrep", "-x", "condor_master", check=False):
            if time.monotonic() > deadline:
                raise PlaygroundError("condor_master does not end")
            time.sleep(0.05)

    def stop_schedd(self) -> None:
        """End the schedd alone; running jobs go on."""
        self.run("condor_off", "-fast", "-daemon", "schedd")
        deadline = time.monotonic() + _START_SECONDS
        while self.run("pgrep", "-x", "condor_schedd", check=False):
            if time.monotonic() > deadline:
                raise PlaygroundError("condor_schedd does not end")
            time.sleep(0.05)

    def start_schedd(self) -> None:
        """Start it again and wait until it answers, and until the collector knows it (perhaps as it was)."""
        self.run("condor_on", "-daemon", "schedd")
        deadline = time.monotonic() + _START_SECONDS
        while not self.run("condor_q", "-allusers", "-totals", check=False):
            if time.monotonic() > deadline:
                raise PlaygroundError("condor_schedd does not answer")
            time.sleep(0.05)
        self._await("Scheduler")

    def token(self, user: str, *authorizations: str, lifetime: int | None = None) -> str:
        """An IDTOKEN of `user`, good for READ and WRITE (or what is said) as long as the pool lives."""
        words = [w for a in authorizations or ("READ", "WRITE") for w in ("-authz", a)]
        if lifetime is not None:
            words += ["-lifetime", str(lifetime)]
        return self.run("condor_token_create", "-identity", f"{user}@{rootfs_condor.DOMAIN}", *words).strip()

    def run(self, *argv: str, user: str | None = None, input: str | None = None, check: bool = True) -> str:
        """What a command printed that ran inside, as root or as `user`."""
        outcome = subprocess.run(
            self.enter(*argv, user=user), input=input, capture_output=True, text=True, env=_ENVIRONMENT
        )
        if check and outcome.returncode != 0:
            raise PlaygroundError(f"`{' '.join(argv)}` failed inside the bare HTCondor:\n{outcome.stderr}")
        return outcome.stdout

    def enter(self, *argv: str, user: str | None = None) -> list[str]:
        """The command line that runs `argv` inside the pool's namespaces."""
        become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--reset-env"]
        inner = [*become, *argv] if user else [*argv]
        return [*need("nsenter"), "--target", self._pid, "--mount", "--uts", "--pid", *inner]

    def path(self, inside: str) -> Path:
        """Where the host sees the pool's file `inside`."""
        return Path(f"/proc/{self._pid}/root") / inside.lstrip("/")

    def _configure(self) -> None:
        local = (
            "NETWORK_INTERFACE = 127.0.0.1\n"
            f"COLLECTOR_HOST = 127.0.0.1:{self.port}\n"
            f"SHARED_PORT_PORT = {self.port}\n" + self._settings
        )
        target = self._state / "upper" / rootfs_condor.CONFIG_TARGET
        target.parent.mkdir(parents=True)
        shutil.copyfile(rootfs_condor.CONFIG, target)
        target.with_name("60-bare").write_text(local)

    def _await(self, *kinds: str) -> None:
        deadline = time.monotonic() + _START_SECONDS
        known: set[str] = set()
        while not known.issuperset(kinds):
            if time.monotonic() > deadline:
                raise PlaygroundError(
                    f"the collector of the bare HTCondor knows {sorted(known)} but not all of {kinds}; "
                    f"its master says:\n{self.run('tail', '-n', '20', '/var/log/condor/MasterLog')}"
                )
            time.sleep(0.05)
            known = set(self.run("condor_status", "-any", "-af", "MyType", check=False).split())

    def _end(self) -> None:
        if self._init is not None:
            assert self._init.stdin is not None and self._init.stdout is not None
            self._init.stdin.close()
            self._init.wait()
            self._init.stdout.close()
            self._init = None
        self._wipe()

    def _wipe(self) -> None:
        for part in ("root", "upper", "work"):
            if (self._state / part).exists():
                shutil.rmtree(self._state / part)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
