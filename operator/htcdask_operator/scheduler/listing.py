"""What a scheduler without its info pages may still tell of its workers, in JSON -> `SchedulerWorkers`. Pure.

`/api/v1/get_workers` names them, and not what they do. `/json/counts.json` has how many there are, and no
names. User code may answer anything: nothing is kept of names that nobody asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from htcdask_operator.core.model import SchedulerWorkers, Unnamed, WorkerName
from htcdask_operator.scheduler.page import NotAPageError


def read(text: bytes | bytearray, ours: Collection[WorkerName], begin: int = 0) -> SchedulerWorkers:
    """Those of `ours` that are listed, from `begin` on. Each may be in the middle of a task."""
    workers = _object(text, begin).get("workers")
    if not isinstance(workers, list):
        raise NotAPageError("there is no list of workers")
    names = [worker.get("name") if isinstance(worker, dict) else None for worker in workers]
    connected = frozenset(ours).intersection(name for name in names if isinstance(name, str))
    return SchedulerWorkers(connected, connected, len(names) - len(connected))


def nobody(
    text: bytes | bytearray, ours: Collection[WorkerName], begin: int = 0
) -> SchedulerWorkers | Unnamed:
    """Of a number, 0 alone says who is connected."""
    count = _object(text, begin).get("workers")
    if type(count) is not int or count < 0:
        raise NotAPageError("there is no number of workers")
    return SchedulerWorkers() if count == 0 else Unnamed()


def _object(text: bytes | bytearray, begin: int) -> dict[str, object]:
    try:
        value = json.loads(text[begin:])
    except (ValueError, RecursionError) as error:
        raise NotAPageError("it is no JSON") from error
    if not isinstance(value, dict):
        raise NotAPageError("it is no JSON object")
    return value
