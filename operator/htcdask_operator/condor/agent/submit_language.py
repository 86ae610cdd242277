"""What HTCondor itself makes of a submit description, before it is submitted: the second barrier.

Called by `schedd`. A submit description is a program, and parsing it may run commands: it is looked at before
it is parsed, and what HTCondor understood is compared with what was meant. Raises `errors.SubmitRefused`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import classad2
import htcondor2

from htcdask_operator.condor.errors import SubmitRefused

_EXPRESSIONS: Final = ("leave_in_queue", "periodic_remove", "rank")
_KEY: Final = re.compile(r"(?!(?:include|if|elif|else|endif|queue)$)(?:My\.)?[A-Za-z_][A-Za-z0-9_]*")
_NOT_ONE: Final = (
    "nothing was sent: {} is not a ClassAd expression that HTCondor's own parsers can read: {!r}"
)
_MACRO: Final = re.compile(r"\$\((DOLLAR|wname|wout)\)")


def parsed(description: Mapping[str, str]) -> Any:
    """The description as HTCondor's parser understands it, which must be what was meant, and nothing else.

    A submit description is a program, and parsing it may run commands: it is looked at before it is parsed.
    """
    for key, value in description.items():
        if not _KEY.fullmatch(key):
            raise SubmitRefused(
                f"nothing was sent: {key[:80]!a} is not the name of a command or an attribute"
            )
        if not value.isprintable() or value != value.strip():
            raise SubmitRefused(f"nothing was sent: the value of {key} is not one line: {value[:200]!a}")
        _understood(key, value)
    made = htcondor2.Submit("".join(f"{key} = {value}\n" for key, value in description.items()))
    if dict(made.items()) != dict(description) or made.getQArgs():
        surprises = sorted(set(made.items()) ^ set(description.items()))[:4]
        raise SubmitRefused(
            f"nothing was sent: HTCondor would understand something else than was meant: {surprises!r:.400}"
        )
    for key, value in description.items():
        try:
            found = made.expand(key)
        except KeyError:  # there is nothing
            found = ""
        _expanded(key, _meant(value), found)
    return made


def _expanded(key: str, meant: str, found: str) -> None:
    """Make sure that the job gets what was meant, also when HTCondor's macros have been replaced."""
    if found != meant or "$$" in found:
        raise SubmitRefused(
            f"nothing was sent: HTCondor would make {found[:200]!r} of {key}, and {meant[:200]!r} was meant"
        )


def _meant(value: str) -> str:
    """The value without its macros; the names that each job has of its own are empty until there is one."""
    return _MACRO.sub(lambda macro: "$" if macro[1] == "DOLLAR" else "", value)


def _understood(key: str, value: str) -> None:
    """Make sure that an expression is one to both of HTCondor's parsers, from its beginning to its end."""
    if not (key.startswith("My.") or key in _EXPRESSIONS):
        return
    text = value.replace("$(DOLLAR)", "$")
    try:
        # Both take what they understand, and may say nothing about the rest: brackets show that it was all.
        whole = all(parse(f"({text})") == f"({parse(text)})" for parse in (_as_new, _as_old))
    except Exception as error:  # the binding raises several kinds
        raise SubmitRefused(_NOT_ONE.format(key.removeprefix("My."), value[:300])) from error
    if not whole:
        raise SubmitRefused(_NOT_ONE.format(key.removeprefix("My."), value[:300]))


def _as_new(text: str) -> str:
    return str(classad2.ExprTree(text))


def _as_old(text: str) -> str:
    """As the schedd reads it."""
    return str(classad2.parseOne(f"It = {text}", classad2.ParserType.Old).lookup("It"))
