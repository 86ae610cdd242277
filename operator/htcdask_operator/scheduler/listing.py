"""What a scheduler without its info pages may still tell of its workers, in JSON -> `SchedulerWorkers`. Pure.

`/api/v1/get_workers` names them, and not what they do. `/json/counts.json` has how many there are, and no
names. User code may answer anything: nothing is kept of names that nobody asked for. JSON is parsed whole,
and one byte of it may come to thirty (`[{"":0},…`), so its parts are counted before.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from htcdask_operator.core.model import SchedulerWorkers, Unnamed, WorkerName
from htcdask_operator.scheduler.page import NotAPageError

_BYTES: Final = 64 * 2**10
"""For six hundred workers that are not ours."""
_BYTES_EACH: Final = 512
"""For each of ours: 80 in distributed 2026.8, 320 where host names have 253 letters."""
_MARKS: Final = b"{[,"
"""One comes before each part of JSON but the first: a worker has three, and four with an IPv6 address."""
_PARTS: Final = 5_000
_PARTS_EACH: Final = 16
"""So that workers fill the bytes before they have too many parts; a part costs 140 bytes at the most."""


def most_bytes(ours: int) -> int:
    """Of an answer, where so many workers are ours."""
    return _BYTES + _BYTES_EACH * ours


def read(text: bytes | bytearray, ours: Collection[WorkerName], begin: int = 0) -> SchedulerWorkers:
    """Those of `ours` that are listed, from `begin` on. Each may be in the middle of a task."""
    workers = _object(text, begin, len(ours)).get("workers")
    if not isinstance(workers, list):
        raise NotAPageError("there is no list of workers")
    names = [worker.get("name") if isinstance(worker, dict) else None for worker in workers]
    connected = frozenset(ours).intersection(name for name in names if isinstance(name, str))
    return SchedulerWorkers(connected, connected, len(names) - len(connected))


def nobody(
    text: bytes | bytearray, ours: Collection[WorkerName], begin: int = 0
) -> SchedulerWorkers | Unnamed:
    """Of a number, 0 alone says who is connected."""
    count = _object(text, begin, len(ours)).get("workers")
    if type(count) is not int or count < 0:
        raise NotAPageError("there is no number of workers")
    return SchedulerWorkers() if count == 0 else Unnamed()


def _object(text: bytes | bytearray, begin: int, ours: int) -> dict[str, object]:
    if sum(text.count(mark, begin) for mark in _MARKS) > _PARTS + _PARTS_EACH * ours:
        raise NotAPageError("it has more parts than so many workers")
    try:
        value = json.loads(text[begin:])
    except (ValueError, RecursionError) as error:
        raise NotAPageError("it is no JSON") from error
    if not isinstance(value, dict):
        raise NotAPageError("it is no JSON object")
    return value
