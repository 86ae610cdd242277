"""A pool's status as the models read it."""

from htcdask_api import PoolStatus


def test_a_status_that_nobody_has_written_is_all_zero() -> None:
    status = PoolStatus.model_validate({})
    assert (status.replicas, status.conditions, status.condition("Ready")) == (0, (), None)


def test_a_condition_is_found_by_its_type() -> None:
    written = {"type": "Ready", "status": "True", "reason": "AllConnected"}
    status = PoolStatus.model_validate(
        {"conditions": [{**written, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    )
    condition = status.condition("Ready")
    assert condition is not None
    assert condition.reason == "AllConnected"
