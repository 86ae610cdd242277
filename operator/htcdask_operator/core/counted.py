"""Numbers of things in sentences that people read: `1 worker is`, `2 workers are`."""

from __future__ import annotations

from typing import Final

_OF_ONE: Final = {"are": "is", "were": "was", "run": "runs"}


def counted(count: int, noun: str, verb: str = "") -> str:
    """So many of these; `verb` in its plural. ValueError for a verb whose singular is not known here."""
    if verb and verb not in _OF_ONE:
        raise ValueError(f"what does one {noun} do, when two {verb}?")
    said = f"{count} {noun}" if count == 1 else f"{count} {noun}s"
    return f"{said} {_OF_ONE[verb] if count == 1 else verb}" if verb else said
