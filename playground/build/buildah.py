"""Buildah with a store of its own in the cache. Only images.py and worker_image.py call it.

It promises one build at a time on a store (several playgrounds may share the cache), no mount left on the
machine, and the host's own settings for package downloads inside of a build, without copying them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.build import paths
from playground.build.errors import PlaygroundError
from playground.build.packages import need

# pip's configuration and everybody's certificates: mounted into builds where the host has them.
_HOST_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_turn = threading.Lock()


def build(
    tag: str, containerfile: Path, context: Path, arguments: dict[str, str], options: list[str]
) -> None:
    """Build `containerfile` and call the result `tag` in the store."""
    options = ["--quiet", "--tag", tag, "--file", str(containerfile), *options]
    options += [word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")]
    options += [word for file in _host_files() for word in ("--volume", f"{file}:{file}:ro")]
    run("bud", *options, str(context))


def ensure(tag: str, archive: Path) -> None:
    """Have this image in the store, from its archive if the archive outlived the store."""
    inspect = [*_command(), "inspect", "--type", "image", tag]
    if subprocess.run(inspect, capture_output=True, env=_environment()).returncode != 0:
        run("tag", run("pull", "--quiet", f"oci-archive:{archive}"), tag)


def export(tag: str, archive: Path, reference: str) -> None:
    """Write the image as an oci-archive that carries `reference`."""
    # zstd at its lowest level: gzip would take longer than the build of a changed layer.
    compression = ("--compression-format", "zstd", "--compression-level", "1")
    run("push", "--quiet", *compression, tag, f"oci-archive:{archive}:{reference}")


def empty() -> None:
    """Begin anew: the store is made again from the archives as it is needed."""
    with turn():
        for part in ("store", "run"):
            shutil.rmtree(paths.cache() / "buildah" / part, ignore_errors=True)


def has_container(name: str) -> bool:
    """Is this working container in the store?"""
    return name in run("containers", "--format", "{{.ContainerName}}").split()


def run(*arguments: str) -> str:
    """Run buildah; what it said goes into the error if it fails."""
    outcome = subprocess.run([*_command(), *arguments], capture_output=True, text=True, env=_environment())
    if outcome.returncode != 0:
        said = f"{outcome.stdout}\n{outcome.stderr}".strip()[-4000:]
        raise PlaygroundError(f"`buildah {' '.join(arguments)}` failed:\n{said}")
    return outcome.stdout.strip()


@contextmanager
def turn() -> Iterator[None]:
    """Hold the store: one build at a time, over all threads and processes."""
    folder = paths.cache() / "buildah"
    folder.mkdir(parents=True, exist_ok=True)
    with _turn, (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _command() -> list[str]:
    unshare, buildah = need("unshare", "buildah")
    store = paths.cache() / "buildah"
    # In a mount namespace of its own, so that the store's mounts end with the command.
    command = [unshare, "--mount", buildah, "--storage-driver", "overlay"]
    return [*command, "--root", str(store / "store"), "--runroot", str(store / "run")]


def _environment() -> dict[str, str]:
    return {**os.environ, "BUILDAH_ISOLATION": "chroot"}


def _host_files() -> list[str]:
    return [file for file in _HOST_FILES if Path(file).exists()]
