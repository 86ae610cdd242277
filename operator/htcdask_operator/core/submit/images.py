"""What a worker's image is to HTCondor, and which of them would be a window into the execute node.

Called by `checks.spec` and `descriptions`. A folder is run as it is, as the root of the worker's file system:
only where the site keeps unpacked images may one be named. A .sif file is an image wherever it lies, but for
where any worker can put a link or a folder of that name.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from typing import Final

# HTCondor's folders for jobs: the only ones of the execute node that a worker in its container has.
_SCRATCH: Final = re.compile(r"/(?:.*/)?dir_[0-9]+/.*")


class Kind(enum.Enum):
    """How HTCondor runs it; the value is what an execute node says of itself that can."""

    DOCKER = "HasDockerURL"
    SIF = "HasSIF"
    FOLDER = "HasSandboxImage"


def kind(image: str) -> Kind:
    """By the beginning and the ending, as condor_submit tells them apart."""
    if image.startswith("docker://"):
        return Kind.DOCKER
    if image.startswith("oras://") or image.endswith(".sif"):
        return Kind.SIF
    return Kind.FOLDER


def is_window(image: str, trees: Sequence[str]) -> bool:
    """Whether it is a folder outside (or no deeper than) all trees of unpacked images, or could be one."""
    if kind(image) is not Kind.FOLDER:
        return _SCRATCH.fullmatch(image) is not None
    return not any(image.rstrip("/").startswith(tree.rstrip("/") + "/") for tree in trees)
