"""Our finalizer, on and off a pool: a JSON patch that tests what it changes. Pure; for `api`.

The patch is made from what the API server showed. Any difference since then, another pool of that name
included, fails a test and with it the whole patch, so nobody else's finalizer is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from htcdask_api import names
from htcdask_operator.core.model import PoolFacts

Operation = Mapping[str, Any]

_LIST: Final = "/metadata/finalizers"


def addition(pool: PoolFacts) -> Sequence[Operation]:
    """Beside the others. One that is being deleted takes no finalizer, and is to be looked at again."""
    # To the API server an absent list and null are the same, an empty one does not exist.
    there = list(pool.finalizers) or None
    place, value = (f"{_LIST}/-", names.FINALIZER) if there else (_LIST, [names.FINALIZER])
    return (
        _test("/metadata/uid", pool.uid),
        _test("/metadata/deletionTimestamp", None),
        _test(_LIST, there),
        {"op": "add", "path": place, "value": value},
    )


def removal(pool: PoolFacts) -> Sequence[Operation]:
    """From the place where it stands."""
    place = f"{_LIST}/{pool.finalizers.index(names.FINALIZER)}"
    return (
        _test("/metadata/uid", pool.uid),
        _test(place, names.FINALIZER),
        {"op": "remove", "path": place},
    )


def _test(path: str, value: object) -> Operation:
    return {"op": "test", "path": path, "value": value}
