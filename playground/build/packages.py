"""Programs that come from Debian. Whoever needs one asks here and gets its path or a clear refusal."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.build.errors import PlaygroundError
from playground.build.progress import step

# Which Debian package brings a program (or, with a slash, a file).
PACKAGES = {
    "buildah": "buildah",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "containerd": "containerd",
    "ctr": "containerd",
    "etcd": "etcd-server",
    "docker-registry": "docker-registry",
    "go": "golang-go",
    "ip": "iproute2",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "modprobe": "kmod",
    "mount": "mount",
    "nsenter": "util-linux",
    "runc": "runc",
    "unshare": "util-linux",
    "/etc/ssl/certs/ca-certificates.crt": "ca-certificates",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
BROWSER = ("chromium", "chromedriver")
_SYSTEM_PATHS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def find(program: str) -> str | None:
    """The path of a program of the table above, or None."""
    if program.startswith("/"):
        return program if Path(program).exists() else None
    # Debian keeps runc and friends out of an ordinary user's PATH.
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(_SYSTEM_PATHS))


def need(*programs: str) -> list[str]:
    """The paths of these programs; what is missing is installed where that is possible."""
    missing = [program for program in programs if find(program) is None]
    if missing:
        _install(sorted({PACKAGES[program] for program in missing}))
    found = [find(program) for program in programs]
    absent = [program for program, path in zip(programs, found, strict=True) if path is None]
    if absent:
        raise PlaygroundError(f"{', '.join(absent)} still missing after the installation of its package")
    return [path for path in found if path is not None]


def _install(packages: Iterable[str]) -> None:
    names = " ".join(packages)
    if shutil.which("apt-get") is None:
        raise PlaygroundError(f"please install what Debian calls: {names} (this machine has no apt-get)")
    if os.geteuid() != 0:
        raise PlaygroundError(f"please run as root: apt-get install {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {names}"), _services_stay_off():
        command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"]
        outcome = subprocess.run([*command, *names.split()], env=environment, capture_output=True, text=True)
        if outcome.returncode != 0:
            subprocess.run(["apt-get", "update"], env=environment, check=False, capture_output=True)
            outcome = subprocess.run(
                [*command, *names.split()], env=environment, capture_output=True, text=True
            )
        if outcome.returncode != 0:
            raise PlaygroundError(f"apt-get install {names} failed:\n{outcome.stderr.strip()[-2000:]}")


@contextmanager
def _services_stay_off() -> Iterator[None]:
    """Debian starts a package's service at its installation; the playground starts its own copies."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink()
