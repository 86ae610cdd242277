"""What a pool asks for: `HTCWorkerPool.spec`, with the rules that the CRD enforces too.

Read by the client (before it sends), the operator (what it acts on) and the tests, which hold these models
and `crds/htcworkerpool.yaml` to the same fields, bounds, patterns and defaults.
"""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from . import expressions
from .base import ApiModel, shown_names
from .quantity import parse_bytes

MAX_REPLICAS: Final = 100_000
MAX_ENVIRONMENT_CHARACTERS: Final = 32_768
_SMALLEST: Final = 64 * 2**20
_LARGEST: Final = 2**50

IMAGE_PATTERN: Final = r"^(/|docker://|oras://)[A-Za-z0-9_][-A-Za-z0-9._/@:+~%=,]*$"
IMAGE_ODD_PATH_PATTERN: Final = r"^/((proc|sys|dev)(/.*)?|.*/[.]?(/.*)?)$"
ENVIRONMENT_NAME_PATTERN: Final = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"
RESOURCE_NAME_PATTERN: Final = r"^[A-Za-z_][-A-Za-z0-9_.]{0,62}$"
# dask-gateway's own profiles are called "Small Worker" or "GPU".
PROFILE_PATTERN: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_. ]*[A-Za-z0-9])?$"
LONGEST_PROFILE: Final = 63
PRINTABLE_PATTERN: Final = r"^[^\x00-\x1f\x7f]*$"

IMAGE_RULE: Final = (
    "must be an absolute path as the execute node sees it (/cvmfs/...) or a docker:// or oras:// URL, "
    "without '..'"
)
IMAGE_PLACE_RULE: Final = "must not be in /proc, /sys or /dev, and have no empty or '.' part"
QUANTITY_RULE: Final = "must be a Kubernetes quantity from 64Mi to below 1Pi, such as 512Mi, 2Gi or 8G"
ENVIRONMENT_NAME_RULE: Final = "names must be letters, digits and underscores, not starting with a digit"
ENVIRONMENT_VALUE_RULE: Final = "values must not contain control characters such as line breaks"
ENVIRONMENT_SIZE_RULE: Final = "must not exceed 32768 characters in all"
ENVIRONMENT_ADVICE: Final = "give the workers only the variables that they need, not all of this environment"
RESOURCE_NAME_RULE: Final = (
    "names must be letters, digits and any of - _ . , and start with a letter or underscore"
)
EXPRESSION_RULE: Final = "must be a ClassAd expression on one line, such as HasAVX2 or Memory > 64000"
BRACKETS_RULE: Final = "must close each bracket that it opens, outside of its strings"
FUNCTIONS_RULE: Final = "must call none but the functions that docs/notebook.md lists"
MANUAL_RULE: Final = "this pool follows the gateway: use cluster.scale(n), or set spec.scaling to Manual"
MAXIMUM_RULE: Final = "replicas must not exceed maxReplicas"


def _full(pattern: str, text: str) -> bool:
    # "$" lets a trailing newline pass in Python, but not in the API server's RE2.
    return re.fullmatch(pattern.removeprefix("^").removesuffix("$"), text) is not None


def _image(text: str) -> str:
    if not _full(IMAGE_PATTERN, text) or ".." in text.split("/"):
        raise ValueError(IMAGE_RULE)
    if _full(IMAGE_ODD_PATH_PATTERN, text):
        raise ValueError(IMAGE_PLACE_RULE)
    return text


def _quantity(text: str) -> str:
    try:
        size = parse_bytes(text)
    except ValueError:
        raise ValueError(f"{QUANTITY_RULE}; {text!r} is not") from None
    if not _SMALLEST <= size < _LARGEST:
        raise ValueError(f"{QUANTITY_RULE}; {text!r} is not")
    return text


def _expression(text: str) -> str:
    wrong = expressions.complaint(text)
    if wrong is not None:
        raise ValueError(f"{EXPRESSION_RULE}; {wrong}")
    return text


def _environment(environment: dict[str, str]) -> dict[str, str]:
    """Its rules. The messages name the names, and no value: one may be a token."""
    unfit = [name for name in environment if not _full(ENVIRONMENT_NAME_PATTERN, name)]
    if unfit:
        verb = "is" if len(unfit) == 1 else "are"
        raise ValueError(f"{ENVIRONMENT_NAME_RULE}; {shown_names(unfit)} {verb} not: {ENVIRONMENT_ADVICE}")
    unfit = [name for name, value in environment.items() if not _full(PRINTABLE_PATTERN, value)]
    if unfit:
        ones = f"that of {unfit[0]} does" if len(unfit) == 1 else f"those of {shown_names(unfit)} do"
        raise ValueError(f"{ENVIRONMENT_VALUE_RULE}; {ones}: {ENVIRONMENT_ADVICE}")
    if sum(len(name) + len(value) for name, value in environment.items()) > MAX_ENVIRONMENT_CHARACTERS:
        raise ValueError(f"{ENVIRONMENT_SIZE_RULE}: {ENVIRONMENT_ADVICE}")
    return environment


def _resources(resources: dict[str, float]) -> dict[str, float]:
    for name in resources:
        if not _full(RESOURCE_NAME_PATTERN, name):
            raise ValueError(f"{RESOURCE_NAME_RULE}; {shown_names([name])} is not")
    return resources


Name = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
]
ProfileName = Annotated[
    str, StringConstraints(min_length=1, max_length=LONGEST_PROFILE, pattern=PROFILE_PATTERN)
]
Quantity = Annotated[str, StringConstraints(max_length=32), AfterValidator(_quantity)]
Expression = Annotated[
    str, StringConstraints(min_length=1, max_length=expressions.LONGEST), AfterValidator(_expression)
]
EnvironmentValue = Annotated[str, StringConstraints(max_length=16384)]
ResourceAmount = Annotated[float, Field(ge=0, le=1e12)]


class ClusterRef(ApiModel):
    """The DaskCluster, in the pool's own namespace, whose workers the pool provides."""

    name: Name


class Template(ApiModel):
    """What one worker is.

    Every field may be left out: `template.over(profile, site)` fills it from the profile's defaults, then
    from the site's, then from the values here. So the CRD has no defaults for these fields: they would hide
    the site's.
    """

    profile: ProfileName | None = None
    container_image: Annotated[str, StringConstraints(max_length=1024), AfterValidator(_image)] | None = None
    cores: Annotated[int, Field(ge=1, le=1024)] = 1
    memory: Quantity = "2Gi"
    disk: Quantity = "4Gi"
    gpus: Annotated[int, Field(ge=0, le=64)] = 0
    threads: Annotated[int, Field(ge=1, le=1024)] = 1
    nanny: bool = True
    environment: Annotated[
        dict[str, EnvironmentValue], Field(max_length=256, repr=False), AfterValidator(_environment)
    ] = {}
    resources: Annotated[dict[str, ResourceAmount], Field(max_length=32), AfterValidator(_resources)] = {}
    requirements: Expression | None = None
    rank: Expression | None = None
    max_runtime_seconds: Annotated[int, Field(ge=300, le=31_536_000)] | None = None

    @property
    def memory_bytes(self) -> int:
        return parse_bytes(self.memory)

    @property
    def disk_bytes(self) -> int:
        return parse_bytes(self.disk)

    def over(self, *defaults: "Template") -> "Template":
        """This template with what it leaves out taken from `defaults`, nearest first.

        `environment` and `resources` are merged name by name. Only fields that somebody wrote count as set.
        """
        merged: dict[str, Any] = {}
        for template in reversed((self, *defaults)):
            for field in template.model_fields_set:
                value = getattr(template, field)
                if value is None:
                    continue
                merged[field] = {**merged.get(field, {}), **value} if isinstance(value, dict) else value
        return Template(**merged)


class PoolSpec(ApiModel):
    """`HTCWorkerPool.spec`."""

    cluster_ref: ClusterRef
    scaling: Literal["Gateway", "Manual"] = "Gateway"
    replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 0
    max_replicas: Annotated[int, Field(ge=0, le=MAX_REPLICAS)] = 1000
    template: Template = Template()

    @model_validator(mode="after")
    def _replicas_make_sense(self) -> "PoolSpec":
        if self.scaling == "Gateway" and self.replicas != 0:
            raise ValueError(f"replicas: {MANUAL_RULE}")
        if self.replicas > self.max_replicas:
            raise ValueError(MAXIMUM_RULE)
        return self
