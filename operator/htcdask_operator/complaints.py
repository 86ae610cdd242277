"""What is wrong with a settings file, for the person who wrote it; never what may be a secret.

Called by `settings` alone.
"""

from __future__ import annotations

import difflib
from typing import Any, Final, get_args

import yaml
from pydantic import BaseModel

_INNER: Final = {"[key]", "bool", "int", "float", "str"}  # what pydantic adds to a key's path
_UNSHOWN: Final = {"environment", "attributes"}  # the values below these keys


def of_key(error: Any, root: type[BaseModel]) -> str:
    """One of pydantic's errors: the key, what it may be, and what it is."""
    location = [part for part in error["loc"] if part not in _INNER]
    key = ".".join(str(part) for part in location)
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
    return f"{key}: {message}{_shown(error['input'], location)}"


def _shown(value: object, location: list[Any]) -> str:
    """A single value, if it is nobody's secret; never a whole section, which may hold some."""
    if not isinstance(value, bool | int | float | str) or not _UNSHOWN.isdisjoint(location):
        return ""
    return f" (it is {str(value)[:80]!r})"


def of_yaml(error: yaml.YAMLError) -> str:
    """What is wrong with the text, and where; YAML's own words quote it."""
    mark = getattr(error, "problem_mark", None)
    where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{getattr(error, 'problem', None) or type(error).__name__}{where}"


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
