"""The scheduler's page of workers (`/info/main/workers.html`) -> `Roll`. Pure.

A page, because the machine-readable `/json/identity.json` answers 500 whenever a worker has just run a task
(dask/distributed#8370), which is most of the time that matters. Columns are found by their headings.
"""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final

from htcdask_operator.core.model import Roll

_LONGEST_NAME: Final = 64
_NAME, _PROCESSING = "Name", "Processing"


class NotAPageError(ValueError):
    """The text is not a scheduler's page of workers."""


def read(text: str) -> Roll:
    """The workers on the page; those with a task in progress are busy."""
    table = _Table()
    table.feed(text)
    table.close()
    try:
        name, processing = (table.headings.index(heading) for heading in (_NAME, _PROCESSING))
        rows = [(row[name], row[processing]) for row in table.rows]
    except (ValueError, IndexError) as error:
        raise NotAPageError from error
    # An empty cell is a worker without a name, which is none of ours.
    known = [(worker, count) for worker, count in rows if 0 < len(worker) <= _LONGEST_NAME]
    return Roll(
        connected=frozenset(worker for worker, _ in known),
        busy=frozenset(worker for worker, count in known if count != "0"),
    )


class _Table(HTMLParser):
    """Headings and cells of the page's only table, as stripped text."""

    def __init__(self) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tr" and self.headings:
            self.rows.append([])
        elif tag == "th":
            self._into = self.headings
        elif tag == "td" and self.rows:
            self._into = self.rows[-1]
        if tag in ("th", "td") and self._into is not None:
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] = (self._into[-1] + data).strip()
