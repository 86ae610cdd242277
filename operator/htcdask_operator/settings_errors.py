"""What is wrong with the settings file, for the site's people: the key, the rule, and a short value.

Called by `settings`. Never prints the value of an environment variable, nor a line of the file: it ends in
the operator's log.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel, ValidationError

from htcdask_api import shown_name

_INNER: Final = {"[key]", "bool", "int", "float", "str"}  # what pydantic adds to a key's path
_MAPPINGS: Final = {"attributes", "environment", "resources"}  # a name in one may have anything as its value


def of_yaml(error: yaml.YAMLError) -> str:
    """Where it is no YAML, and why, without the words of the file that PyYAML quotes."""
    mark, problem = getattr(error, "problem_mark", None), str(getattr(error, "problem", None))
    if mark is None:
        return "it has control characters"
    without_quotes = re.sub("'.*'", "...", problem, flags=re.DOTALL)
    return f"line {mark.line + 1}, column {mark.column + 1}: {without_quotes}"


def of_values(error: ValidationError, root: type[BaseModel]) -> str:
    """Every bad key of a file that `root` describes."""
    return "; ".join(_complaint(one, root) for one in error.errors())


def _complaint(error: Any, root: type[BaseModel]) -> str:
    location = [part for part in error["loc"] if part not in _INNER]
    key = ".".join(shown_name(part) for part in location)
    if error["type"] == "extra_forbidden":
        keys = _keys_at(location[:-1], root)
        near = difflib.get_close_matches(str(location[-1]), keys, n=1)
        return f"{key}: no such key" + (
            f", did you mean {near[0]}?" if near else f"; there are {', '.join(keys)}"
        )
    if error["type"] == "missing":
        return f"{key}: must be set"
    message = error["msg"].removeprefix("Value error, ")
    if not key:  # of the whole, which says by itself what it is about
        return str(message)
    return f"{key}: {message}" if _MAPPINGS.intersection(location) else f"{key}: {message} ({_shown(error)})"


def _shown(error: Any) -> str:
    """A value by itself; only the kind of what stands for a section, which may have variables inside."""
    value = error["input"]
    if isinstance(value, str | int | float) and not error["type"].endswith("_type"):
        return f"it is {str(value)[:80]!r}"
    return f"it is a {type(value).__name__}"


def _keys_at(location: list[Any], root: type[BaseModel]) -> list[str]:
    """The keys that the section at `location` may have; the names of profiles are not keys of a model."""
    section = root
    for part in location:
        field = next((f for f in section.model_fields.values() if f.alias == part), None)
        if field is not None:
            models = [t for t in (field.annotation, *get_args(field.annotation)) if _is_model(t)]
            section = models[0] if models else section
    return [field.alias or name for name, field in section.model_fields.items()]


def _is_model(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, BaseModel)
