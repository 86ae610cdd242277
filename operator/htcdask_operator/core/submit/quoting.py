"""How text gets into a submit description, safely: the only place that quotes.

Called by `descriptions`, and by the settings for what a profile may add. Submit descriptions are code: a line
break starts a new command and `$` expands macros, so the one is refused and the other neutralised.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from htcdask_api import expressions, macros
from htcdask_operator.core.policy import ClassAdExpression

_LONGEST_ACCOUNT: Final = 100
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_MARKED: Final = re.compile(r"-[0-9a-f]{6}$")
_ATTRIBUTE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


LONGEST_LITERAL: Final = 8192  # characters, as it is written down
DEEPEST_LIST: Final = 3  # lists inside of one another


class UnquotableError(ValueError):
    """The text cannot be put into a submit description; the message says what is wrong with it."""


def text(value: str) -> str:
    """A value of a submit command: literal, whatever is in it."""
    if not value.isprintable():
        raise UnquotableError(f"{value!r} has control characters")
    wrong = macros.complaint(value)
    if wrong is not None:
        raise UnquotableError(f"{value!r} has {wrong}")
    return value.replace("$", "$(DOLLAR)")


def string(value: str) -> str:
    r"""A ClassAd string literal, as the schedd's old syntax reads it: a backslash is one, but for `\"`."""
    if value.endswith("\\") or '\\"' in value:
        raise UnquotableError(f"{value!r} has a backslash before a quote or at its end, read in two ways")
    return text('"' + value.replace('"', '\\"') + '"')


def written(setting: object) -> str:
    """What a setting gives an attribute: an expression, a literal, or a list of these and of lists."""
    return expression(setting.text) if isinstance(setting, ClassAdExpression) else literal(setting)


def literal(value: object, depth: int = 0) -> str:
    """A ClassAd literal of a setting's value."""
    if isinstance(value, list | tuple):
        return _list(value, depth)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        if not abs(value) < 2**63:  # nor is NaN
            raise UnquotableError(f"{value!r} is no number to HTCondor")
        return repr(value)
    if not isinstance(value, str):
        raise UnquotableError(f"a {type(value).__name__} is no string, number, true, false or list of these")
    if len(value) > LONGEST_LITERAL:
        raise UnquotableError(f"it is longer than {LONGEST_LITERAL} characters")
    return string(value)


def _list(values: Sequence[object], depth: int) -> str:
    """It stops at what is too long: few lines of YAML can name a list that would never end."""
    if depth >= DEEPEST_LIST:
        raise UnquotableError(f"it has more than {DEEPEST_LIST} lists inside of one another")
    items, length = [], 2
    for each in values:
        items.append(literal(each, depth + 1))
        length += len(items[-1]) + 2
        if length > LONGEST_LITERAL:
            raise UnquotableError(f"it is longer than {LONGEST_LITERAL} characters")
    made = "{" + ", ".join(items) + "}"
    wrong = macros.complaint(made.replace("$(DOLLAR)", "$"))
    if wrong is not None:  # that begins in one string and ends in another
        raise UnquotableError(f"the list has {wrong}")
    return made


def attribute(name: str) -> str:
    """The submit key that sets the job's attribute `name`."""
    if _ATTRIBUTE.fullmatch(name) is None:
        raise UnquotableError(f"{name!r} is not the name of a ClassAd attribute")
    return f"My.{name}"


def expression(value: str) -> str:
    """A ClassAd expression that somebody wrote, as it was written: only as all of an attribute of its own."""
    wrong = expressions.complaint(value)
    if wrong is not None:
        raise UnquotableError(f"{value!r} is not a ClassAd expression: {wrong}")
    return text(value.strip(" "))


def user(name: str) -> str:
    """A user's name, whatever the gateway took for one, as plain characters that say it without loss."""
    return quote(name, safe="@+", errors="surrogatepass")


def group(value: str) -> str:
    """The site's accounting group, part by part: what is plain stays as it is."""
    parts = value.split(".")
    return ".".join(part if _PLAIN.fullmatch(part) else account(part) for part in parts)


def account(value: str) -> str:
    """A name as a part of an accounting group: a dot would make a subgroup, a blank fails the submit.

    Who is renamed gets a mark of their own: `a.b` and `a_b` are two people, and so is who is called like one
    that was renamed.
    """
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", value)[:_LONGEST_ACCOUNT]
    if plain == value and value and not _MARKED.search(value):
        return plain
    template_hash = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{plain or 'nobody'}-{template_hash}"
