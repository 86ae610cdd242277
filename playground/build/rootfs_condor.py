"""The root file system of the access point and execute node: Debian with HTCondor and Apptainer.

The site makes its condor image from `build()`; the bare pool runs on `unpacked()`. Both are built once into
the cache, under a key made of everything that goes in.
"""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from playground.build import cache, paths
from playground.build.errors import PlaygroundError
from playground.build.packages import need

CONFIG = paths.SOURCE / "condor" / "condor.conf"
CONFIG_TARGET = "etc/condor/config.d/50-htcdask"
USERS = {"dask": 2001, "alice": 2002, "bob": 2003}
DOMAIN = "htcdask.test"

_SUITE = "sid"  # the first Debian with HTCondor 25 and Apptainer
_PACKAGES = ("minicondor", "apptainer", "ca-certificates", "procps", "iproute2")
_HOOKS = (
    *(f'chroot "$1" useradd --create-home --uid {uid} {user}' for user, uid in USERS.items()),
    'install -d -m 700 "$1/etc/condor/passwords.d" "$1/etc/condor/tokens.d"',
    'install -d "$1/cvmfs"',
)


def target() -> Path:
    """Where its tar lies, or will lie."""
    digest = hashlib.sha256("\0".join((_SUITE, *_PACKAGES, *_HOOKS)).encode()).hexdigest()[:16]
    return paths.cache() / "condor" / digest / "condor.tar"


def build() -> Path:
    """A tar of the root file system, without configuration of ours (see CONFIG)."""
    return cache.once(
        target(), "installing HTCondor and Apptainer into a Debian root file system", _bootstrap
    )


def unpacked() -> Path:
    """The same as a folder, to be mounted read-only below an overlay."""
    archive = build()
    what = "unpacking the root file system of HTCondor"
    return cache.once(archive.with_name("root"), what, lambda draft: _unpack(archive, draft))


def _unpack(archive: Path, draft: Path) -> None:
    draft.mkdir()
    command = ["tar", "--extract", "--numeric-owner", "--exclude=./dev/*"]
    subprocess.run([*command, "--file", str(archive), "-C", str(draft)], check=True)


def _bootstrap(draft: Path) -> None:
    command = [
        *need("mmdebstrap"),
        "--variant=minbase",
        "--format=tar",
        # The mirror may be a snapshot whose lists have expired.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(_PACKAGES)}",
        *(f"--customize-hook={hook}" for hook in _HOOKS),
        _SUITE,
        str(draft),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode != 0:
        raise PlaygroundError(
            f"mmdebstrap could not install {', '.join(_PACKAGES)} from Debian {_SUITE}; its last lines:\n"
            + outcome.stderr[-2000:]
        )
