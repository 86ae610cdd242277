"""A worker is lost by repeated answers of its scheduler, and by nothing else."""

from __future__ import annotations

import pytest

from htcdask_operator.core.actions import Remove
from htcdask_operator.core.model import JobStatus, Observed, Unseen
from htcdask_operator.core.workers.contact import MOST_SECONDS, Contact
from tests.builders import (
    ACCESS_POINT_SILENT,
    NOW,
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_observed,
    make_policy,
    make_pool,
    plan_for,
)

JOBS = (make_job("a", JobStatus.RUNNING), make_job("b", JobStatus.RUNNING))
NOT_ASKED = Unseen("it is not asked while the cluster's phase is Pending")
ALL, NONE = ("a", "b"), ()


def seen(connected: tuple[str, ...] | Unseen, jobs: object = JOBS) -> Observed:
    return make_observed(make_cluster(2), jobs, connected)  # type: ignore[arg-type]


def missing(*answers: tuple[float, object]) -> dict[str, float]:
    """For how many seconds each worker is missing after these answers."""
    contact = Contact()
    for at, answer in answers:
        contact = contact.after(answer if isinstance(answer, Observed) else seen(answer), at)  # type: ignore[arg-type]
    return dict(contact.missing)


def test_time_between_answers_counts() -> None:
    assert missing((0, ALL), (10, NONE), (20, NONE), (30, ("a",))) == {"b": 20}


@pytest.mark.parametrize(
    "between",
    [NOT_ASKED, Unseen("no answer in 3 s"), seen(ALL, ACCESS_POINT_SILENT)],
    ids=["not asked", "no answer", "no queue"],
)
def test_time_without_answers_does_not(between: object) -> None:
    assert missing((0, ALL), (10, NONE), (20, between), (1000, between), (1010, NONE)) == {"a": 0, "b": 0}
    assert missing((0, ALL), (10, NONE), (20, NONE), (25, between), (99, NONE), (101, NONE))["a"] == 12


def test_two_answers_far_apart_are_not_many() -> None:
    assert missing((0, ALL), (10, NONE), (10_000, NONE))["a"] == MOST_SECONDS


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    assert missing((0, ALL), (10, NONE), (20, NONE), (-600, NONE), (-590, NONE))["a"] == 20


def test_a_worker_that_is_there_again_is_not_missing() -> None:
    assert missing((0, ALL), (10, NONE), (20, ALL), (30, NONE)) == {"a": 0, "b": 0}


@pytest.mark.parametrize("connected", [NOT_ASKED, Unseen("no answer in 3 s")], ids=repr)
@pytest.mark.parametrize("cluster", [make_cluster(2), make_cluster(2, running=False, phase="Pending")])
def test_nobody_is_lost_while_the_scheduler_does_not_answer(cluster: object, connected: Unseen) -> None:
    observed = make_observed(
        cluster,  # type: ignore[arg-type]
        [make_anchor("hash"), *JOBS],
        connected,
    )
    dropped = {"a": NOW - 9999, "b": NOW - 9999}
    planned = plan_for([make_pool()], observed, make_policy(), NOW, dropped=dropped)
    assert not any(isinstance(action, Remove) for action in planned.actions)
    assert planned.statuses[POOL].failed == 0


def test_while_somebody_is_missing_it_is_looked_again_soon() -> None:
    observed = make_observed(make_cluster(2), [make_anchor("hash"), *JOBS], ("a",))
    planned = plan_for([make_pool()], observed, make_policy(), NOW, dropped={"b": NOW - 1})
    assert planned.wake_at is not None and planned.wake_at <= NOW + MOST_SECONDS
    assert planned.statuses[POOL].running == 2
