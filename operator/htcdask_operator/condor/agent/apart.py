"""Work on what others wrote, in a child that may die of it: an expression may cost any time, or end it.

Used by `sifted` and `analysis` for everything that evaluates a slot's or a user's ClassAd. The child has
the parent's ads, little processor time and memory, and no business with the network; what comes back is one
line of JSON.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from htcdask_operator.condor.errors import CondorError

SECONDS: Final = 4.0
"""Of processor time, which is what 3,000 slots take twenty times."""
WALL_SECONDS: Final = 8.0
MEMORY: Final = 256 * 2**20
"""Bytes beyond what the parent has."""

_LARGEST: Final = 4 * 2**20


def apart(
    what: str, work: Callable[[], Any], seconds: float = SECONDS, wall_seconds: float = WALL_SECONDS
) -> Any:
    """What `work` comes to; CondorError that names `what` where it does not come to an end.

    `seconds` are of processor time.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, writing, seconds)
    os.close(writing)
    try:
        answer = _read(reading, wall_seconds)
    finally:
        os.close(reading)
        os.kill(child, signal.SIGKILL)  # it has answered, or has had its time
        os.waitpid(child, 0)
    try:
        return json.loads(answer)
    except ValueError:
        raise CondorError(f"{what} takes too much time or memory, or ends the library of HTCondor") from None


def _work(work: Callable[[], Any], writing: int, seconds: float) -> NoReturn:
    try:
        gc.disable()  # it would touch, and so copy, all that the parent has
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.setitimer(signal.ITIMER_PROF, seconds)  # a limit counts whole seconds
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
        answer = json.dumps(work(), allow_nan=False).encode()
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer[:_LARGEST])
    finally:
        os._exit(0)


def _read(reading: int, seconds: float) -> bytes:
    until, parts = time.monotonic() + seconds, list[bytes]()
    while (left := until - time.monotonic()) > 0 and select.select([reading], [], [], left)[0]:
        part = os.read(reading, 65536)
        if not part:
            break
        parts.append(part)
    return b"".join(parts)
