"""Everything that a site is made of, built once: programs beside images. Command line and tests call it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playground.build import images, packages, programs, worker_image


def everything() -> dict[str, Path]:
    """What was built (or was there), by name."""
    packages.need(*packages.PACKAGES)  # all in one go, before the long steps
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="prepare") as pool:
        built = pool.submit(programs.everything)
        made = pool.submit(_images)
        return {**built.result(), **made.result()}


def _images() -> dict[str, Path]:
    made = {f"image {name}": image.archive for name, image in images.build().items()}
    return {**made, "worker image": worker_image.tree()}
