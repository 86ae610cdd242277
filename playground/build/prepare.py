"""Everything that a site is made of, built once. Command line and tests call `everything`.

There are three lanes: programs, of which each takes all cores; what stands on the root file system of
HTCondor; what stands on Debian's. In a lane the longest comes first, but for what others stand on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from playground.build import images, packages, programs, pruning, rootfs_condor, rootfs_debian, worker_image
from playground.build.progress import say, step


@dataclass(frozen=True)
class Task:
    """One thing to build, how much work of one core it is (seconds, as measured), and where it will be."""

    name: str
    seconds: float
    target: Callable[[], Path]
    make: Callable[[], Path]


def _program(name: str, seconds: float) -> Task:
    return Task(name, seconds, partial(programs.target, name), partial(programs.path, name))


def _image(name: str, seconds: float) -> Task:
    return Task(
        f"image {name}", seconds, lambda: images.planned(name).archive, lambda: images.image(name).archive
    )


PROGRAMS = (
    _program("kube-apiserver", 500),
    _program("kubelet", 90),
    _program("kube-controller-manager", 60),
    _program("helm", 35),
    _program("kubectl", 35),
    _program("kube-proxy", 15),
    _program("coredns", 15),
    _program("kube-scheduler", 10),
    _program("traefik", 8),
)
ON_CONDOR = (
    Task("root file system with HTCondor", 45, rootfs_condor.target, rootfs_condor.build),
    _image("condor", 20),
    Task("worker image", 15, worker_image.target, worker_image.tree),
)
ON_DEBIAN = (
    Task("root file system of Debian", 45, rootfs_debian.target, rootfs_debian.build),
    _image("base", 8),
    _image("dask-deps", 50),
    _image("operator", 45),
    _image("jupyter-deps", 50),
    _image("dask", 15),
    _image("notebook", 15),
    _image("pause", 2),
    _image("traefik", 8),
)
LANES = (PROGRAMS, ON_CONDOR, ON_DEBIAN)


def everything() -> dict[str, Path]:
    """What was built (or was there), by name."""
    # All in one go, before the long steps. A browser is large, and only tests need one.
    packages.need(*(program for program in packages.PACKAGES if program not in packages.BROWSER))
    absent = missing()
    if absent:
        say(forecast(absent, os.cpu_count() or 1))
    made = _run()
    pruning.note(made.values())
    if absent:
        with step("removing from the cache what nobody needs any more"):
            freed = pruning.prune(time.time())
        if freed:
            say(f"{pruning.readable(freed)} of the cache are free again")
    return made


def missing() -> list[Task]:
    """What the cache has not got."""
    return [task for lane in LANES for task in lane if not task.target().exists()]


def forecast(tasks: Iterable[Task], cores: int) -> str:
    """What will be built, and how long that takes if nobody else uses the machine."""
    tasks = list(tasks)
    # Programs use all cores. The other two lanes use one each, and wait for each other's turn at buildah.
    beside = max(sum(task.seconds for task in lane if task in tasks) for lane in (ON_CONDOR, ON_DEBIAN))
    seconds = max(sum(task.seconds for task in tasks) / cores, beside)
    about = f"{seconds / 60:.0f} min" if seconds > 90 else f"{max(5, round(seconds, -1)):.0f} s"
    names = ", ".join(task.name for task in sorted(tasks, key=lambda task: -task.seconds))
    return f"To be built, once, about {about} on {cores} cores: {names}."


def _run() -> dict[str, Path]:
    def lane(tasks: tuple[Task, ...]) -> dict[str, Path]:
        return {task.name: task.make() for task in tasks}

    with ThreadPoolExecutor(max_workers=len(LANES), thread_name_prefix="prepare") as pool:
        lanes = [pool.submit(lane, tasks) for tasks in LANES]
        return {name: path for each in lanes for name, path in each.result().items()}
