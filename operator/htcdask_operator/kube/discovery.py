"""What an API server serves, by its own account. Pure, and total for any body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from htcdask_operator.kube.bodies import mapping, text


def versions(groups: Mapping[str, Any]) -> set[str]:
    """`htcdask.org/v1alpha1` and so on, of an APIGroupList."""
    return {
        text(version.get("groupVersion"))
        for group in _maps(groups.get("groups"))
        for version in _maps(group.get("versions"))
    }


def resources(known: Mapping[str, Any]) -> set[str]:
    """`htcworkerpools` and so on, of an APIResourceList."""
    return {text(resource.get("name")) for resource in _maps(known.get("resources"))}


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [mapping(item) for item in value] if isinstance(value, list) else []
