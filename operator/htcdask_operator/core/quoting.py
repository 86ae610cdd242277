"""How text gets into a submit description, safely: the only place that quotes.

Called by `submission` (and by `checks` for what a user may write). Submit descriptions are code: a line break
starts a new command and `$` expands macros, so the one is refused and the other neutralised, everywhere.
"""

from __future__ import annotations

import re
from typing import Final

_PAIRS: Final = {")": "(", "]": "[", "}": "{"}
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class UnquotableError(ValueError):
    """The text cannot be put into a submit description; the message says what is wrong with it."""


def text(value: str) -> str:
    """A value of a submit command: literal, whatever is in it."""
    if not value.isprintable():
        raise UnquotableError(f"{value!r} has control characters")
    return value.replace("$", "$(DOLLAR)")


def string(value: str) -> str:
    """A ClassAd string literal."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return text(f'"{escaped}"')


def literal(value: object) -> str:
    """A ClassAd literal of a setting's value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    return string(str(value))


def attribute(name: str) -> str:
    """The submit key that sets the job's attribute `name`."""
    if _ATTRIBUTE.fullmatch(name) is None:
        raise UnquotableError(f"{name!r} is not the name of a ClassAd attribute")
    return f"My.{name}"


def expression(value: str) -> str:
    """A ClassAd expression that somebody wrote, in brackets that it cannot leave."""
    wrong = complaint(value)
    if wrong is not None:
        raise UnquotableError(f"{value!r}: {wrong}")
    return text(f"({value.strip()})")


def complaint(value: str) -> str | None:
    """What keeps this text from being one whole ClassAd expression: open brackets, quotes, comments."""
    if not value.isprintable():
        return "it has control characters"
    if not value.strip():
        return "it is empty"
    opened: list[str] = []
    quote: str | None = None
    escaped = False
    for position, character in enumerate(value):
        if quote is not None:
            if escaped or character == "\\":
                escaped = not escaped
            elif character == quote:
                quote = None
        elif character in "\"'":
            quote = character
        elif character in "([{":
            opened.append(character)
        elif character in _PAIRS:
            if not opened or opened.pop() != _PAIRS[character]:
                return f"it has a {character!r} that closes nothing"
        elif character == "/" and value[position + 1 : position + 2] in ("/", "*"):
            return "it has a comment"
    if quote is not None:
        return f"it has a {quote} that is not closed"
    return f"it has a {opened[-1]!r} that is not closed" if opened else None


def account(value: str) -> str:
    """A name as a part of an accounting group: a dot would make a subgroup, a blank fails the submit."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", value) or "nobody"
