"""Which of HTCondor's functions an expression may call, and what each may cost.

Called by `expressions` for each call that it reads. Schedd and negotiator evaluate what people wrote for
each job and slot: a function that is not listed here, because it is new for instance, is not allowed before
somebody has looked at it.
"""

import difflib
import math
import re
from typing import Final, NamedTuple


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN: Final = _names(
    """
    isundefined iserror isstring isinteger isreal isboolean islist isclassad isabstime isreltime
    ifthenelse member identicalmember anycompare allcompare size sum avg min max
    int real bool floor ceil ceiling round pow quantize random
    time currenttime daytime timezoneoffset interval getyear getmonth getdayofyear
    getdayofmonth getdayofweek getdays gethours getminutes getseconds splittime
    strcmp stricmp substr versioncmp versionlt versionle versiongt versionge versioneq version_in_range
    stringlistsize stringlistsum stringlistavg stringlistmin stringlistmax stringlistmember
    stringlistimember
    """
)
"""What these bring is no larger than what they are given, and takes no longer."""
GROWING: Final = _names("strcat string toupper tolower formattime split splitusername splitslotname")
"""These bring all that they are given, and may quote it: inside of one another, each may double it."""
MATCHING: Final = _names("regexp regexpmember stringlist_regexpmember")
SUBSTITUTING: Final = _names("regexps replace replaceall")
"""Each match may be replaced by something longer."""
LISTS_BY_LISTS: Final = _names("stringlistsintersect stringlistsubsetmatch stringlistisubsetmatch")
"""These compare each item of one list with each of the other."""
FOR_EACH: Final = _names("evalineachcontext countmatches")
"""These evaluate their first argument as often as there are items in the second."""
ALLOWED: Final = PLAIN | GROWING | MATCHING | SUBSTITUTING | LISTS_BY_LISTS | FOR_EACH
WITH_PATTERN: Final = MATCHING | SUBSTITUTING
EXPENSIVE: Final = WITH_PATTERN | LISTS_BY_LISTS | FOR_EACH
"""None of these may be an argument of another."""

GROWING_DEEP: Final = 4
LONGEST_SUBSTITUTE: Final = 64
_COMMON_LENGTH: Final = 200  # of an attribute of a machine, in characters
_MOST_STEPS: Final = 8_000_000  # a tenth of a second at worst

_ADVICE: Final = {
    "eval": "which would evaluate a text that nobody has looked at",
    "join": "which may bring far more than it is given: use strcat()",
    "unparse": "which evaluates nothing: use string()",
    "debug": "which writes into HTCondor's logs: use condor_q -better-analyze",
    "userhome": "which looks for files of the access point's users",
    "usermap": "which reads the site's files",
    # HTCondor's parsers read these two as literals, and refuse all of a text for one that is none.
    **dict.fromkeys(
        ("abstime", "reltime"), "which not every text can be read as: use seconds, as time() does"
    ),
    "unresolved": "which says nothing about a slot",
    **dict.fromkeys(
        ("envv1tov2", "mergeenvironment", "listtoargs", "argstolist"),
        "which is for a job's environment and arguments, and not for choosing a slot",
    ),
}
_QUANTIFIER: Final = re.compile(
    r"(?P<any>[*+]|\{ *[0-9]{0,3} *, *[0-9]{0,3} *\})|(?P<exactly>\{ *[0-9]{1,3} *\})|(?P<may>\?)"
)
_ANCHORED: Final = re.compile(r"(?:\^|\\A)(?![*+?{])|\.\*")
_TOO_OFTEN: Final = re.compile(r"\{[ ,0-9]*[0-9]{4}[ ,0-9]*\}")
_CLASS: Final = re.compile(r"\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]")
_ESCAPE: Final = re.compile(r"\\[^A-Za-z0-9]|\\[dDwWsSbBAzZhHvVtnrN]")
_GROUP: Final = re.compile(r"\((?:\?:|(?![?*]))")
_OPTIONS: Final = re.compile(r"[iImMsSfFgG]*")
_DEEPEST_GROUP: Final = 20


class PatternError(ValueError):
    """A regular expression that cannot be allowed; the message says why, of "its regular expression"."""


class _Ways(NamedTuple):
    """How often a piece of a pattern may be tried: `choices` times the length to the power of `repeats`."""

    choices: int = 1
    repeats: int = 0


def complaint(function: str) -> str | None:
    """What keeps an expression from calling this function (`it has join(), which …`)."""
    name = function.lower()
    if name in ALLOWED:
        return None
    if name in _ADVICE:
        return f"it has {function}(), {_ADVICE[name]}"
    like = difflib.get_close_matches(name, ALLOWED, n=1)
    return f"it has {function[:40]}(), which is not one of the functions that are allowed" + (
        f": did you mean {like[0]}()?" if like else ""
    )


def steps(pattern: str, names: int, written: int) -> int:
    """How long this pattern may take on the values of so many attributes and so many characters written."""
    reader = _Pattern(pattern)
    ways = reader.read()
    exponent = ways.repeats + (0 if _ANCHORED.match(pattern) and not reader.chooses else 1)
    length = _COMMON_LENGTH * names + written + 1
    return ways.choices * math.comb(length + exponent, exponent)


def check_steps(total: int) -> None:
    """PatternError if all the expression's patterns together may take too long."""
    if total > _MOST_STEPS:
        raise PatternError(
            "could try too many ways to match: use fewer of * + ? { and |, and begin with ^ where you can"
        )


def check_options(options: str) -> None:
    """PatternError for an option that changes how a pattern is read."""
    if not _OPTIONS.fullmatch(options):
        raise PatternError(f"has options {options[:20]!r}: only i, m, s, f and g are allowed")


class _Pattern:
    """What a pattern can cost, from above: no two pieces are taken to exclude each other."""

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._place = 0
        self.chooses = False  # outside of all groups

    def read(self) -> _Ways:
        ways = self._branches(0)
        if self._place < len(self._text):
            raise PatternError("has a ) that closes nothing")
        return ways

    def _branches(self, depth: int) -> _Ways:
        if depth > _DEEPEST_GROUP:
            raise PatternError(f"has groups more than {_DEEPEST_GROUP} deep")
        choices, repeats = 0, 0
        while True:
            branch = self._sequence(depth)
            choices, repeats = choices + branch.choices, max(repeats, branch.repeats)
            if not self._take("|"):
                return _Ways(choices, repeats)
            self.chooses |= depth == 0

    def _sequence(self, depth: int) -> _Ways:
        choices, repeats = 1, 0
        while self._place < len(self._text) and self._text[self._place] not in "|)":
            piece = self._quantified(self._atom(depth))
            choices, repeats = choices * piece.choices, repeats + piece.repeats
        return _Ways(choices, repeats)

    def _atom(self, depth: int) -> _Ways:
        character = self._text[self._place]
        if character == "(":
            self._expect(_GROUP, "has a ( of a kind that is not allowed: only ( and (?: are")
            inside = self._branches(depth + 1)
            if not self._take(")"):
                raise PatternError("has a ( that is not closed")
            return inside
        if character == "[":
            self._expect(_CLASS, "has a [ that is not closed")
        elif character == "\\":
            self._expect(_ESCAPE, f"has {self._text[self._place : self._place + 2]!r}, which is not allowed")
        elif _TOO_OFTEN.match(self._text, self._place):
            raise PatternError("repeats something more than 999 times")
        else:
            self._place += 1
        return _Ways()

    def _quantified(self, atom: _Ways) -> _Ways:
        found = _QUANTIFIER.match(self._text, self._place)
        if found is None:
            return atom
        self._place = found.end()
        if self._text[self._place : self._place + 1] in ("?", "+"):  # lazy, possessive
            self._place += 1
        if found["may"]:
            return _Ways(atom.choices + 1, atom.repeats)
        if atom != _Ways():
            raise PatternError("repeats a group that repeats or chooses itself")
        return _Ways(1, 1) if found["any"] else atom

    def _expect(self, kind: re.Pattern[str], otherwise: str) -> None:
        found = kind.match(self._text, self._place)
        if found is None:
            raise PatternError(otherwise)
        self._place = found.end()

    def _take(self, mark: str) -> bool:
        if self._text.startswith(mark, self._place):
            self._place += 1
            return True
        return False
