"""What may be written as a ClassAd expression, in a pool or a notebook: read here before HTCondor reads it.

Called by the models (client, operator) and by the settings. HTCondor has two parsers: job ads are read in the
old syntax, its libraries read the new one, and the two differ about backslashes, comments and what may follow
an expression. A text that both read alike, to its end, cannot leave the place where it was put. Schedd and
negotiator evaluate it for each job: nothing in it may multiply what that takes.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Final

LONGEST: Final = 2048
_STRING: Final = r"\x22(?:[^\x00-\x1f\x7f\x22\\]|\\+[^\x00-\x1f\x7f\x22\\]|\\\x22)*\x22"
_NAME: Final = r"\x27[ !#%&(-\[\]-~]+\x27"
PATTERN: Final = (
    rf"^(?:(?:{_STRING}|{_NAME}|[ !%&(-.0-?A-\[\]^_a-~])"
    rf"|/(?:{_STRING}|{_NAME}|[ !%&()+-.0-?A-\[\]^_a-~]))*$"
)
"""As much of the rule as a pattern can say, for the API server."""
BRACKETS_PATTERN: Final = rf"{_STRING}|{_NAME}|[()\[\]{{}}]"
DEEPEST: Final = 50
_LARGEST_INTEGER: Final = 2**63 - 1

_TOKEN: Final = re.compile(
    r"""(?P<number>(?:(?:0|[1-9][0-9]*)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?(?![A-Za-z0-9_.]))
      | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<mark>\|\||&&|=\?=|=!=|==|!=|<=|>=|<<|>>>|>>|\?:|[-+*/%<>&|^!~?:.,;=()[\]{}])""",
    re.VERBOSE,
)
_LIKE_A_NUMBER: Final = re.compile(r"[0-9][A-Za-z0-9_.]*|\.[0-9]")
_COMPARES: Final = frozenset({"==", "!=", "=?=", "=!=", "<", "<=", ">", ">=", "is", "isnt"})
_BINARY: Final = _COMPARES | frozenset(
    {"||", "&&", "?:", "|", "^", "&", "<<", ">>", ">>>", "+", "-", "*", "/", "%"}
)
_UNARY: Final = frozenset("!~-+")
_LITERALS: Final = frozenset({"true", "false", "undefined", "error"})
_SCOPES: Final = frozenset({"my", "self", "parent", "toplevel", "root"})
# What these bring may be many times as long as what they are given, or takes that much longer.
_MULTIPLY: Final = frozenset({"replaceall", "evalineachcontext", "countmatches"})
_RESERVED: Final = frozenset({"is", "isnt", *_LITERALS})


def complaint(text: str) -> str | None:
    """What keeps `text` from being one ClassAd expression (`it has a "(" that …`); None if it is one."""
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if not text.strip(" "):
        return "it is empty"
    odd = next((character for character in text if not character.isprintable()), None)
    if odd is not None:
        what = "a line break" if odd in "\n\r" else "a tab" if odd == "\t" else f"the character {odd!a}"
        return f"it has {what}: write it on one line"
    if "$$" in text:
        return "it has '$$', which HTCondor would replace by something of the execute node's"
    try:
        _Reader(text).read()
    except _NoneError as error:
        return str(error)
    return None


class _NoneError(ValueError):
    """It is no expression."""


class _Reader:
    """Recursive descent; what is read is not kept."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _tokens(text)
        self._depth = 0
        self._records = 0  # around this place
        self._multiplying = False
        self._defined: set[str] = set()
        self._used: set[str] = set()  # in a record
        self._next()

    def read(self) -> None:
        self._expression()
        if self._kind != "end":
            raise _NoneError(self._at("nothing can stand there"))
        again = sorted(self._used & (self._defined | _SCOPES if self._defined else set()))
        if again:
            # Each would be evaluated anew: ten of ten of ten take longer than anybody waits.
            raise _NoneError(f"a record uses {again[0]!r}, of which a record's definitions may not make use")

    def _next(self) -> None:
        self._kind, self._said, self._place = next(self._tokens, ("end", "", len(self._text)))

    def _expression(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise _NoneError(f"it is nested more than {DEEPEST} deep")
        self._operand()
        while self._said.lower() in _BINARY and self._kind in ("mark", "word"):
            self._next()
            self._operand()
        if self._take("?"):
            if self._said != ":":
                self._expression()
            self._demand(":")
            self._expression()
        self._depth -= 1

    def _operand(self) -> None:
        while self._kind == "mark" and self._said in _UNARY:
            self._next()
        self._primary()
        while self._kind == "mark" and self._said in (".", "["):
            if self._take("."):
                self._attribute(scoped=True)
            else:
                self._next()
                self._expression()
                self._demand("]")

    def _primary(self) -> None:
        kind, token = self._kind, self._said
        if kind in ("string", "number", "name"):
            self._note(kind, token)
            self._next()
        elif kind == "word" and token.lower() not in ("is", "isnt"):
            self._next()
            if token.lower() not in _LITERALS and self._take("("):
                self._arguments(token.lower())
            else:
                self._note(kind, token)
        elif self._take("."):
            self._attribute(scoped=True)
        elif self._take("("):
            self._expression()
            self._demand(")")
        elif self._take("{"):
            self._list("}", self._expression, ",")
        elif self._take("["):
            self._records += 1
            self._list("]", self._definition, ";")
            self._records -= 1
        else:
            raise _NoneError(self._at("a value is missing"))

    def _arguments(self, function: str) -> None:
        if function == "eval":
            raise _NoneError("it has eval(), which would evaluate a text that nobody has looked at")
        before = self._multiplying
        if function in _MULTIPLY:
            if before:
                raise _NoneError(f"it has {function}() inside of one that multiplies, too")
            self._multiplying = True
        self._list(")", self._expression, ",")
        self._multiplying = before

    def _note(self, kind: str, token: str) -> None:
        """That this name is used, where it matters."""
        if self._records and kind in ("word", "name"):
            self._used.add(token.strip("'").lower())

    def _list(self, end: str, item: Callable[[], None], separator: str) -> None:
        if self._take(end):
            return
        item()
        while self._take(separator):
            while separator == ";" and self._take(separator):
                pass
            if separator == ";" and self._said == end:
                break
            item()
        self._demand(end)

    def _definition(self) -> None:
        self._defined.add(self._said.strip("'").lower())
        self._attribute()
        self._demand("=")
        self._expression()

    def _attribute(self, *, scoped: bool = False) -> None:
        # Behind a scope HTCondor drops the quotes, and what they held would be read as something else.
        if scoped and self._kind == "name" and not _is_plain(self._said[1:-1]):
            raise _NoneError(self._at("behind a dot, HTCondor loses the quotes of a name that needs them,"))
        if self._kind != "name" and (self._kind != "word" or self._said.lower() in _RESERVED):
            raise _NoneError(self._at("the name of an attribute is missing"))
        if scoped:
            self._note(self._kind, self._said)
        self._next()

    def _take(self, mark: str) -> bool:
        if self._kind == "mark" and self._said == mark:
            self._next()
            return True
        return False

    def _demand(self, mark: str) -> None:
        if not self._take(mark):
            raise _NoneError(self._at(f"a {mark!r} is missing"))

    def _at(self, problem: str) -> str:
        return f"{problem} {_where(self._text, self._place)}"


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
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
            raise _NoneError(f"it has a comment {_where(text, place)}")
        token = _TOKEN.match(text, place)
        number = _LIKE_A_NUMBER.match(text, place)
        if number is not None and (token is None or token.lastgroup != "number"):
            raise _NoneError(f"{number[0][:40]!r} is no number to HTCondor")
        if token is None or token.lastgroup is None:
            raise _NoneError(f"{character!r} cannot stand there {_where(text, place)}")
        if token.lastgroup == "number" and not _fits(token[0]):
            raise _NoneError(f"HTCondor knows no number as large as {token[0][:40]}")
        place = token.end()
        yield token.lastgroup, token[0], begin


def _after_string(text: str, begin: int) -> int:
    r"""The old syntax escapes with `\"` alone, and not at the text's end; the new one knows `\\` too."""
    place = begin + 1
    while place < len(text):
        if text[place] == '"':
            return place + 1
        slashes = len(text) - place - len(text[place:].lstrip("\\"))
        place += max(1, slashes)
        if slashes and text[place : place + 1] == '"':
            if slashes > 1 or not text[place + 1 :].strip(" "):
                raise _NoneError(
                    "a string must not end in a backslash, which HTCondor reads in two ways "
                    + _where(text, begin)
                )
            place += 1
    raise _NoneError(f"it has a '\"' that is not closed {_where(text, begin)}")


def _is_plain(name: str) -> bool:
    return name.lower() not in _RESERVED and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) is not None


def _after_name(text: str, begin: int) -> int:
    place = text.find("'", begin + 1)
    if place < 0:
        raise _NoneError(f'it has a "\'" that is not closed {_where(text, begin)}')
    name = text[begin + 1 : place]
    if not name or not name.isascii() or any(character in name for character in '\\"$'):
        raise _NoneError(
            f"the quoted name of an attribute has a character that none has {_where(text, begin)}"
        )
    return place + 1


def _fits(number: str) -> bool:
    return int(number) <= _LARGEST_INTEGER if number.isdigit() else math.isfinite(float(number))


def _where(text: str, place: int) -> str:
    """The user's own words, where it happened."""
    before = text[max(0, place - 20) : place].lstrip()
    after = text[place : place + 20].rstrip()
    if not after:
        return f"at the end, after {before!r}"
    return f"at {after!r}" + (f", after {before!r}" if before else "")
