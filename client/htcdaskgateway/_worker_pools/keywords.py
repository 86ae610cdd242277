"""What the keywords of `new_cluster` mean: pure, from what the user said to a pool's template and options.

Called by `submission` before anything is created. The bounds of every field are those of
`htcdask_api.Template`; nothing is checked twice here.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from htcdask_api import Template, complaint, parse_bytes, shown_names
from htcdask_api.spec import ENVIRONMENT_ADVICE
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.node_match_expr import parse_node_match

# A template's field, and the keyword by which a user sets it.
_FIELDS: Final = {
    "profile": "profile",
    "container_image": "container_image",
    "cores": "worker_cores",
    "memory": "worker_memory",
    "disk": "worker_disk",
    "gpus": "worker_gpus",
    "threads": "worker_threads",
    "nanny": "worker_nanny",
    "environment": "environment",
    "resources": "worker_resources",
    "requirements": "node_match_expr",
    "rank": "node_match_expr",
    "max_runtime_seconds": "max_runtime",
}
KEYWORDS: Final = frozenset({*_FIELDS.values(), "image", "apptainer_image", "image_registry"})
# What a cluster_options object says about a worker, read as the keyword of the same name.
_FROM_OPTIONS: Final = ("worker_cores", "worker_memory")
_MAPPINGS: Final = ("environment", "worker_resources")  # a whole os.environ may be there: no value is shown
_IN_GIB: Final = ("worker_memory", "worker_disk")


@dataclass(frozen=True)
class Request:
    """What the keywords come to."""

    template: Template
    # The keywords that are cluster options too, on a gateway that offers them.
    options: Mapping[str, Any] = dataclasses.field(repr=False)
    # A cluster option by name: a gateway that does not offer it is an error.
    image: str | None = None

    def options_for(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """The options to send, given those that the gateway offers and their defaults."""
        options = {
            name: _as_the_option_wants(name, offered[name], value)
            for name, value in self.options.items()
            if name in offered
        }
        if self.image is not None:
            options["image"] = self.image
        return options


def read_keywords(keywords: Mapping[str, Any], chosen: Mapping[str, Any], config: ClientConfig) -> Request:
    """The template and options that `keywords` ask for, over what the chosen cluster options say.

    ValueError or TypeError names the keyword and its rule.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    sizes = {name: chosen[name] for name in _FROM_OPTIONS if isinstance(chosen.get(name), (int, float))}
    fields = _fields({**sizes, **given})
    options = {name: value for name, value in given.items() if name != "image"}
    image = _optional_text(given, "image")

    reference = _unpacked(given, config)
    if reference is not None:
        registry, name = reference
        options["image"] = f"{registry}/{name}"
        fields.setdefault("container_image", config.image_path_template.format(registry=registry, name=name))
    return Request(template=_template(fields), options=options, image=image)


def _as_the_option_wants(name: str, default: Any, value: Any) -> Any:
    """`value` in the type that the option's default has. The option's bounds are for the gateway to check."""
    if name in _IN_GIB and isinstance(default, (int, float)) and isinstance(value, str):
        value = parse_bytes(value) / 2**30
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    keyword_to_field = {keyword: field for field, keyword in _FIELDS.items() if keyword != "node_match_expr"}
    fields = {field: given[keyword] for keyword, field in keyword_to_field.items() if keyword in given}
    for field in ("memory", "disk"):
        if field in fields:
            fields[field] = _quantity(_FIELDS[field], fields[field])
    expression = _optional_text(given, "node_match_expr")
    if expression is not None:
        fields.update(parse_node_match(expression))
    return fields


def _quantity(keyword: str, value: Any) -> Any:
    """A number is GiB, as in the older clients; a string is a Kubernetes quantity, left to the model."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{keyword} must be a finite number of GiB, got {value!r}")
    return f"{round(value * 1024)}Mi"


def _unpacked(given: Mapping[str, Any], config: ClientConfig) -> tuple[str, str] | None:
    """Registry and name of an image that the site unpacks for its execute nodes."""
    name = _optional_text(given, "apptainer_image")
    registry = _optional_text(given, "image_registry")
    if name is None and registry is None:
        return None
    name = name or config.apptainer_image
    registry = registry or config.image_registry
    if name is None:
        raise ValueError("image_registry needs apptainer_image too: this site configures no default image")
    if registry is None:
        raise ValueError("apptainer_image needs image_registry too: this site configures no default registry")
    return registry.strip("/"), name.strip("/")


def _optional_text(given: Mapping[str, Any], keyword: str) -> str | None:
    value = given.get(keyword)
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{keyword} must be a string, got {_shown(value)}")
    if not value.strip():
        raise ValueError(f"{keyword} must not be empty; leave it away for the site's default")
    return value


def _template(fields: Mapping[str, Any]) -> Template:
    for field, value in fields.items():
        # pydantic would read True as one core and "2" as two.
        if field in ("cores", "gpus", "threads", "max_runtime_seconds") and isinstance(value, (bool, str)):
            raise TypeError(f"{_FIELDS[field]} must be a whole number, got {_shown(value)}")
    try:
        return Template(**fields)
    except ValidationError as error:
        raise _in_words(error) from None


def _in_words(error: ValidationError) -> Exception:
    """The first thing that is wrong, by the keyword that the user wrote."""
    first, *others = error.errors(include_url=False)
    (field, *inner), rule = complaint(error)
    # Locations are by alias (camelCase) or by name, whichever was used; ours are given by name.
    keyword = next((word for name, word in _FIELDS.items() if field in (name, to_camel(name))), field)
    message = f"{'.'.join([keyword, *inner])}: {rule[:1].lower()}{rule[1:]}"
    if keyword not in _MAPPINGS:
        message += f"; got {_shown(first['input'])}"
    elif inner and (like := [other["loc"][1] for other in others if other["type"] == first["type"]]):
        message += f"; so should {shown_names(like)}"
    elif first["type"] == "too_long":
        message += f": {ENVIRONMENT_ADVICE}"
    return TypeError(message) if first["type"].endswith("_type") else ValueError(message)


def _shown(value: Any) -> str:
    """A short value as it was written; only the kind of one with others inside, such as os.environ."""
    return f"{value!r:.80}" if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
