"""What the site decided, read once from one YAML file into a frozen `Settings`.

Called by `__main__` before anything else. A key that does not exist or a value that cannot be right stops the
start with an error that names the key and what it may be. The chart writes the file from its values, so the
keys are the chart's: camelCase.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from htcdask_operator import settings_errors
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.core.submit import images
from htcdask_operator.settings_profiles import ProfileSettings
from htcdask_operator.settings_types import (
    Bytes,
    Count,
    Label,
    Ports,
    Preloads,
    ProfileName,
    Seconds,
    Section,
    StrictTemplate,
    Text,
    Tree,
    address,
    collectors,
    image_path,
)

VARIABLE: Final = "HTCDASK_SETTINGS"

LEASES_OF_POLLS: Final = 4
"""A job's lease is renewed when a third of it is over, which is seen when the queue is: one may be missed."""


class SettingsError(Exception):
    """The settings cannot be used; the message names the file and each bad key."""


class AccessPointAddress(Section):
    """Which schedd, and which collector knows it, or which collectors of one pool."""

    collector: Annotated[Text, BeforeValidator(collectors)]
    schedd: Text


class Limits(Section):
    """Caps that no pool exceeds, whatever its spec says."""

    max_replicas_per_pool: Annotated[int, Field(ge=0, le=100_000)] = 1000
    max_replicas_per_user: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    max_cores_per_user: Count | None = None
    max_memory_per_user: Bytes | None = None
    max_gpus_per_user: Count | None = None
    max_replicas: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    max_cores: Count | None = None
    max_memory: Bytes | None = None
    max_gpus: Count | None = None
    drain_seconds: Annotated[float, Field(ge=0, le=31_536_000)] = 3600.0
    max_runtime_seconds: Annotated[int, Field(ge=300, le=31_536_000)] | None = None


class Poll(Section):
    """How often the one question to the access point is asked."""

    active_seconds: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    quiet_seconds: Annotated[float, Field(ge=1, le=600)] = 15.0


class Healing(Section):
    """When to be patient with workers that do not come or do not stay."""

    connect_seconds: Seconds = 120.0
    suspended_seconds: Seconds | None = None
    death_timeout_seconds: Annotated[int, Field(ge=10, le=86_400)] = 60
    vacate_seconds: Seconds = 20.0
    ended_seconds: Annotated[float, Field(ge=60, le=86_400)] = 300.0
    backoff_first_seconds: Seconds = 10.0
    backoff_last_seconds: Seconds = 600.0
    breaker_failures: Annotated[int, Field(ge=1, le=1000)] = 5


class Leader(Section):
    """The Lease that keeps two operators apart: where it is, and how long a silent holder is waited for."""

    namespace: Label
    name: Label
    lease_seconds: Annotated[int, Field(ge=3, le=300)] = 15


class Settings(Section):
    """The whole file."""

    operator_id: Label
    gateway_namespaces: Annotated[tuple[Label, ...], Field(min_length=1)]
    access_point: AccessPointAddress
    token_file: Path
    scheduler_address: Annotated[str, BeforeValidator(address)]
    worker_ports: Ports | None = None
    nanny_ports: Ports | None = None
    worker_preload: Preloads = ()
    nanny_preload: Preloads = ()
    delivery: Literal["stream", "transfer"] = "stream"
    template: StrictTemplate = StrictTemplate()
    profiles: dict[ProfileName, ProfileSettings] = {}
    limits: Limits = Limits()
    default_pool: bool = True
    image_path_template: Annotated[str, BeforeValidator(image_path)] | None = None
    allowed_images: tuple[Text, ...] = ()
    image_trees: tuple[Tree, ...] = ("/cvmfs",)
    allow_user_expressions: bool = True
    accounting_group: Text | None = None
    leader: Leader
    job_expiry_seconds: Annotated[float, Field(ge=60, le=604_800)] = 3600.0
    poll: Poll = Poll()
    healing: Healing = Healing()
    health_port: Annotated[int, Field(ge=1, le=65535)] = 8080

    @model_validator(mode="after")
    def _profiles_differ_to_htcondor(self) -> Self:
        """A site's own rules and queries compare `HTCDaskProfile` by ==, to which case is nothing."""
        folded: dict[str, str] = {}
        for name in self.profiles:
            other = folded.setdefault(name.casefold(), name)
            if other != name:
                raise ValueError(f"profiles: {other} and {name} are one name to HTCondor: rename one")
        return self

    @model_validator(mode="after")
    def _own_images_are_images(self) -> Self:
        """The site's own words are held to its own rule, at start-up and not pool by pool."""
        named = {"template": self.template.container_image, "imagePathTemplate": self.image_path_template}
        for name, profile in self.profiles.items():
            named[f"profiles.{name}.template"] = profile.template.container_image
        for key, image in named.items():
            if image is not None and images.is_window(image, self.image_trees):
                raise ValueError(
                    f"{key}: the image {image} is a folder outside imageTrees, or in a job's scratch"
                )
        return self

    @model_validator(mode="after")
    def _own_run_times_are_allowed(self) -> Self:
        """Else each pool that says nothing would be refused for what it did not say."""
        most = self.limits.max_runtime_seconds
        templates = {f"profiles.{name}.template": its.template for name, its in self.profiles.items()}
        for key, template in {"template": self.template, **templates}.items():
            asked = template.max_runtime_seconds
            if most is not None and asked is not None and asked > most:
                raise ValueError(
                    f"{key}.maxRuntimeSeconds ({asked}) must not exceed limits.maxRuntimeSeconds ({most})"
                )
        return self

    @model_validator(mode="after")
    def _more_memory_is_more(self) -> Self:
        """Else a profile's workers would never get more, without a word."""
        own = self.template.memory_bytes
        for name, profile in self.profiles.items():
            most = profile.out_of_memory.max_memory
            if most is not None and "memory" not in profile.template.model_fields_set and own > most:
                raise ValueError(
                    f"profiles.{name}.outOfMemory.maxMemory must not be less than template.memory "
                    f"({self.template.memory})"
                )
        return self

    @model_validator(mode="after")
    def _times_fit_each_other(self) -> Self:
        healing, expiry, quiet = self.healing, self.job_expiry_seconds, self.poll.quiet_seconds
        wrong = []
        if healing.backoff_first_seconds > healing.backoff_last_seconds:
            wrong.append("healing.backoffFirstSeconds must not be longer than healing.backoffLastSeconds")
        if expiry < LEASES_OF_POLLS * quiet:
            wrong.append(
                f"jobExpirySeconds ({expiry:g}) must be at least {LEASES_OF_POLLS} times poll.quietSeconds "
                f"({quiet:g}): else idle jobs end before the operator says again that they are wanted"
            )
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    @property
    def poll_intervals(self) -> PollIntervals:
        """How often the access point is asked."""
        return PollIntervals(self.poll.active_seconds, self.poll.quiet_seconds)

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
            worker_preload=self.worker_preload,
            nanny_preload=self.nanny_preload,
            accounting_group=self.accounting_group,
            image_path_template=self.image_path_template,
            allowed_images=self.allowed_images,
            image_trees=self.image_trees,
            allow_user_expressions=self.allow_user_expressions,
            default_pool=self.default_pool,
            **self.limits.model_dump(),
            delivery=self.delivery,
            job_expiry_seconds=self.job_expiry_seconds,
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
        max_memory=profile.out_of_memory.max_memory,
        users=profile.users,
        groups=profile.groups,
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
        raise SettingsError(f"{where}: not YAML: {settings_errors.of_yaml(error)}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{where}: must be a map of keys such as operatorId and accessPoint")
    try:
        return Settings.model_validate(_without_nulls(content))
    except ValidationError as error:
        raise SettingsError(f"{where}: {settings_errors.of_values(error, Settings)}") from None


def default_path() -> Path | None:
    """Where the environment says that the settings are."""
    value = os.environ.get(VARIABLE)
    return Path(value) if value else None


def _without_nulls(value: Any) -> Any:
    """A key without a value means "not set", so that the chart may render every key."""
    if not isinstance(value, dict):
        return value
    return {key: _without_nulls(item) for key, item in value.items() if item is not None}
