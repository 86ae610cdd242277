"""Who goes first when fewer are wanted, and who is left to the scheduler."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.model import JobStatus
from tests.builders import NOW, make_cluster, make_job, make_observed, make_pool, plan_for
from tests.unit.core.planned import ANCHOR, POLICY, actions, removed
from tests.unit.core.scaling.pools import GATEWAY, decided, manual, seen, workers


def test_nothing_is_removed_while_the_scheduler_retires_by_itself() -> None:
    pools = [GATEWAY, manual(1)]
    jobs = [*workers("gateway", 2), *workers("manual", 2)]
    assert decided(pools, seen(pools, make_cluster(3), jobs)) == ()


def test_a_worker_that_just_left_the_scheduler_is_not_counted_twice() -> None:
    pools = [GATEWAY]
    jobs = workers("gateway", 3)
    observed = seen(pools, make_cluster(2), jobs)
    observed = replace(observed, connected=frozenset({"gateway0", "gateway1"}))
    assert decided(pools, observed, dropped={"gateway2": NOW - 1}) == ()


def test_a_connected_worker_in_the_middle_of_a_task_is_let_finish() -> None:
    pools = [make_pool("gateway", max_replicas=1, created_at=NOW - 90)]
    jobs = workers("gateway", 3)
    observed = seen(pools, make_cluster(3), jobs, ["gateway0", "gateway1", "gateway2"])
    busy = plan_for(pools, observed, POLICY, NOW)
    assert (busy.actions, busy.wake_at) == ((), NOW + 2)
    ready = busy.statuses["gateway"].condition("Ready")
    assert ready is not None and (ready.reason, ready.message) == (
        "ScalingDown",
        "3 workers are there, 1 wanted; 2 may finish their tasks first, "
        "until 2027-01-15T09:00:00Z at the latest.",
    )
    one_idle = decided(pools, seen(pools, make_cluster(3), jobs, ["gateway1", "gateway2"]))
    assert removed(one_idle) == ["gateway0.0"]


def test_what_costs_nothing_goes_before_an_idle_connected_worker() -> None:
    pools = [make_pool("gateway", max_replicas=1, created_at=NOW - 90)]
    jobs = [*workers("gateway", 2), make_job("queued", pool_uid="gateway")]
    assert removed(decided(pools, seen(pools, make_cluster(3), jobs))) == ["queued.0", "gateway1.0"]


def test_scaling_down_takes_the_newest_idle_first_and_never_a_connected_one() -> None:
    jobs = [
        ANCHOR,
        make_job("connected", JobStatus.RUNNING),
        make_job("starting", JobStatus.RUNNING),
        make_job("old", queued_at=NOW - 50),
        make_job("new", queued_at=NOW - 20),
    ]
    order = []
    for wanted in (3, 2, 1, 0):
        found = actions(make_pool(), make_observed(make_cluster(wanted), jobs, ["connected"]))
        order.append(removed(found))
    assert order == [
        ["new.0"],
        ["new.0", "old.0"],
        ["new.0", "old.0", "starting.0"],
        ["new.0", "old.0", "starting.0"],
    ]


def test_a_worker_that_the_scheduler_retires_is_left_to_close() -> None:
    jobs = [ANCHOR, make_job("a", JobStatus.RUNNING), make_job("b", JobStatus.RUNNING)]
    closing = make_observed(make_cluster(1), jobs, ["a"])
    assert plan_for([make_pool()], closing, POLICY, NOW, dropped={"b": NOW - 1}).actions == ()
