"""The clauses of a ClassAd expression: what stands between its outermost `&&`, as HTCondor unparses it.

Used by `analysis`. Quotes and brackets are HTCondor's own; nothing is evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

MOST: Final = 40
"""Clauses of one expression; what comes behind them is one more."""

_UNWRAPPED: Final = 8  # brackets around all of a clause: each is one more walk over its text
_LINES: Final = re.compile(r"\s*\n\s*")  # HTCondor writes lists and records over several lines
_LOOSE: Final = re.compile(r"[|&^?:<>=!]|\b(?:is|isnt)\b", re.IGNORECASE)
_NAMED: Final = re.compile(r"MY\.([A-Za-z_]\w*)", re.IGNORECASE)


def of(text: str, definition: Callable[[str], str | None]) -> list[str]:
    """The clauses; one that is only a name of the ad's own (`MY.Name`) is taken apart by its definition."""
    found: list[str] = []
    for clause in _split(_bare(_LINES.sub(" ", text))):
        bare = _bare(clause)
        named = _NAMED.fullmatch(bare)
        meaning = definition(named[1]) if named else None
        found += (
            [bare] if meaning is None else [_bare(part) for part in _split(_bare(_LINES.sub(" ", meaning)))]
        )
    if len(found) <= MOST:
        return found
    return [*found[:MOST], " && ".join(f"({clause})" for clause in found[MOST:])]


def compares_on(text: str) -> bool:
    """Whether what stands to the right of a comparison goes on with what binds no tighter than that does.

    `a >= 1 || b` is no comparison of `a`, nor are `a >= 1 ? b : c` and `a >= 1 == b`.
    """
    outer = [" "] * len(text)
    for at, depth in _outside_quotes(text):
        if not depth:
            outer[at] = text[at]
    return _LOOSE.search("".join(outer)) is not None


def _split(text: str) -> list[str]:
    """Nothing is split where something binds less tightly than `&&`."""
    cuts: list[int] = []
    for at, depth in _outside_quotes(text):
        if depth or (cuts and at == cuts[-1] + 1):
            continue
        if text.startswith("&&", at):
            cuts.append(at)
        elif text.startswith("||", at) or (text[at] in "?:" and text[at - 1 : at + 2] != "=?="):
            return [text]
    starts, ends = [0, *(cut + 2 for cut in cuts)], [*cuts, len(text)]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _bare(text: str) -> str:
    """Without the brackets around all of it."""
    text = text.strip()
    for _ in range(_UNWRAPPED):
        if not text.startswith("(") or _closes(text) != len(text) - 1:
            break
        text = text[1:-1].strip()
    return text


def _closes(text: str) -> int | None:
    """Where the bracket closes that the text begins with."""
    return next((at for at, depth in _outside_quotes(text) if at and not depth), None)


def _outside_quotes(text: str) -> Iterator[tuple[int, int]]:
    """Each character outside quotes, with the number of brackets around it (a bracket is not in itself)."""
    depth, quote, escaped = 0, "", False
    for at, char in enumerate(text):
        if quote:
            if escaped or char == "\\":
                escaped = not escaped
            elif char == quote:
                quote = ""
        elif char in "\"'":
            quote = char
        elif char in "([{":
            yield at, depth
            depth += 1
        else:
            depth -= char in ")]}"
            yield at, depth
