"""The worker image as execute nodes see it: a folder below /cvmfs, as CVMFS publishes it. Site calls `tree`.

It is the image that schedulers run, without this project's code, so both sides have the same versions.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from playground.build import buildah, cache, images, paths

# Below the root that pods mount at /cvmfs: CVMFS publishes images by registry and name.
_REGISTRY = "unpacked.cern.ch/registry.hub.docker.com"
_NAME = "htcdask/worker:latest"
# Other names of the same folder, linked as CVMFS does: what a pool runs in when only an image was named.
_ALIASES = ("htcdask/dask:dev", "daskgateway/dask-gateway:latest", "ncsa/dask-public-health:latest")
_CONTAINER = "htcdask-unpack"


def target() -> Path:
    """Where that folder lies, or will lie."""
    return _target(images.planned("dask-deps"), images.planned("condor"))


def tree() -> Path:
    """The folder to mount at /cvmfs; the image in it is unpacked by Apptainer if the cache has not got it."""
    worker, condor = images.image("dask-deps"), images.image("condor")
    what = "unpacking the worker image for /cvmfs"
    return cache.once(
        _target(worker, condor), what, lambda draft: _unpack(worker, condor, draft), buildah.turn
    )


def _target(worker: images.Image, condor: images.Image) -> Path:
    # Apptainer writes files of its own into the folder, so its version counts as well.
    key = hashlib.sha256(repr((worker.key, condor.key, _NAME, _ALIASES)).encode()).hexdigest()[:16]
    return paths.cache() / "cvmfs" / key


def _unpack(worker: images.Image, condor: images.Image, draft: Path) -> None:
    (draft / _REGISTRY / _NAME).parent.mkdir(parents=True)
    for alias in _ALIASES:
        link = draft / _REGISTRY / alias
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(f"../{_NAME}")
    if buildah.has_container(_CONTAINER):
        buildah.run("rm", _CONTAINER)
    buildah.ensure(condor.tag, condor.archive)
    buildah.run("from", "--name", _CONTAINER, "--pull-never", condor.tag)
    try:
        mounts = ["--volume", f"{worker.archive}:/image.tar:ro", "--volume", f"{draft}:/out"]
        command = ["apptainer", "build", "--sandbox", f"/out/{_REGISTRY}/{_NAME}", "oci-archive:/image.tar"]
        buildah.run("run", "--cap-add=CAP_MKNOD", *mounts, _CONTAINER, "--", *command)
    finally:
        buildah.run("rm", _CONTAINER)
