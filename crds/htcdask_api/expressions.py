"""What may be written as a ClassAd expression, in a pool or a notebook: read here before HTCondor reads it.

Called by the models (client, operator) and by the settings. HTCondor has two parsers: job ads are read in the
old syntax, its libraries read the new one, and the two differ about backslashes, comments and what may follow
an expression. A text that both read alike, to its end, cannot leave the place where it was put. Schedd and
negotiator evaluate it for each job and slot: nothing in it may multiply what that takes, or end them.
"""

import operator
from collections.abc import Callable
from typing import Final

from . import classad_functions, classad_tokens, macros, names
from .classad_tokens import BINARY, JOINS, LITERALS, RESERVED, UNARY, NotOneError, is_plain

LONGEST: Final = 2048
DEEPEST: Final = 50
HIGHEST: Final = 150
"""Operators and brackets of which each is evaluated inside of the next: HTCondor gives up at 200 to 400."""

_SCOPES: Final = frozenset({"my", "self", "parent", "toplevel", "root"})
_ADS: Final = _SCOPES | {"target", "other", "left", "right", "adcl", "adcr", "lctx", "rctx"}
# Evaluated each time that they are named; what names an image is a kilobyte of the user's own.
_OURS: Final = frozenset(
    name.lower()
    for name in (
        *(names.AD_USER_REQUIREMENTS, names.AD_USER_RANK, names.AD_PROFILE_REQUIREMENTS),
        *(names.AD_PROFILE_RANK, "Requirements", "Rank", "ContainerImage", "DockerImage", "SingularityImage"),
    )
)


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
    macro = macros.complaint(text)
    if macro is not None:
        return f"it has {macro}"
    try:
        _Reader(text).read()
    except NotOneError as error:
        return str(error)
    return None


class _Reader:
    """Recursive descent; what is read is not kept."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = classad_tokens.tokens(text)
        self._depth = 0
        self._records = 0  # around this place
        self._growing = 0  # functions around this place
        self._expensive: str | None = None  # the function around this place
        self._grown = 0  # functions that grow
        self._named = 0  # attributes
        self._written = 0  # characters in strings
        self._steps = 0
        self._defined: set[str] = set()
        self._used: set[str] = set()  # in a record
        self._next()

    def read(self) -> None:
        self._expression()
        if self._kind != "end":
            raise NotOneError(self._at("nothing can stand there"))
        again = sorted(self._used & (self._defined | _SCOPES if self._defined else set()))
        if again:
            # Each would be evaluated anew: ten of ten of ten take longer than anybody waits.
            raise NotOneError(f"a record uses {again[0]!r}, of which a record's definitions may not make use")

    def _next(self) -> None:
        self._kind, self._said, self._place = next(self._tokens, ("end", "", len(self._text)))

    def _expression(self) -> int:
        """How many operators and brackets are inside of one another."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise NotOneError(f"it is nested more than {DEEPEST} deep")
        height = self._chain()
        if self._take("?"):
            if self._said != ":":
                height = max(height, self._expression())
            self._demand(":")
            height = max(height, self._expression()) + 1
        self._depth -= 1
        return self._bound(height)

    def _chain(self) -> int:
        """Operands with operators between them, whichever binds more: at worst each is inside of the next."""
        height, joined, between, most_between = self._operand(), 0, 0, 0
        while self._said.lower() in BINARY and self._kind in ("mark", "word"):
            if self._said in JOINS:
                joined, between = joined + 1, 0
            else:
                between += 1
                most_between = max(most_between, between)
            default = self._take("?:")
            if not default:
                self._next()
            height = max(height, self._operand(default=default))
            self._bound(height + joined + most_between)
        return height + joined + most_between

    def _operand(self, *, default: bool = False) -> int:
        signs = 0
        while self._kind == "mark" and self._said in UNARY:
            sign, after, signs = self._said, self._place + 1, self._bound(signs + 1)
            self._next()
            if default and (sign != "-" or self._kind != "number" or self._place != after):
                raise NotOneError(self._at(f"HTCondor wants brackets around a {sign!r} behind '?:'"))
        height = self._primary()
        while self._kind == "mark" and self._said in (".", "["):
            if self._take("."):
                self._attribute(scoped=True)
            else:
                self._next()
                self._index()
                self._demand("]")
            height = self._bound(height + 1)
        return self._bound(height + signs)

    def _bound(self, height: int) -> int:
        if height > HIGHEST:
            raise NotOneError(
                f"it has more than {HIGHEST} operators in a row or inside of one another: a list is shorter, "
                'as in member(Machine, {"a", "b"})'
            )
        return height

    def _index(self) -> None:
        """HTCondor ends when an ad's attribute by the name in a string is the one that it evaluates."""
        while self._kind == "mark" and self._said in ("-", "+"):
            self._next()
        if self._kind != "number":
            raise NotOneError(self._at("what stands in [ ] must be a number"))
        self._next()

    def _primary(self) -> int:
        kind, token = self._kind, self._said
        if kind in ("string", "number", "name"):
            self._next()
            self._note(kind, token)
        elif kind == "word" and token.lower() not in ("is", "isnt"):
            self._next()
            if token.lower() not in LITERALS and self._take("("):
                return self._call(token) + 1
            self._note(kind, token)
        elif self._take("."):
            self._attribute(scoped=True)
        elif self._take("("):
            height = self._expression() + 1
            self._demand(")")
            return height
        elif self._take("{"):
            return self._list("}", self._expression, ",") + 1
        elif self._take("["):
            self._records += 1
            height = self._list("]", self._definition, ";") + 1
            self._records -= 1
            return height
        else:
            raise NotOneError(self._at("a value is missing"))
        return 0

    def _call(self, said: str) -> int:
        """A function's arguments, behind its bracket."""
        wrong = classad_functions.complaint(said)
        if wrong is not None:
            raise NotOneError(wrong)
        function = said.lower()
        if function in classad_functions.EXPENSIVE and self._expensive:
            raise NotOneError(f"it has {said}() inside of {self._expensive}()")
        around = self._growing, self._expensive
        if function in classad_functions.GROWING:
            self._growing, self._grown = self._growing + 1, self._grown + 1
            if self._growing > classad_functions.GROWING_DEEP:
                raise NotOneError(
                    f"it has {said}() inside of {classad_functions.GROWING_DEEP} others that make texts"
                )
        if function in classad_functions.EXPENSIVE:
            self._expensive = said
        height = (
            self._matching(said)
            if function in classad_functions.WITH_PATTERN
            else self._list(")", self._expression, ",")
        )
        self._growing, self._expensive = around
        return height

    def _matching(self, said: str) -> int:
        """The arguments of a function with a regular expression."""
        pattern = self._literal(said, "its regular expression")
        self._demand(",")
        before = self._grown, self._named, self._written
        height = self._expression()
        grown, named, written = (
            now - then for now, then in zip((self._grown, self._named, self._written), before, strict=True)
        )
        if said.lower() in classad_functions.SUBSTITUTING:
            self._demand(",")
            self._substitute(said, short=not named and written <= classad_functions.LONGEST_SUBSTITUTE)
        try:
            if said.lower() == "stringlist_regexpmember" and self._take(","):
                self._literal(said, "its separators")
            if self._take(","):
                classad_functions.check_options(self._literal(said, "its options"))
            self._steps += classad_functions.steps(pattern, named << grown, written << grown)
            classad_functions.check_steps(self._steps)
        except classad_functions.PatternError as error:
            raise NotOneError(f"the regular expression {pattern[:80]!r} {error}") from None
        self._demand(")")
        return height

    def _substitute(self, said: str, *, short: bool) -> None:
        """What takes the place of each match: a few characters, or, of a `short` text, one attribute."""
        before = self._grown, self._written, self._named + 1
        if self._kind == "string" or not short:
            if len(self._literal(said, "what it puts there")) > classad_functions.LONGEST_SUBSTITUTE:
                raise NotOneError(
                    f"{said}() puts more than {classad_functions.LONGEST_SUBSTITUTE} characters there"
                )
            return
        self._expression()
        if any(map(operator.gt, (self._grown, self._written, self._named), before)):
            raise NotOneError(f"{said}() puts more there than one attribute")

    def _literal(self, function: str, what: str) -> str:
        """A string that is written out; `\\"` is all that the schedd's syntax escapes."""
        text = self._said
        if self._kind != "string":
            raise NotOneError(self._at(f"{what} must be written out in {function}(), in quotes,"))
        self._next()
        return text[1:-1].replace('\\"', '"')

    def _note(self, kind: str, token: str) -> None:
        """What is named or written here, where it matters."""
        if kind == "string":
            self._written += len(token)
        if kind not in ("word", "name"):
            return
        name = token.strip("'").lower()
        if self._records:
            self._used.add(name)
        self._named += name not in LITERALS
        if name in _OURS:
            raise NotOneError(f"it names {token}, which the pool itself sets")
        if name in _ADS and self._said != ".":
            raise NotOneError(f"it has {token} without a dot and a name behind it")

    def _list(self, end: str, item: Callable[[], int], separator: str) -> int:
        if self._take(end):
            return 0
        height = item()
        while self._take(separator):
            while separator == ";" and self._take(separator):
                pass
            if separator == ";" and self._said == end:
                break
            height = max(height, item())
        self._demand(end)
        return height

    def _definition(self) -> int:
        self._defined.add(self._said.strip("'").lower())
        self._attribute()
        self._demand("=")
        return self._expression()

    def _attribute(self, *, scoped: bool = False) -> None:
        # Behind a scope HTCondor drops the quotes, and what they held would be read as something else.
        if scoped and self._kind == "name" and not is_plain(self._said[1:-1]):
            raise NotOneError(self._at("behind a dot, HTCondor loses the quotes of a name that needs them,"))
        if self._kind != "name" and (self._kind != "word" or self._said.lower() in RESERVED):
            raise NotOneError(self._at("the name of an attribute is missing"))
        kind, token = self._kind, self._said
        self._next()
        if scoped:
            self._note(kind, token)

    def _take(self, mark: str) -> bool:
        if self._kind == "mark" and self._said == mark:
            self._next()
            return True
        return False

    def _demand(self, mark: str) -> None:
        if not self._take(mark):
            raise NotOneError(self._at(f"a {mark!r} is missing"))

    def _at(self, problem: str) -> str:
        return f"{problem} {classad_tokens.where(self._text, self._place)}"
