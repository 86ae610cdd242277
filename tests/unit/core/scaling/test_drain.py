"""Busy workers that are too many may finish their tasks, but not for ever, whatever the scheduler says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from htcdask_operator.core.actions import Remove
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import JobStatus, Observed, PoolFacts, Unnamed
from htcdask_operator.core.plan import Plan
from htcdask_operator.core.scaling import drain
from htcdask_operator.core.scaling.drain import Standing
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.workers.contact import Contact
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    NOW,
    POOL,
    SCHEDULER_SILENT,
    make_anchor,
    make_cluster,
    make_job,
    make_observed,
    make_policy,
    make_pool,
    plan_for,
)

POLICY = make_policy(drain_seconds=3600.0)
CAPPED = make_pool(max_replicas=1)
NAMES = [f"w{number}" for number in range(4)]
JOBS = [make_job(name, JobStatus.RUNNING, queued_at=NOW - 50 + n) for n, name in enumerate(NAMES)]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, 3)], ((3, 0),)),
        ([(0, 3), (5, 3)], ((3, 0),)),
        ([(0, 3), (5, 5)], ((3, 0), (2, 5))),
        ([(0, 3), (5, 5), (6, 4)], ((3, 0), (1, 5))),
        ([(0, 3), (5, 5), (6, 2)], ((2, 0),)),
        ([(0, 3), (5, 2), (6, 3)], ((2, 0), (1, 6))),
        ([(0, 3), (5, 0)], ()),
        ([(0, 3), (5, 0), (6, 3)], ((3, 6),)),
        ([(0, -2)], ()),
    ],
)
def test_since_when_how_many_are_too_many(steps: Sequence[tuple[float, int]], expected: Standing) -> None:
    stands: Standing = ()
    for now, count in steps:
        stands = drain.standing(stands, count, now)
    assert stands == expected


BUSY = make_observed(make_cluster(4), JOBS, NAMES, busy=frozenset(NAMES))
TOO_MANY_STRANGERS = replace(BUSY, strangers=10_000)
WANTS_FEWER = replace(BUSY, cluster=make_cluster(1))
SILENT = make_observed(make_cluster(4), JOBS, SCHEDULER_SILENT)
UNNAMED = make_observed(make_cluster(4), JOBS, Unnamed())
SUSPENDED = make_observed(
    make_cluster(4), [JOBS[0], *(replace(job, status=JobStatus.SUSPENDED) for job in JOBS[1:])], NAMES[:1]
)
FORGETS = make_observed(make_cluster(4), JOBS, NAMES[:1], busy=frozenset(NAMES))


def dropped(now: float) -> dict[str, float]:
    """Missing, and seen again a moment before they would be given up."""
    return dict.fromkeys(NAMES[1:], now - 1)


def look(
    observed: Observed,
    now: float,
    before: Plan | None,
    pool: PoolFacts = CAPPED,
    missing: Mapping[str, float] | None = None,
) -> Plan:
    memory = before.memory if before is not None else ClusterMemory()
    if missing:
        known = {worker: now - at for worker, at in missing.items()}
        memory = replace(memory, contact=Contact(frozenset(known), known, now))
    return plan_for([pool], observed, POLICY, now, memory)


def removed(planned: Plan) -> list[str]:
    return [job for action in planned.actions if isinstance(action, Remove) for job in action.jobs]


@pytest.mark.parametrize(
    "observed",
    [BUSY, TOO_MANY_STRANGERS, WANTS_FEWER, SILENT, UNNAMED, FORGETS, SUSPENDED],
    ids=[
        "all are busy",
        "it has others, too",
        "it retires nobody",
        "it is silent",
        "it names nobody",
        "it forgets and finds them",
        "it knows nobody who is suspended",
    ],
)
def test_whatever_the_scheduler_says_a_lowered_cap_comes_true(observed: Observed) -> None:
    def missing(now: float) -> dict[str, float]:
        return dropped(now) if observed is FORGETS else {}

    first = look(observed, NOW, None, missing=missing(NOW))
    assert removed(first) == []
    later = look(observed, NOW + 3599, first, missing=missing(NOW + 3599))
    assert removed(later) == []
    assert later.wake_at is not None and later.wake_at <= NOW + 3600
    last = look(observed, NOW + 3600, later, missing=missing(NOW + 3600))
    assert sorted(removed(last)) == ["w1.0", "w2.0", "w3.0"], "gracefully, and the newest"
    (action,) = (action for action in last.actions if isinstance(action, Remove))
    assert action.reason == "HTCDask: fewer workers are wanted, and these had time to finish"


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (
            TOO_MANY_STRANGERS,
            "4 workers are there, 1 wanted; the surplus leaves by 2027-01-15T09:00:00Z at the latest.",
        ),
        (
            SILENT,
            " 4 workers are there, 1 wanted; the surplus leaves by 2027-01-15T09:00:00Z at the latest.",
        ),
    ],
)
def test_the_status_says_until_when(observed: Observed, expected: str) -> None:
    template_hash = descriptions.template_hash(CAPPED, make_cluster(4), CAPPED.spec.template, POLICY)
    observed = replace(observed, jobs=(make_anchor(template_hash), *JOBS))
    ready = look(observed, NOW, None).statuses[POOL].condition("Ready")
    assert ready is not None and ready.message.endswith(expected)


def test_one_that_finishes_its_task_goes_at_once_and_the_others_keep_their_time() -> None:
    first = look(BUSY, NOW, None)
    second = look(replace(BUSY, busy=frozenset(NAMES[1:])), NOW + 60, first)
    assert removed(second) == ["w0.0"]
    jobs = [replace(job, status=JobStatus.REMOVED) if job.worker == "w0" else job for job in JOBS]
    third = look(replace(BUSY, jobs=tuple(jobs)), NOW + 61, second)
    assert third.memory.of(POOL).standing == ((2, NOW),)


@pytest.mark.parametrize(
    "unseen",
    [{"jobs": ACCESS_POINT_SILENT}, {"cluster": API_SILENT}],
    ids=["the queue", "the cluster"],
)
def test_without_knowing_how_many_are_too_many_nothing_goes_and_nothing_is_forgotten(
    unseen: dict[str, object],
) -> None:
    first = look(BUSY, NOW, None)
    blind = look(replace(BUSY, **unseen), NOW + 7200, first)  # type: ignore[arg-type]
    assert removed(blind) == []
    assert blind.memory.of(POOL).standing == first.memory.of(POOL).standing


def test_a_surplus_that_was_no_more_starts_anew() -> None:
    first = look(BUSY, NOW, None)
    enough = look(BUSY, NOW + 1800, first, make_pool(max_replicas=4))
    assert enough.memory.of(POOL).standing == ()
    assert removed(look(BUSY, NOW + 3600, look(BUSY, NOW + 1801, enough))) == []


def test_a_site_may_leave_no_time_at_all() -> None:
    planned = plan_for([CAPPED], BUSY, replace(POLICY, drain_seconds=0.0), NOW)
    assert sorted(removed(planned)) == ["w1.0", "w2.0", "w3.0"]
