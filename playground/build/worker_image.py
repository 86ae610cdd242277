"""The worker image as execute nodes see it: a folder below /cvmfs, as CVMFS publishes it. Site calls `tree`.

It is the image that schedulers run, without this project's code, so both sides have the same versions.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from playground.build import buildah, images, paths
from playground.build.progress import step

# Below the root that pods mount at /cvmfs: CVMFS publishes images by registry and name.
_REGISTRY = "unpacked.cern.ch/registry.hub.docker.com"
_NAME = "htcdask/worker:latest"
# Other names of the same folder, linked as CVMFS does: what a pool runs in when only an image was named.
_ALIASES = ("htcdask/dask:dev", "daskgateway/dask-gateway:latest", "ncsa/dask-public-health:latest")
_CONTAINER = "htcdask-unpack"


def tree() -> Path:
    """The folder to mount at /cvmfs; the image in it is unpacked by Apptainer if the cache has not got it."""
    worker, condor = images.image("dask-deps"), images.image("condor")
    # Apptainer writes files of its own into the folder, so its version counts as well.
    key = hashlib.sha256(repr((worker.key, condor.key, _NAME, _ALIASES)).encode()).hexdigest()[:16]
    root = paths.cache() / "cvmfs" / key
    if root.exists():
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with step("unpacking the worker image for /cvmfs"), buildah.turn():
        if not root.exists():
            _unpack(worker, condor, root)
    return root


def _unpack(worker: images.Image, condor: images.Image, root: Path) -> None:
    draft = root.with_name(f".{root.name}")
    shutil.rmtree(draft, ignore_errors=True)
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
    draft.replace(root)
