"""Which Events a change of the status is worth."""

from __future__ import annotations

import pytest

from htcdask_api import Condition, Failure, PoolStatus
from htcdask_operator.core import timestamps
from htcdask_operator.core.status.events import Event, between
from tests.builders import NOW, POOL, make_cluster, make_observed, make_policy, make_pool, plan_for


def condition(kind: str, status: str, reason: str = "SomeReason", message: str = "So.") -> Condition:
    return Condition(
        type=kind,
        status=status,  # type: ignore[arg-type]
        reason=reason,
        message=message,
        last_transition_time=timestamps.written(NOW),
    )


def test_the_same_status_twice_says_nothing() -> None:
    status = plan_for([make_pool()], make_observed(make_cluster(2)), make_policy()).statuses[POOL]
    assert between(status, status) == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, condition("Ready", "True"), [("Normal", "SomeReason")]),
        (condition("Ready", "True"), condition("Ready", "False"), []),
        (condition("Ready", "True"), condition("Ready", "True", "Other"), []),
        (condition("Stalled", "False"), condition("Stalled", "True"), [("Warning", "SomeReason")]),
        (condition("Stalled", "True"), condition("Stalled", "True", "Other"), [("Warning", "Other")]),
        (condition("Stalled", "True"), condition("Stalled", "True", message="New words."), []),
        (None, condition("CondorReachable", "True"), []),
        (
            condition("CondorReachable", "True"),
            condition("CondorReachable", "False"),
            [("Warning", "SomeReason")],
        ),
        (
            condition("CondorReachable", "False"),
            condition("CondorReachable", "True"),
            [("Normal", "SomeReason")],
        ),
        (
            condition("ClusterActive", "True"),
            condition("ClusterActive", "False"),
            [("Warning", "SomeReason")],
        ),
        (
            condition("ClusterActive", "True"),
            condition("ClusterActive", "False", "ClusterInactive"),
            [("Normal", "ClusterInactive")],
        ),
        (condition("Reconciling", "False"), condition("Reconciling", "True"), []),
    ],
)
def test_events_are_told_on_transitions(
    old: Condition | None, new: Condition, told: list[tuple[str, str]]
) -> None:
    before = PoolStatus(conditions=(old,) if old else ())
    found = between(before, PoolStatus(conditions=(new,)))
    assert [(event.kind, event.reason) for event in found] == told


def test_a_pool_of_which_nothing_is_left_does_not_tell_that_it_would_reach_nobody() -> None:
    ended = condition("Ready", "True", "Ended")
    there, silent = (condition("CondorReachable", truth) for truth in ("True", "False"))
    before, after = (PoolStatus(conditions=(ended, one)) for one in (there, silent))
    assert between(before, after) == between(after, before) == ()


def test_an_event_says_what_it_is_about_also_when_that_is_over() -> None:
    bad, good = condition("CondorReachable", "False"), condition("CondorReachable", "True", "Back")
    began = between(PoolStatus(), PoolStatus(conditions=(bad,)))
    over = between(PoolStatus(conditions=(bad,)), PoolStatus(conditions=(good,)))
    assert [(event.reason, event.about) for event in (*began, *over)] == [
        ("SomeReason", "SomeReason"),
        ("Back", "SomeReason"),
    ]


def test_scaling_and_new_failures_are_told() -> None:
    known, fresh = failure("old", "Evicted", "old"), failure("new", "WorkerFailed", "It died.")
    old = PoolStatus(desired_replicas=2, recent_failures=(known,))
    new = PoolStatus(desired_replicas=4, recent_failures=(fresh, known))
    assert between(old, new) == (
        Event("Normal", "Scaled", "Workers wanted: 4 instead of 2."),
        Event("Warning", "WorkerFailed", "It died.", about="WorkerFailed"),
    )


def test_a_failure_is_told_once_when_its_last_lines_have_come_or_will_not() -> None:
    waiting = failure("w1", "WorkerFailed", "It died.", None)
    told = failure("w1", "WorkerFailed", "It died. It said: KeyError: 'x'", "KeyError: 'x'")
    none, early, late = PoolStatus(), *(PoolStatus(recent_failures=(one,)) for one in (waiting, told))
    assert between(none, early) == ()
    assert between(early, late) == (Event("Warning", "WorkerFailed", told.message, about="WorkerFailed"),)
    assert between(none, late) == between(early, late)
    assert between(late, late) == ()


def failure(worker: str, reason: str, message: str, log_tail: str | None = "") -> Failure:
    return Failure(
        time=timestamps.written(NOW), worker=worker, reason=reason, message=message, log_tail=log_tail
    )
