"""Text from outside, made harmless before anybody keeps, compares or sends it: a log, a reason, a name.

Used wherever the core puts such a text into a status, and once more by `kube` for all that it writes. What
the API server or its YAML parser refuses, and what would act in the terminal of somebody who reads it, is
replaced by a sign that can be seen; a text that is too long is cut. Lengths are characters (Unicode code
points), as the CRD counts them; an Event's message is counted in bytes. Doing it twice changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from htcdask_api import Condition, Explanation, Failure, MemoryRequest, PoolStatus, WorkerLog
from htcdask_api.status import (
    MAX_CONDITIONS,
    MAX_EXPLANATIONS,
    MAX_LOG_TAIL,
    MAX_MESSAGE,
    MAX_NAME,
    MAX_RECENT_FAILURES,
)
from htcdask_api.worker_log import MAX_TEXT

UNKNOWN: Final = "Unknown"
"""The reason in place of one that breaks the rules for reasons."""

_MAX_EVENT: Final = 1024  # bytes
_MAX_REASON: Final = 128
_MAX_INT: Final = 2**63 - 1
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
_REASON: Final = re.compile(r"[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?")

# Controls (C0, DEL, C1); marks and overrides of the direction of text, invisible signs and joiners (but for
# the two that scripts and emoji need); Unicode's own line ends; surrogates; what is no character; tags.
_ODD: Final = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff\U000e0000-\U000e007f"
    + "".join(f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0x10000, 0x110000, 0x10000))
    + "]"
)
_LINE_ENDS: Final = re.compile("[\n\t]")

Model = TypeVar("Model", Condition, Explanation, Failure, MemoryRequest, PoolStatus, WorkerLog)


def lines(text: str, longest: int = MAX_LOG_TAIL) -> str:
    """A text of many lines: its end, where the last words are."""
    text = text[-2 * longest - 1 :].replace("\r\n", "\n")
    return _ODD.sub(_visible, text)[-longest:]


def line(text: str, longest: int = MAX_MESSAGE) -> str:
    """A text of one line: its beginning. A line end would let it pass for more of `kubectl describe`."""
    shown = text[:longest]
    if shown.isprintable():  # nothing of what is looked for, as nearly always
        return shown
    return _LINE_ENDS.sub(_visible, _ODD.sub(_visible, shown))


def name(text: str) -> str:
    """A worker's or a machine's."""
    return line(text, MAX_NAME)


def reason(text: str) -> str:
    """A word for programs; ours always are, a foreign one may not be."""
    return text if len(text) <= _MAX_REASON and _REASON.fullmatch(text) else UNKNOWN


def event(message: str) -> str:
    """What the API server takes as an Event's message."""
    return line(message).encode()[:_MAX_EVENT].decode(errors="ignore")


def status(told: PoolStatus) -> PoolStatus:
    """The status as the API server will take it, and show it again: all of it within bounds."""
    counts = {field: _whole(value) for field, value in told if isinstance(value, int)}
    return _changed(
        told,
        {
            **counts,
            "explanation": tuple(map(_explanation, told.explanation[:MAX_EXPLANATIONS])),
            "recent_failures": tuple(map(_failure, told.recent_failures[:MAX_RECENT_FAILURES])),
            "conditions": tuple(map(_condition, told.conditions[:MAX_CONDITIONS])),
            "memory_request": told.memory_request and _memory_request(told.memory_request),
        },
    )


def worker_log(told: WorkerLog) -> WorkerLog:
    """An entry of an HTCWorkerLog, likewise."""
    changes = {
        "name": name(told.name),
        "machine": None if told.machine is None else name(told.machine),
        "outcome": reason(told.outcome),
        "exit_code": None if told.exit_code is None else _integer(told.exit_code),
        "text": lines(told.text, MAX_TEXT),
    }
    return _changed(told, changes)


def _condition(told: Condition) -> Condition:
    changes = {
        "reason": reason(told.reason),
        "message": line(told.message),
        "observed_generation": _whole(told.observed_generation),
    }
    return _changed(told, changes)


def _explanation(told: Explanation) -> Explanation:
    changes = {"reason": reason(told.reason), "message": line(told.message), "count": _whole(told.count)}
    return _changed(told, changes)


def _memory_request(told: MemoryRequest) -> MemoryRequest:
    return _changed(told, {"message": line(told.message)})


def _failure(told: Failure) -> Failure:
    changes = {
        "worker": name(told.worker),
        "machine": None if told.machine is None else name(told.machine),
        "reason": reason(told.reason),
        "message": line(told.message),
        "exit_code": None if told.exit_code is None else _integer(told.exit_code),
        "hold_reason_code": None if told.hold_reason_code is None else _integer(told.hold_reason_code),
        "log_tail": None if told.log_tail is None else lines(told.log_tail),
    }
    return _changed(told, changes)


def _changed(told: Model, changes: Mapping[str, object]) -> Model:
    """The very same where nothing had to change, as nearly always."""
    different = {field: value for field, value in changes.items() if getattr(told, field) != value}
    return told.model_copy(update=different) if different else told


def _visible(found: re.Match[str]) -> str:
    code = ord(found.group())
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's pictures of control characters
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else _REPLACEMENT


def _integer(number: int) -> int:
    return max(-_MAX_INT, min(number, _MAX_INT))


def _whole(number: int) -> int:
    return max(0, _integer(number))
