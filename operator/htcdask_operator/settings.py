"""What the site decided, read once from one YAML file into a frozen `Settings`.

Called by `__main__` before anything else. A key that does not exist or a value that cannot be right stops the
start with an error that names the key and what it may be. The chart writes the file from its values, so the
keys are the chart's: camelCase.
"""

from __future__ import annotations

import difflib
import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from htcdask_api import Template
from htcdask_operator.core.model import Policy, PortRange, Profile

VARIABLE: Final = "HTCDASK_SETTINGS"
_INNER: Final = {"[key]", "bool", "int", "float", "str"}  # what pydantic adds to a key's path


class SettingsError(Exception):
    """The settings cannot be used; the message names the file and each bad key."""


def _ports(value: object) -> object:
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([0-9]{1,5}):([0-9]{1,5})", value)
    if match is None or not 1024 <= int(match[1]) <= int(match[2]) <= 65535:
        raise ValueError('must be a range of ports from 1024 to 65535, such as "10000:10100"')
    return PortRange(int(match[1]), int(match[2]))


def _address(value: object) -> object:
    match = re.fullmatch(r"[^\s:/]+:([0-9]{1,5})", str(value))
    if match is not None and 1 <= int(match[1]) <= 65535:
        return value
    raise ValueError('must be "host:port"')


def _image_path(value: object) -> object:
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


Ports = Annotated[PortRange, BeforeValidator(_ports)]
Text = Annotated[str, AfterValidator(_one_line), StringConstraints(min_length=1, max_length=1024)]
Seconds = Annotated[float, Field(gt=0, le=31_536_000)]
Label = Annotated[str, AfterValidator(_label)]


class _Section(BaseModel):
    model_config = ConfigDict(
        alias_generator=to_camel, extra="forbid", frozen=True, arbitrary_types_allowed=True
    )


class _Template(Template):
    """A pool's template, but strict: a key that does not exist is a mistake here."""

    model_config = ConfigDict(extra="forbid")


class AccessPoint(_Section):
    """Which schedd, and which collector knows it."""

    collector: Text
    schedd: Text


class ProfileSettings(_Section):
    """What the site's people add to templates that name this profile; ClassAd text is taken as written."""

    template: _Template = _Template()
    requirements: Text | None = None
    rank: Text | None = None
    accounting_group: Text | None = None
    attributes: dict[str, bool | int | float | str] = {}
    max_replicas: Annotated[int, Field(ge=0)] | None = None


class Limits(_Section):
    """Caps that no pool exceeds, whatever its spec says."""

    max_replicas_per_pool: Annotated[int, Field(ge=0, le=100_000)] = 1000
    max_replicas_per_user: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    max_replicas: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    drain_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0


class Poll(_Section):
    """How often the one question to the access point is asked."""

    active_seconds: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    quiet_seconds: Annotated[float, Field(ge=1, le=600)] = 15.0


class Healing(_Section):
    """When to be patient with workers that do not come or do not stay."""

    connect_seconds: Seconds = 120.0
    death_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] = 60
    vacate_seconds: Seconds = 20.0
    ended_seconds: Annotated[float, Field(ge=60, le=86_400)] = 300.0
    backoff_first_seconds: Seconds = 10.0
    backoff_last_seconds: Seconds = 600.0
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 5


class Leader(_Section):
    """The Lease that keeps two operators apart: where it is, and how long a silent holder is waited for."""

    namespace: Label
    name: Label
    lease_seconds: Annotated[int, Field(ge=3, le=300)] = 15


class Settings(_Section):
    """The whole file."""

    operator_id: Label
    gateway_namespaces: Annotated[tuple[Label, ...], Field(min_length=1)]
    access_point: AccessPoint
    token_file: Path
    scheduler_address: Annotated[str, BeforeValidator(_address)]
    worker_ports: Ports | None = None
    nanny_ports: Ports | None = None
    contact_address: Text | None = None
    delivery: Literal["stream", "transfer"] = "stream"
    template: _Template = _Template()
    profiles: dict[Label, ProfileSettings] = {}
    limits: Limits = Limits()
    fallback_pool: bool = True
    image_path_template: Annotated[str, BeforeValidator(_image_path)] | None = None
    allowed_images: tuple[Text, ...] = ()
    allow_user_expressions: bool = True
    accounting_group: Text | None = None
    leader: Leader
    lease_seconds: Annotated[float, Field(ge=60, le=604_800)] = 3600.0
    poll: Poll = Poll()
    healing: Healing = Healing()
    health_port: Annotated[int, Field(ge=1, le=65535)] = 8080

    @cached_property
    def policy(self) -> Policy:
        """The part that decisions depend on."""
        return Policy(
            operator_id=self.operator_id,
            scheduler_address=self.scheduler_address,
            default_template=self.template,
            profiles={name: _profile(name, profile) for name, profile in self.profiles.items()},
            worker_ports=self.worker_ports,
            nanny_ports=self.nanny_ports,
            contact_address=self.contact_address,
            accounting_group=self.accounting_group,
            image_path_template=self.image_path_template,
            allowed_images=self.allowed_images,
            allow_user_expressions=self.allow_user_expressions,
            fallback_pool=self.fallback_pool,
            **self.limits.model_dump(),
            delivery=self.delivery,
            lease_seconds=self.lease_seconds,
            **self.healing.model_dump(),
        )


def _profile(name: str, profile: ProfileSettings) -> Profile:
    return Profile(
        name=name,
        template=profile.template,
        requirements=profile.requirements,
        rank=profile.rank,
        accounting_group=profile.accounting_group,
        attributes=profile.attributes,
        max_replicas=profile.max_replicas,
    )


def load(path: Path) -> Settings:
    """The settings in the file `path`; SettingsError names every bad key."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"settings file {path}: {error.strerror}; name it with --settings or {VARIABLE}"
        ) from error
    return parse(text, str(path))


def parse(text: str, where: str = "settings") -> Settings:
    """The settings in a YAML text."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SettingsError(f"{where}: not YAML: {error}") from error
    if not isinstance(content, dict):
        raise SettingsError(f"{where}: must be a map of keys such as operatorId and accessPoint")
    try:
        return Settings.model_validate(_without_nulls(content))
    except ValidationError as error:
        raise SettingsError(f"{where}: " + "; ".join(_complaint(e) for e in error.errors())) from error


def default_path() -> Path | None:
    """Where the environment says that the settings are."""
    value = os.environ.get(VARIABLE)
    return Path(value) if value else None


def _without_nulls(value: Any) -> Any:
    """A key without a value means "not set", so that the chart may render every key."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}


def _complaint(error: Any) -> str:
    location = [part for part in error["loc"] if part not in _INNER]
    key = ".".join(str(part) for part in location)
    if error["type"] == "extra_forbidden":
        keys = _keys_at(location[:-1])
        near = difflib.get_close_matches(str(location[-1]), keys, n=1)
        return f"{key}: no such key" + (
            f", did you mean {near[0]}?" if near else f"; there are {', '.join(keys)}"
        )
    if error["type"] == "missing":
        return f"{key}: must be set"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {message} (it is {str(error['input'])[:80]!r})"


def _keys_at(location: list[Any]) -> list[str]:
    """The keys that the section at `location` may have; the names of profiles are not keys of a model."""
    section: type[BaseModel] = Settings
    for part in location:
        field = next((f for f in section.model_fields.values() if f.alias == part), None)
        if field is not None:
            models = [t for t in (field.annotation, *get_args(field.annotation)) if _is_model(t)]
            section = models[0] if models else section
    return [field.alias or name for name, field in section.model_fields.items()]


def _is_model(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
