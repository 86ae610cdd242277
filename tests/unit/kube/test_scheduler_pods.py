"""Whatever a pod's status holds, there is one short text of it."""

from typing import Any

import pytest

from htcdask_operator.kube import scheduler_pods


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"status": None},
        {"status": []},
        {"status": {"conditions": "x", "containerStatuses": {"a": 1}}},
        {"status": {"conditions": [None, 7, {}], "containerStatuses": [None, {"state": 3}]}},
        {"status": {"containerStatuses": [{"state": {"waiting": {"reason": 5}}}]}},
    ],
)
def test_what_makes_no_sense_says_nothing(body: dict[str, Any]) -> None:
    assert scheduler_pods.waits_for(body) == ""


def test_it_is_short_and_without_what_a_registry_signed() -> None:
    waiting = {"reason": "ErrImagePull", "message": "https://cdn.example/blob?sig=SECRET " + "x" * 10_000}
    said = scheduler_pods.waits_for({"status": {"containerStatuses": [{"state": {"waiting": waiting}}]}})
    assert said.startswith("ErrImagePull: https://cdn.example/blob?... xxx")
    assert len(said) == 600
    assert "SECRET" not in said


def test_an_init_container_comes_first() -> None:
    waits = {"state": {"waiting": {"reason": "CrashLoopBackOff"}}}
    later = {"state": {"waiting": {"reason": "PodInitializing"}}}
    status = {"initContainerStatuses": [waits], "containerStatuses": [later]}
    assert scheduler_pods.waits_for({"status": status}) == "CrashLoopBackOff"
