"""The root file system below the playground's own images: Debian with Python. Only images.py calls it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from playground.build import cache, paths
from playground.build.errors import PlaygroundError
from playground.build.packages import need

# Its Python is 3.11: in later ones a broken TLS connection can end another one of the same process
# (cpython#148594), and schedulers closed a client whenever a nanny had hung up.
_SUITE = "bookworm"
_PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "procps",
    "python-is-python3",
    "python3",
    "python3-pip",
    "python3-venv",
    "tini",
)
# Nobody reads manuals in a container.
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


def target() -> Path:
    """Where its tar lies, or will lie."""
    key = hashlib.sha256(repr((_SUITE, _PACKAGES, _LEFT_OUT)).encode()).hexdigest()[:16]
    return paths.cache() / "rootfs" / f"{_SUITE}-{key}.tar"


def build() -> Path:
    """The tar of the root file system, made once for each list of packages."""
    return cache.once(target(), f"making a root file system of Debian {_SUITE}", _make)


def _make(draft: Path) -> None:
    options = ["--quiet", "--variant=minbase", "--format=tar", f"--include={','.join(_PACKAGES)}"]
    options += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    command = [*need("mmdebstrap"), *options, _SUITE, str(draft)]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode != 0:
        raise PlaygroundError(f"mmdebstrap {_SUITE} failed:\n{outcome.stderr.strip()[-3000:]}")
