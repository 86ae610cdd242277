"""Where the playground keeps things: one cache folder outside of the repository."""

from __future__ import annotations

import os
import re
from pathlib import Path

from playground.build.errors import PlaygroundError

SOURCE = Path(__file__).resolve().parents[1]
REPOSITORY = SOURCE.parent


def cache() -> Path:
    """What was built or downloaded once, and the instances' states."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "htcdask"


def instance(name: str) -> Path:
    """The state folder of the instance `name`."""
    # The name becomes a host name and a cgroup, so it is held to what both accept.
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,30}[a-z0-9])?", name):
        raise PlaygroundError(
            f"{name!r} cannot name an instance: use up to 32 lower case letters, digits and dashes, "
            "starting with a letter"
        )
    return cache() / "instances" / name


def instances() -> list[str]:
    """The names of all instances that have a state folder."""
    folder = cache() / "instances"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
