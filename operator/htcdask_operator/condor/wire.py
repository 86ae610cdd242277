"""What parent and child of the agent say to each other: one line of JSON for a question, one for its answer.

    parent: [number, method, arguments, seconds, valid_until]
    child:  {"to": number, "value": ...}  or  {"to": number, "error": kind, "text": sentence}

Written by `agent`, read by `process`. The reader believes nothing: what is not an answer to the question that
was asked, in the shape that its method has, is `Garbage`. Nothing in it can hurt who uses it later.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from htcdask_operator.condor.errors import KINDS, CondorError

LARGEST: Final = 64 * 2**20
"""Bytes of one answer: 55,000 jobs of 1.2 KB without reasons, or 25,000 whatever their reasons are, which
`classads` cuts to half an answer. With more jobs, whatever `settings.limits` allow, nobody sees the queue.
"""

_SURROGATE: Final = re.compile(rb"\\u[dD]")
_JOB_ID: Final = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}")
_INTEGERS: Final = 2**63  # a ClassAd's; a larger one is no time and no number
_SHOWN: Final = 2000  # characters of an error's text


class Garbage(Exception):  # noqa: N818
    """This is no answer to what was asked, and why."""


def answer(number: int, value: object) -> bytes:
    """The line that brings a value; one that nobody would read becomes an error."""
    line = json.dumps({"to": number, "value": value}).encode() + b"\n"
    if len(line) > LARGEST:
        return failure(
            number,
            CondorError(f"the access point's answer is too large to be read: {len(line) // 2**20} MiB"),
        )
    return line


def failure(number: int, error: CondorError) -> bytes:
    """The line that says why there is no value."""
    text = str(error)[:_SHOWN]
    return json.dumps({"to": number, "error": type(error).__name__, "text": text}).encode() + b"\n"


def value(line: bytes, number: int, method: str) -> Any:
    """What the answer brings; the `CondorError` that it says, or `Garbage`."""
    said = _parsed(line)
    if not isinstance(said, dict) or said.get("to") != number:
        raise Garbage("it does not belong to this question")
    if said.keys() == {"to", "error", "text"}:
        kind, text = said["error"], said["text"]
        if not isinstance(kind, str) or kind not in KINDS or not isinstance(text, str):
            raise Garbage("it is an error of no known kind")
        raise KINDS[kind](_harmless(text[:_SHOWN]))
    if said.keys() != {"to", "value"} or not _SHAPES[method](said["value"]):
        raise Garbage("it has another shape than such an answer")
    return _harmless(said["value"]) if _SURROGATE.search(line) else said["value"]


def _parsed(line: bytes) -> Any:
    if not line.endswith(b"\n"):
        raise Garbage("it ends in the middle")
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Garbage("it is not JSON") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _harmless(found: Any) -> Any:
    """With every half of a surrogate pair replaced: such a text can be neither written nor sent."""
    match found:
        case str():
            return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case list():
            return [_harmless(member) for member in found]
        case dict():
            return {_harmless(key): _harmless(member) for key, member in found.items()}
    return found


def _is_ad(found: object) -> bool:
    return isinstance(found, dict) and all(map(_is_plain, found.values()))


def _is_plain(found: object) -> bool:
    return isinstance(found, str | float) or (isinstance(found, int) and -_INTEGERS <= found < _INTEGERS)


def _is_job(found: object) -> bool:
    return isinstance(found, str) and _JOB_ID.fullmatch(found) is not None


def _is_count(found: object) -> bool:
    return type(found) is int and 0 <= found < _INTEGERS


def _is_clause(found: object) -> bool:
    if not isinstance(found, dict) or not isinstance(found.get("text"), str):
        return False
    counts, nearest = ("met", "undefined", "without"), found.get("nearest", [])
    return (
        found.keys() - {"asked", "nearest"} == {"text", *counts}
        and all(_is_count(found[name]) for name in counts)
        and isinstance(nearest, list)
        and all(map(_is_plain, (*nearest, found.get("asked", 0))))
    )


def _is_analysis(found: object) -> bool:
    if found is None:
        return True
    counts = ("slots", "fit", "looked_at", "take", "room", "refuse", "unknown", "broken", "drain")
    texts = ("start", "rule", "drain_reason", "broken_slot", "group", "limit")
    numbers, known = ("quota", "used", "limit_used", "quiet"), ("ahead", "earlier", "negotiators")
    return (
        isinstance(found, dict)
        and found.keys() == {"clauses", *numbers, *known, *counts, *texts}
        and all(_is_count(found[name]) for name in counts)
        and isinstance(found["clauses"], list)
        and all(map(_is_clause, found["clauses"]))
        and all(isinstance(found[name], str | None) for name in texts)
        and all(isinstance(found[name], float | None) for name in numbers)
        and all(found[name] is None or _is_count(found[name]) for name in known)
    )


_SHAPES: Final[Mapping[str, Callable[[Any], bool]]] = {
    "whoami": lambda found: isinstance(found, str) and "@" in found,
    "time": lambda found: found is None or type(found) is int,
    "query": lambda found: isinstance(found, list) and all(map(_is_ad, found)),
    "submit": lambda found: isinstance(found, list) and all(map(_is_job, found)),
    "spool": _is_job,
    "spool_each": lambda found: isinstance(found, list) and all(map(_is_job, found)),
    "act": _is_ad,
    "edit": lambda found: found is None,
    "analyze": _is_analysis,
    "retrieve": lambda found: (
        isinstance(found, dict) and all(isinstance(text, str) for text in found.values())
    ),
}
METHODS: Final = frozenset(_SHAPES)
