"""The root file system of the access point and execute node: Debian with HTCondor and Apptainer.

The site makes its condor image from `build()`; the bare pool runs on `unpacked()`. Both are built once into
the cache, under a key made of everything that goes in.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.build import paths
from playground.build.errors import PlaygroundError
from playground.build.packages import need
from playground.build.progress import step

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


def build() -> Path:
    """A tar of the root file system, without configuration of ours (see CONFIG)."""
    target = _folder() / "condor.tar"
    with _locked():
        if not target.exists():
            draft = target.with_suffix(".new.tar")
            with step("installing HTCondor and Apptainer into a Debian root file system"):
                _bootstrap(draft)
            draft.replace(target)
    return target


def unpacked() -> Path:
    """The same as a folder, to be mounted read-only below an overlay."""
    archive = build()
    target = _folder() / "root"
    with _locked():
        if not target.exists():
            draft = target.with_name(".root.new")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            with step("unpacking the root file system of HTCondor"):
                command = ["tar", "--extract", "--numeric-owner", "--exclude=./dev/*"]
                subprocess.run([*command, "--file", str(archive), "-C", str(draft)], check=True)
            draft.replace(target)
    return target


def _bootstrap(target: Path) -> None:
    command = [
        *need("mmdebstrap"),
        "--variant=minbase",
        # The mirror may be a snapshot whose lists have expired.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        f"--include={','.join(_PACKAGES)}",
        *(f"--customize-hook={hook}" for hook in _HOOKS),
        _SUITE,
        str(target),
    ]
    outcome = subprocess.run(command, capture_output=True, text=True)
    if outcome.returncode != 0:
        raise PlaygroundError(
            f"mmdebstrap could not install {', '.join(_PACKAGES)} from Debian {_SUITE}; its last lines:\n"
            + outcome.stderr[-2000:]
        )


def _folder() -> Path:
    digest = hashlib.sha256("\0".join((_SUITE, *_PACKAGES, *_HOOKS)).encode()).hexdigest()[:16]
    folder = paths.cache() / "condor" / digest
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked() -> Iterator[None]:
    """Only one process builds; the others wait for it."""
    with (_folder() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
