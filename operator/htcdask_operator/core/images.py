"""What a worker's image is to HTCondor, and which of them would be a window into the execute node.

Called by `spec_checks` and `submission`. A folder is run as it is, as the root of the worker's file system:
only where the site keeps unpacked images may one be named. A .sif file is an image wherever it lies.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence


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
    """Whether it is a folder outside (or no deeper than) all trees of unpacked images."""
    if kind(image) is not Kind.FOLDER:
        return False
    return not any(image.rstrip("/").startswith(tree.rstrip("/") + "/") for tree in trees)
