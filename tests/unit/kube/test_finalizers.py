"""The patches that put our finalizer on a pool and take it off: nobody else's is touched."""

import pytest

from htcdask_api import names
from htcdask_operator.kube.finalizers import addition, removal
from tests.builders import POOL, make_pool

OURS, THEIRS, MORE = names.FINALIZER, "example.org/audit", "example.org/more"


def test_the_first_finalizer_makes_the_list_only_if_there_is_none() -> None:
    *tests, change = addition(make_pool(finalized=False))
    assert change == {"op": "add", "path": "/metadata/finalizers", "value": [OURS]}
    assert {test["path"]: test["value"] for test in tests} == {
        "/metadata/uid": POOL,
        "/metadata/deletionTimestamp": None,
        "/metadata/finalizers": None,
    }


def test_another_finalizer_comes_behind_those_that_are_there() -> None:
    *tests, change = addition(make_pool(finalizers=(THEIRS,)))
    assert change == {"op": "add", "path": "/metadata/finalizers/-", "value": OURS}
    assert {"op": "test", "path": "/metadata/finalizers", "value": [THEIRS]} in tests


@pytest.mark.parametrize(("there", "place"), [((OURS,), 0), ((THEIRS, OURS), 1), ((THEIRS, MORE, OURS), 2)])
def test_ours_is_removed_from_its_own_place_alone(there: tuple[str, ...], place: int) -> None:
    path = f"/metadata/finalizers/{place}"
    assert list(removal(make_pool(finalizers=there))) == [
        {"op": "test", "path": "/metadata/uid", "value": POOL},
        {"op": "test", "path": path, "value": OURS},
        {"op": "remove", "path": path},
    ]
