"""What the keywords of `new_cluster` mean: pure, from what the user said to a pool's template and options.

Called by `submission` before anything is created. The bounds of every field are those of
`htcdask_api.Template`; nothing is checked twice here.
"""

import dataclasses
import math
import numbers
import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dask_gateway import GatewayWarning
from pydantic import ValidationError

from htcdask_api import Template
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._errors import keyword_refused, shown
from htcdaskgateway._worker_pools.node_match_expr import parse_node_match
from htcdaskgateway._worker_pools.sizes import condor_quantity, gib, number, quantity, seconds, whole

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
# NCSA's words, and ours for the same.
SYNONYMS: Final = {"memory": "worker_memory", "cpus": "worker_cores"}
KEYWORDS: Final = frozenset({*_FIELDS.values(), *SYNONYMS, "image", "apptainer_image", "image_registry"})
# What a cluster_options object says about a worker, read as the keyword of the same name; so are mappings.
_SIZES: Final = ("worker_cores", "worker_memory", "worker_threads")
_MAPPINGS: Final = ("environment", "worker_resources")  # a whole os.environ may be there: no value is shown
_IN_GIB: Final = ("worker_memory", "worker_disk")
_WHOLE: Final = ("worker_cores", "worker_threads", "worker_gpus", "max_runtime")
_MUCH_GIB: Final = 1024  # of memory, in one worker: rather a number of MiB
_ELSEWHERE: Final = re.compile(r"(osdf|library|shub|https?)://")
_IN_A_REGISTRY: Final = re.compile(r"[\w-]+(\.[\w-]+)+(:[0-9]+)?/[\w./-]+(:[\w.-]+)?(@\S+)?")


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
            name: _as_the_option_wants(name, offered, value)
            for name, value in self.options.items()
            if name in offered and (name not in _MAPPINGS or isinstance(offered[name], Mapping))
        }
        if self.image is not None:
            options["image"] = self.image
        return options


def read_keywords(keywords: Mapping[str, Any], chosen: Mapping[str, Any], config: ClientConfig) -> Request:
    """The template and options that `keywords` ask for, over what the chosen cluster options say.

    ValueError or TypeError names the keyword and its rule.
    """
    given = _in_our_words(keywords)
    fields = _fields({**_from_options(chosen), **given})
    options = {name: value for name, value in given.items() if name != "image"}
    image = _optional_text(given, "image")

    reference = _unpacked(given, config)
    if reference is None and config.apptainer_image is not None and (image or chosen.get("image")):
        # A site that names such an image has them all unpacked: the scheduler's is the workers' too.
        path = _unpacked_path(*_registry_and_name(str(image or chosen["image"]), config), config)
        fields.setdefault("container_image", path)
    if reference is not None:
        registry, name = reference
        options["image"] = f"{registry}/{name}"
        fields.setdefault("container_image", _unpacked_path(registry, name, config))
    typed = {**chosen, **{name: value for name, value in keywords.items() if value is not None}}
    return Request(template=_template(fields, typed), options=options, image=image)


def is_the_sites_own(name: str, value: Any, offered: Mapping[str, Any]) -> bool:
    """Whether a keyword is, on this gateway, an option of another kind that happens to have its name."""
    if name not in offered:
        return False
    if name in _MAPPINGS:
        return not isinstance(offered[name], Mapping) and not isinstance(value, Mapping)
    if name in _SIZES:  # a choice in the site's own words, or a part of a core where it offers parts
        chosen = isinstance(value, str) and value in _choices(name, offered)
        return chosen or (name == "worker_cores" and _is_a_part(value) and _is_a_part(offered[name]))
    return name in SYNONYMS or (name == "profile" and bool(_choices(name, offered)))


def _is_a_part(cores: Any) -> bool:
    """Whether it is a number of the kind that has parts, such as 1.5, or a site's 1.0."""
    return isinstance(number(cores), float) and math.isfinite(cores)


def _choices(name: str, offered: Mapping[str, Any]) -> tuple[str, ...]:
    """What a choice among texts is between; of other options there are none."""
    field = getattr(offered, "_fields", {}).get(name)
    return tuple(getattr(field, "options", ()))


def _as_the_option_wants(name: str, offered: Mapping[str, Any], value: Any) -> Any:
    """`value` in the type that the option's default has. The option's bounds are for the gateway to check."""
    default = offered[name]
    if isinstance(default, str):
        return _as_a_text(name, value, _choices(name, offered))
    if name in _IN_GIB and isinstance(default, (int, float)) and isinstance(value, str):
        value = gib(value)
    if isinstance(default, int) and isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _as_a_text(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    """A number as the site writes it: the choice of that size, or as "8 G"."""
    if name in _IN_GIB:
        same = [choice for choice in choices if quantity(name, choice) == quantity(name, value)]
        if same:
            return same[0]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    return f"{value:g} G" if name in _IN_GIB else f"{value:g}"


def _in_our_words(keywords: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, NCSA's words by ours."""
    given = {name: value for name, value in keywords.items() if value is not None}
    for theirs, ours in SYNONYMS.items():
        if theirs in given and ours in given:
            raise ValueError(f"{theirs} and {ours} are the same: leave one of them away")
        if theirs in given:
            value = given.pop(theirs)
            given[ours] = condor_quantity(value) if theirs == "memory" else value
    if "max_runtime" in given:
        given["max_runtime"] = seconds("max_runtime", given["max_runtime"])
    given.update({name: whole(given[name]) for name in _WHOLE if name in given})
    given.update({name: number(given[name]) for name in _IN_GIB if name in given})
    _doubt(given.get("worker_memory"))
    if "container_image" in given:
        given["container_image"] = _image(given["container_image"])
    if isinstance(resources := given.get("worker_resources"), Mapping):
        given["worker_resources"] = {name: number(value) for name, value in resources.items()}
    if isinstance(environment := given.get("environment"), Mapping):
        given["environment"] = {
            name: str(value) if isinstance(value, numbers.Real) else value
            for name, value in environment.items()
        }
    return given


def _doubt(memory: Any) -> None:
    if isinstance(memory, (int, float)) and _MUCH_GIB < memory < math.inf:
        said = f"worker_memory={memory:g} means GiB; for MiB write '{memory:g}Mi'"
        warnings.warn(GatewayWarning(said), stacklevel=2)


def _from_options(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a site's options say of a worker: a default may be a part of a core, or a text such as "8 G"."""
    mappings = {name: chosen.get(name) for name in _MAPPINGS}
    found = _in_our_words({name: its for name, its in mappings.items() if its and isinstance(its, Mapping)})
    for name, value in chosen.items():
        if name not in _SIZES:
            continue
        if isinstance(value, str):
            try:
                value = float(value) if value.strip().isdigit() or name not in _IN_GIB else gib(value)
            except ValueError:  # such as "large": the site knows what it means
                continue
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            found[name] = value if name in _IN_GIB else max(1, math.ceil(value))
    return found


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    keyword_to_field = {keyword: field for field, keyword in _FIELDS.items() if keyword != "node_match_expr"}
    fields = {field: given[keyword] for keyword, field in keyword_to_field.items() if keyword in given}
    for field in ("memory", "disk"):
        if field in fields:
            fields[field] = quantity(_FIELDS[field], fields[field])
    expression = _optional_text(given, "node_match_expr")
    if expression is not None:
        fields.update(parse_node_match(expression))
    return fields


def _image(value: Any) -> Any:
    """A path as a text. What is an image elsewhere, and not here, is refused with what to write instead."""
    image = os.fspath(value) if isinstance(value, os.PathLike) else value
    if isinstance(image, str) and (elsewhere := _ELSEWHERE.match(image)):
        raise ValueError(
            f"container_image: there are no {elsewhere[0]} images here: give the path of the .sif file as "
            f"the execute node sees it, or a docker:// or oras:// URL; got {image!r:.200}"
        )
    if isinstance(image, str) and _IN_A_REGISTRY.fullmatch(image):
        raise ValueError(f"container_image: an image in a registry is written docker://{image:.200}")
    return image


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


def _registry_and_name(image: str, config: ClientConfig) -> tuple[str, str]:
    """The two parts of an image's reference, as container engines tell them apart."""
    first, slash, rest = image.strip().strip("/").partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return str(config.image_registry), image.strip().strip("/")


def _unpacked_path(registry: str, name: str, config: ClientConfig) -> str:
    return config.image_path_template.format(registry=registry, name=name)


def _optional_text(given: Mapping[str, Any], keyword: str) -> str | None:
    value = given.get(keyword)
    if value is None:
        return None
    if not isinstance(value, str):
        raise TypeError(f"{keyword} must be a string, got {shown(value)}")
    if not value.strip():
        raise ValueError(f"{keyword} must not be empty; leave it away for the site's default")
    return value


def _template(fields: Mapping[str, Any], typed: Mapping[str, Any]) -> Template:
    """The template; `typed` is what the user wrote, for the message about what is wrong with it."""
    words = {field: _typed_word(keyword, typed) for field, keyword in _FIELDS.items()}
    for field, value in fields.items():
        # pydantic would read True as one core.
        if _FIELDS[field] in _WHOLE and isinstance(value, (bool, str)):
            raise TypeError(f"{words[field]} must be a whole number, got {shown(value)}")
    try:
        return Template(**fields)
    except ValidationError as error:
        raise keyword_refused(error, words, typed) from None


def _typed_word(keyword: str, typed: Mapping[str, Any]) -> str:
    """The keyword, or NCSA's word for it if that is what the user wrote."""
    theirs = (word for word, ours in SYNONYMS.items() if ours == keyword and word in typed)
    return keyword if keyword in typed else next(theirs, keyword)
