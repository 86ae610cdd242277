"""Which lines of what a failed worker printed are shown: the cause, and the last that say anything.

Called by `failures`. A worker's log is long, and its end says only that a nanny failed to start. What it
printed is hostile: it is bounded first, each line is looked at once, by patterns that take linear time, and
what is chosen is for `sanitize` to make harmless.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_api.status import MAX_LOG_TAIL

MAX_CAUSE: Final = 400
"""Characters: an Event has room for it beside the worker, its machine and its end."""

_MAX_TEXT: Final = 64 * 1024
_MAX_LINES: Final = 6000
_MAX_LINE: Final = 1024
_LATE_LINES: Final = 300  # before the end: an exception that was raised earlier was dealt with
_LAST_LINES: Final = 3  # of who was killed: it had dealt with all but what it was just saying
_MAX_WHAT: Final = 300  # of a line to which something is said
_MIN_CAUSE: Final = 100  # so much of the cause tells that it is shown already

# Rank, what a line looks like, what is said of it. The highest rank counts, and of one rank the last line.
_KNOWN: Final[Sequence[tuple[int, re.Pattern[str], str]]] = (
    # dask's own command tells the reason in a warning, and at its end that there is no such command.
    (
        4,
        re.compile(r"While registering the command with name 'worker', an exception occurred; (?P<what>.+)"),
        "`dask worker` cannot be loaded: {}",
    ),
    (3, re.compile(r"Error: No such command '?worker"), "{} (this image has no distributed)"),
    (
        3,
        re.compile(r"Error: (?:Unknown argument specified: |No such option:? )"),
        "{} (this image's distributed is older than 2022.12, or takes other options)",
    ),
    (
        3,
        re.compile(r"Fatal Python error: \w*init"),
        "{} (is PYTHONHOME or PYTHONPATH of the pool's environment another Python's?)",
    ),
    (
        3,
        re.compile(r"TypeError: (?:Scheduler\.)?(?:add_worker|add_nanny|register_nanny)\(\) "),
        "{} (this image's distributed is of another version than the scheduler's)",
    ),
    (3, re.compile(r"Fatal Python error: |error while loading shared libraries: |^FATAL:   "), "{}"),
    (
        2,
        re.compile(r"exceeded \d{1,3}% memory budget\. Restarting"),
        "{} (it needs more memory, or smaller tasks)",
    ),
    (
        2,
        re.compile(r"Worker process \d{1,9} was killed by signal (?:4|6|7|8|9|11)\b"),
        "{} (signal 9: often a lack of memory)",
    ),
    (1, re.compile(r" - (?:ERROR|CRITICAL) - "), "{}"),
    # The wrapper had reached it before Dask began.
    (
        1,
        re.compile(r"dask_worker - INFO - Timed out starting worker"),
        "{} (the scheduler was reached, but did not take it: busy, or distributed of another version there?)",
    ),
)
_EXCEPTION: Final = 2
_GOES_ON: Final = 1  # after an error that is logged, a worker may live for long
# Exceptions that only tell that something else went wrong.
_EMPTY: Final = re.compile(
    r"(?:RuntimeError: (?:Nanny|Worker) failed to start(?: worker process)?\.?"
    r"|(?:asyncio\.exceptions\.|concurrent\.futures\._base\.)?(?:TimeoutError|CancelledError)"
    r"|AssertionError: Status\.\w{1,20}|KeyboardInterrupt|SystemExit.{0,20})"
)
_TRACEBACK: Final = "Traceback (most recent call last):"
_CAUSED: Final = "The above exception was the direct cause of the following exception:"
_WRAPPER: Final = "htcdask: worker "
_RAISED: Final = re.compile(r"[A-Za-z_][\w.]*(?::|$)")
# What went well, and where the rest happened: for the worker's own log, not for a thousand characters of it.
_NOISE: Final = re.compile(
    r"\s|$|[\^~]+$|Traceback \(most recent|.{0,80} - INFO - |.{0,200} cannot be preloaded "
)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What a status shows of a worker's words."""

    tail: str  # at most MAX_LOG_TAIL characters
    cause: str  # at most MAX_CAUSE; "": nothing that was printed is one


@dataclass(frozen=True, slots=True, order=True)
class _Candidate:
    rank: int
    line: int
    cause: str
    says_killed: bool = False  # it tells of somebody who does not go on


def of(text: str, *, killed: bool = False) -> Excerpt:
    """The lines to show, and the cause. `killed`: by a signal, which no exception sends."""
    lines = [line for line in text[-_MAX_TEXT:].replace("\r\n", "\n").split("\n") if line][-_MAX_LINES:]
    found: Sequence[_Candidate] = (*_known(lines), *_exceptions(lines))
    end = max(0, len(lines) - _LAST_LINES) if killed else 0
    found = [said for said in found if said.says_killed or said.line >= end]
    cause = (max(found).cause if found else _last(lines[end:]))[:MAX_CAUSE]
    if len(text) <= MAX_LOG_TAIL:
        return Excerpt(text, cause)
    shown = "\n".join(_without_noise(lines))
    if cause and cause[:_MIN_CAUSE] not in shown[-MAX_LOG_TAIL:]:
        first = f"{cause}\n[...]\n"
        return Excerpt(first + shown[-(MAX_LOG_TAIL - len(first)) :], cause)
    return Excerpt(shown[-MAX_LOG_TAIL:], cause)


def of_verdict(verdict: str) -> str:
    """The cause where the wrapper itself names it."""
    return verdict[:MAX_CAUSE]


def _known(lines: Sequence[str]) -> Iterator[_Candidate]:
    for number, line in enumerate(lines):
        for rank, pattern, said in _KNOWN:
            found = pattern.search(line[:_MAX_LINE])
            if found is not None:
                what = found.groupdict().get("what") or found.string
                cause = said.format(what.strip()[:_MAX_WHAT])
                yield _Candidate(rank, number, cause, rank > _GOES_ON)
                break


def _exceptions(lines: Sequence[str]) -> Iterator[_Candidate]:
    """The first exception of each chain: the others say what it led to."""
    root, inside, chained = "", False, False
    for number, line in enumerate(lines):
        if line == _TRACEBACK:
            root, inside, chained = root if chained else "", True, False
        elif inside and _RAISED.match(line[:_MAX_LINE]):
            inside, root = False, root or line[:_MAX_LINE]
            late = number >= len(lines) - _LATE_LINES and not _EMPTY.fullmatch(root)
            yield _Candidate(_EXCEPTION if late else 0, number, root)
        elif line == _CAUSED:
            chained = True


def _last(lines: Sequence[str]) -> str:
    for line in reversed(lines):
        if not _NOISE.match(line[:_MAX_LINE]) and not line.startswith(_WRAPPER):
            return line
    return ""


def _without_noise(lines: Sequence[str]) -> Iterator[str]:
    """Of each traceback the innermost place and the exception are left."""
    place = ""
    for line in lines:
        if line.startswith('  File "'):
            place = line
        elif not _NOISE.match(line[:_MAX_LINE]):
            if place and _RAISED.match(line[:_MAX_LINE]):
                yield place
            place = ""
            yield line
