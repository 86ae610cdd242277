"""kopf without a memory in objects: all that it would read from them, or write into them, is nothing.

By default kopf copies an object's whole spec into an annotation, reads it back at each event, and keeps its
own finalizer. Whoever may annotate a pool, or write a large one, could then keep kopf from handling it at
all. `handlers` needs events and nothing else: what became of a pool is the business of `plan`.
"""

from __future__ import annotations

from typing import Any, Final

import kopf

NO_FINALIZER: Final = "HTCDask keeps its finalizer itself"
"""kopf takes its finalizer from whatever has it. No object can have this one: a name has no blanks."""


class NoDiffBase(kopf.DiffBaseStorage):
    """Where kopf keeps what an object was like: nowhere. Its detection of changes always sees the same."""

    def build(self, **_: Any) -> kopf.BodyEssence:
        return {}

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing."""


class NoProgress(kopf.ProgressStorage):
    """Where kopf keeps how far a handler is: nowhere, as handlers of events are called once."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing."""

    def purge(self, **_: Any) -> None:
        """Nothing."""

    def touch(self, **_: Any) -> None:
        """Nothing."""

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence
