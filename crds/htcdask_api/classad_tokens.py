"""The words, numbers, strings and marks of an expression, where both of HTCondor's parsers see the same.

Called by `expressions`.
"""

import math
import re
from collections.abc import Iterator
from typing import Final

_LARGEST_INTEGER: Final = 2**63 - 1
_TOKEN: Final = re.compile(
    r"""(?P<number>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>\|\||&&|=\?=|=!=|==|!=|<=|>=|<<|>>>|>>|\?:|[-+*/%<>&|^!~?:.,;=()[\]{}])""",
    re.VERBOSE,
)
_NUL: Final = re.compile(r"(?<!\\)(?:\\\\)*\\0+(?![1-7])")
_LIKE_A_NUMBER: Final = re.compile(r"[0-9][A-Za-z0-9_.]*|\.[0-9]")
_COMPARES: Final = frozenset({"==", "!=", "=?=", "=!=", "<", "<=", ">", ">=", "is", "isnt"})
BINARY: Final = _COMPARES | frozenset(
    {"||", "&&", "?:", "|", "^", "&", "<<", ">>", ">>>", "+", "-", "*", "/", "%"}
)
JOINS: Final = frozenset({"||", "&&", "?:"})  # these bind least
UNARY: Final = frozenset("!~-+")
LITERALS: Final = frozenset({"true", "false", "undefined", "error"})
RESERVED: Final = frozenset({"is", "isnt", *LITERALS})


class NotOneError(ValueError):
    """It is no expression."""


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, token, place) of each."""
    place = 0
    while place < len(text):
        begin, character = place, text[place]
        if character == " ":
            place += 1
            continue
        if character in "\"'":
            place = _after_string(text, place) if character == '"' else _after_name(text, place)
            yield ("string" if character == '"' else "name"), text[begin:place], begin
            continue
        if text[place : place + 2] in ("//", "/*"):
            raise NotOneError(f"it has a comment {where(text, place)}")
        token = _TOKEN.match(text, place)
        number = _LIKE_A_NUMBER.match(text, place)
        if number is not None and (token is None or token.lastgroup != "number"):
            raise NotOneError(f"{number[0][:40]!r} is no number to HTCondor")
        if token is None or token.lastgroup is None:
            raise NotOneError(f"{character!r} cannot stand there {where(text, place)}")
        if token.lastgroup == "number" and not _fits(token[0]):
            raise NotOneError(f"HTCondor knows no number as large as {token[0][:40]}")
        place = token.end()
        yield token.lastgroup, token[0], begin


def named(text: str) -> frozenset[str]:
    """What an expression names, in lower case: attributes, and functions and other words besides."""
    said = (token for kind, token, _ in tokens(text) if kind in ("word", "name"))
    return frozenset(token.strip("'").lower() for token in said)


def _after_string(text: str, begin: int) -> int:
    r"""The old syntax escapes with `\"` alone, and not at the text's end; the new one knows `\\` too."""
    place = begin + 1
    while place < len(text):
        if text[place] == '"':
            if _NUL.search(text, begin, place):
                raise NotOneError(f"it has '\\\\0', with which HTCondor ends a text, {where(text, begin)}")
            return place + 1
        slashes = len(text) - place - len(text[place:].lstrip("\\"))
        place += max(1, slashes)
        if slashes and text[place : place + 1] == '"':
            if slashes > 1 or not text[place + 1 :].strip(" "):
                raise NotOneError(
                    "a string must not end in a backslash, which HTCondor reads in two ways "
                    + where(text, begin)
                )
            place += 1
    raise NotOneError(f"it has a '\"' that is not closed {where(text, begin)}")


def _after_name(text: str, begin: int) -> int:
    place = text.find("'", begin + 1)
    if place < 0:
        raise NotOneError(f'it has a "\'" that is not closed {where(text, begin)}')
    name = text[begin + 1 : place]
    if not name or not name.isascii() or any(character in name for character in '\\"$'):
        raise NotOneError(
            f"the quoted name of an attribute has a character that none has {where(text, begin)}"
        )
    return place + 1


def _fits(number: str) -> bool:
    return int(number) <= _LARGEST_INTEGER if number.isdigit() else math.isfinite(float(number))


def where(text: str, place: int) -> str:
    """The user's own words, where it happened."""
    before = text[max(0, place - 20) : place].lstrip()
    after = text[place : place + 20].rstrip()
    if not after:
        return f"at the end, after {before!r}"
    return f"at {after!r}" + (f", after {before!r}" if before else "")


def is_plain(name: str) -> bool:
    return name.lower() not in RESERVED and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None
