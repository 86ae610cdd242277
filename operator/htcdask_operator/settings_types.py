"""What single values in the site's settings must be; each ValueError says what may stand there.

Used by `settings`.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from htcdask_api import Template, expressions, names
from htcdask_api.quantity import parse_bytes
from htcdask_api.spec import LONGEST_PROFILE, PROFILE_PATTERN
from htcdask_operator.core.policy import ClassAdExpression, PortRange
from htcdask_operator.core.submit import quoting, reserved_attributes


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", value)
    if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError('must be a range of ports from 1024 to 65535, such as "10000:10100"')
    return PortRange(int(match[1]), int(match[2]))


def _bytes(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError('must be a Kubernetes quantity, such as "512Gi" or "2Ti"')
    return parse_bytes(value)


_IPV6: Final = r"\[[0-9a-fA-F:.]+\]"


def address(value: object) -> object:
    match = re.fullmatch(rf"(?:[^\s:/\[\]]+|{_IPV6}):([0-9]{{1,5}})", str(value))
    if match is not None and 1 <= int(match[1]) <= 65535:
        return value
    raise ValueError('must be "host:port", with an IPv6 address in brackets: "[2001:db8::1]:443"')


def collectors(value: object) -> object:
    """One, or several of the same pool: HTCondor asks any of them, and the others when it is not there."""
    for one in str(value).split(","):
        match = re.fullmatch(rf"(?:[^\s:/,]+|{_IPV6})(?::([0-9]{{1,5}}))?(?:\?[^\s,]+)?", one)
        if match is None or not (match[1] is None or 1 <= int(match[1]) <= 65535):
            raise ValueError('must be "host" or "host:port", or several of them with commas between')
    return value


def image_path(value: object) -> object:
    if isinstance(value, str):
        try:
            if value.format(registry="r", name="n").startswith(("/", "docker://", "oras://")):
                return value
        except (KeyError, IndexError, ValueError):
            pass
    raise ValueError(
        'must be a path with {registry} and {name}, such as "/cvmfs/unpacked.cern.ch/{registry}/{name}"'
    )


def _one_line(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be one line, without control characters")
    return value


def _label(value: str) -> str:
    if re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", value) is None:
        raise ValueError("must be lower-case letters, digits, dashes and dots, at most 63")
    return value


def _profile_name(value: str) -> str:
    if len(value) > LONGEST_PROFILE or re.fullmatch(PROFILE_PATTERN.strip("^$"), value) is None:
        raise ValueError(
            "must be letters, digits and, between them, spaces, dashes, underscores and dots, at most 63"
        )
    return value


def _expression(value: str) -> str:
    wrong = expressions.complaint(value)
    if wrong is not None:
        raise ValueError(f"must be a ClassAd expression; {wrong}")
    return value


def _attribute(name: str) -> str:
    prefix = re.match(r"\+|my\.", name, re.IGNORECASE)
    if prefix is not None:
        rest = name[prefix.end() :]
        raise ValueError(f"is how a submit file says it; here the attribute's name is {rest[:80]!r}")
    if reserved_attributes.is_reserved(name):
        raise ValueError("the operator sets this attribute itself, or relies on it; no profile may")
    quoting.attribute(name)
    return name


def _attribute_value(value: object) -> object:
    """A literal, a list of literals and lists, or `{expression: "..."}`; not shown, as it may be a secret."""
    if isinstance(value, dict):
        text = value.get("expression")
        if value.keys() != {"expression"} or not isinstance(text, str):
            raise ValueError(
                'must be a string, a number, true, false, a list of these or {expression: "..."}'
            )
        return ClassAdExpression(_expression(text))
    quoting.literal(value)
    return _frozen(value)


def _frozen(value: object) -> object:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def _tree(value: str) -> str:
    if re.fullmatch(r"(/[A-Za-z0-9_][-A-Za-z0-9_.]*)+/?", value) is None:
        raise ValueError(
            'must be the path of a folder on execute nodes that has unpacked images, such as "/cvmfs"'
        )
    return value


Ports = Annotated[PortRange, BeforeValidator(_ports)]
Text = Annotated[str, AfterValidator(_one_line), StringConstraints(min_length=1, max_length=1024)]
Group = Annotated[
    str, AfterValidator(_one_line), StringConstraints(min_length=1, max_length=names.LONGEST_GROUP)
]
Preloads = Annotated[tuple[Text, ...], Field(max_length=20)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_expression)]
AttributeName = Annotated[str, AfterValidator(_attribute)]
AttributeValue = Annotated[object, BeforeValidator(_attribute_value)]
Tree = Annotated[str, AfterValidator(_tree)]
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0, lt=2**70)]
WorkerBytes = Annotated[int, BeforeValidator(_bytes), Field(ge=64 * 2**20, lt=2**50)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Label = Annotated[str, AfterValidator(_label)]
ProfileName = Annotated[str, AfterValidator(_profile_name)]


class Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
    )


class StrictTemplate(Template):
    """A pool's template, but strict: a key that does not exist is a mistake here."""

    model_config = ConfigDict(extra="forbid")
