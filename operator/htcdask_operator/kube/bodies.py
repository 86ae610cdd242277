"""What an answer of the API server has to be before anything is read from it. Pure; for `api` and `requests`.

Whoever stands between may answer something else: another object, another list, a part of one. An object that
has no uid belongs to nobody and owns nothing, so it would look like the end of whatever belonged to it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from htcdask_operator.kube.errors import KubeError


def parsed(content: bytes) -> dict[str, Any]:
    """The answer as a map; empty when it is none."""
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def mapping(value: object) -> Mapping[str, Any]:
    """`value` if it is a map, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str:
    """`value` if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def number(value: object) -> int:
    """`value` if it is a whole number >= 0, else 0 (True is not a number here)."""
    return value if type(value) is int and value >= 0 else 0


def one(what: str, body: Mapping[str, Any], version: str, kind: str, name: str) -> Mapping[str, Any]:
    """`body` as the object of this kind and name; KubeError for any other."""
    metadata = mapping(body.get("metadata"))
    if (body.get("apiVersion"), body.get("kind"), metadata.get("name")) != (version, kind, name):
        raise KubeError(what, f"the answer is not the {kind} {name} but another object")
    if not text(metadata.get("uid")):
        raise KubeError(what, f"the answer is a {kind} without a uid")
    return body


def every(
    what: str, body: Mapping[str, Any], version: str, kind: str, namespace: str
) -> list[Mapping[str, Any]]:
    """All objects of the list `body`; KubeError unless it is the whole list that was asked for."""
    found = body.get("items")
    if (body.get("apiVersion"), body.get("kind")) != (version, f"{kind}List") or not isinstance(found, list):
        raise KubeError(what, f"the answer is no {kind}List of {version}")
    if mapping(body.get("metadata")).get("continue"):
        raise KubeError(what, f"the answer is only a part of the {kind}List")
    for item in found:
        metadata = mapping(mapping(item).get("metadata"))
        known = all(text(metadata.get(field)) for field in ("name", "uid"))
        if not known or metadata.get("namespace") != namespace or mapping(item).get("kind", kind) != kind:
            raise KubeError(what, f"an item of the {kind}List is no {kind} of the namespace {namespace}")
    return found


def is_about(status: Mapping[str, Any], path: str) -> bool:
    """Whether a Status is about the object at `path`, and not about its whole resource or its namespace."""
    details = mapping(status.get("details"))
    group, kind, name = (text(details.get(field)) for field in ("group", "kind", "name"))
    # What is wrong in an object is said of its kind, everything else of its resource.
    return _object(path) in ((group, kind, name), (group, f"{kind.lower()}s", name))


def _object(path: str) -> tuple[str, str, str] | None:
    """Group, resource and name; None for the path of something else than one object."""
    parts = [unquote(part) for part in path.split("/")[1:]]
    group = parts[1] if parts[0] == "apis" else ""
    rest = parts[3:] if group else parts[2:]
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    return (group, rest[0], rest[1]) if len(rest) in (2, 3) else None
