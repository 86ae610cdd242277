"""The scheduler's page of workers (`/info/main/workers.html`) -> `SchedulerWorkers`. Pure.

A page, because the machine-readable `/json/identity.json` answers 500 whenever a worker has just run a task
(dask/distributed#8370), which is most of the time that matters. Columns are found by their headings.

User code in the scheduler can write anything here. So this is no HTML parser: it looks for the few marks that
the page of every distributed since 2024.1 has, each byte is passed over a fixed number of times, and what is
not there makes the whole page unreadable. Nothing is kept of names that nobody asked for.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from htcdask_operator.core.model import SchedulerWorkers, WorkerName

_NAME, _PROCESSING = b"Name", b"Processing"
_MOST_COLUMNS: Final = 64
_PAGE_BYTES: Final = 64 * 2**10
"""For the page without its rows (1.7 KB in distributed 2026.8), and for some workers that are not ours."""
_ROW_BYTES: Final = 2 * 2**10
"""For each of our workers: 0.7 KB in distributed 2026.8, 1.9 KB where host names have 253 letters."""
_NOTHING: Final = b"0"


class NotAPageError(ValueError):
    """The bytes are not a scheduler's page of workers."""


def most_bytes(ours: int) -> int:
    """Of an answer, where so many workers are ours."""
    return _PAGE_BYTES + _ROW_BYTES * ours


def read(text: bytes | bytearray, ours: Collection[WorkerName], begin: int = 0) -> SchedulerWorkers:
    """Those of `ours` that are on the page, from `begin` on; those with a task in progress are busy."""
    head = _after(text, b"<thead>", begin, len(text))
    head_end = _before(text, b"</thead>", head)
    row = _after(text, b"<tbody>", head_end, len(text))
    end = _before(text, b"</tbody>", row)
    name, processing = _columns(text[head:head_end])
    known = {worker.encode(): worker for worker in ours}
    connected, busy, others = set(), set(), 0
    while (row_end := text.find(b"</tr>", row, end)) >= 0:
        cells = text[row:row_end].split(b"</td>", max(name, processing) + 1)
        worker, count = known.get(_cell(cells, name)), _cell(cells, processing)
        row = row_end + len(b"</tr>")
        if worker is None:
            others += 1
            continue
        connected.add(worker)
        if count != _NOTHING:  # what is no number at all is no proof of idleness
            busy.add(worker)
    if text[row:end].strip():
        raise NotAPageError("a row has no end")
    return SchedulerWorkers(frozenset(connected), frozenset(busy), others)


def _after(text: bytes | bytearray, mark: bytes, begin: int, end: int) -> int:
    found = text.find(mark, begin, end)
    if found < 0:
        raise NotAPageError(f"there is no {mark.decode()}")
    return found + len(mark)


def _before(text: bytes | bytearray, mark: bytes, begin: int) -> int:
    return _after(text, mark, begin, len(text)) - len(mark)


def _columns(head: bytes | bytearray) -> tuple[int, int]:
    """Where the worker's name is, and where the number of its tasks."""
    cells = head.split(b"</th>", _MOST_COLUMNS)[:_MOST_COLUMNS]
    headings = [bytes(cell.rpartition(b">")[2].strip()) for cell in cells]
    try:
        return headings.index(_NAME), headings.index(_PROCESSING)
    except ValueError as error:
        raise NotAPageError("the table has other columns") from error


def _cell(cells: list[bytes] | list[bytearray], column: int) -> bytes:
    """The text of one cell of a row."""
    # The last piece is what follows the last cell that was looked for.
    if column >= len(cells) - 1:
        raise NotAPageError("a row has too few cells")
    tag = cells[column].partition(b"<td")[2]
    _, closed, text = tag.partition(b">")
    if not closed:
        raise NotAPageError("a cell has no beginning")
    return bytes(text.strip())
