"""What workers ask HTCondor for, and sums of it: what limits count."""

from __future__ import annotations

import enum
import functools
import math
from typing import Final, NamedTuple

from htcdask_api import Template


class Kind(enum.IntEnum):
    """What is counted: the place of it in a `Size`."""

    WORKERS = 0
    CORES = 1
    MEMORY = 2
    GPUS = 3


class Size(NamedTuple):
    """So many workers, and what they request together."""

    workers: int = 0
    cores: int = 0
    memory_mib: int = 0
    gpus: int = 0


NOTHING: Final = Size()
ONE: Final = Size(1)


@functools.lru_cache(maxsize=4096)
def of_worker(cores: int | None, memory_mib: int | None, gpus: int | None) -> Size:
    """Of one worker, by what its job requests; a job that does not say runs on one core at the least."""
    return Size(1, cores or 1, memory_mib or 0, gpus or 0)


def of_template(template: Template) -> Size:
    """Of the next worker of this template."""
    return of_worker(template.cores, math.ceil(template.memory_bytes / 2**20), template.gpus)


def larger(one: Size, other: Size) -> Size:
    """The larger of each kind."""
    return Size(*map(max, one, other))


def plus(one: Size, other: Size, times: int = 1) -> Size:
    """The sum; with `times=-1` the difference."""
    return Size(*(mine + times * its for mine, its in zip(one, other, strict=True)))
