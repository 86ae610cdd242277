"""How many workers each pool gets: Manual beside Gateway, telling the scheduler, limits, the default pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from htcdask_operator.core.actions import Action, CreatePool, Remove, ScaleScheduler, SubmitWorkers
from htcdask_operator.core.model import ClusterFacts, Gone, Job, JobStatus, Observed, PoolFacts
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling import scale_scheduler
from htcdask_operator.core.scaling.scale_scheduler import LastScale
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.submit import descriptions
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    CLUSTER,
    NOW,
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
    make_usage,
    plan_for,
)

POLICY = make_policy()
GATEWAY = make_pool("gateway", created_at=NOW - 90)
OTHER_USER = "bob"


def manual(replicas: int, uid: str = "manual", **facts: object) -> PoolFacts:
    return make_pool(uid, scaling="Manual", replicas=replicas, **({"created_at": NOW - 80} | facts))  # type: ignore[arg-type]


def workers(pool: str, count: int, status: JobStatus = JobStatus.RUNNING, **facts: object) -> list[Job]:
    """Workers of a pool, `<pool>0` first, queued one second after the other."""
    return [
        make_job(f"{pool}{number}", status, pool_uid=pool, queued_at=NOW - 50 + number, **facts)
        for number in range(count)
    ]


def anchors(*pools: PoolFacts) -> list[Job]:
    marks = [descriptions.template_hash(pool, make_cluster(), make_template(), POLICY) for pool in pools]
    return [
        make_anchor(template_hash, pool_uid=pool.uid, id=f"{number}.9")
        for number, (pool, template_hash) in enumerate(zip(pools, marks, strict=True))
    ]


def seen(
    pools: Sequence[PoolFacts], cluster: ClusterFacts, jobs: Sequence[Job], busy: Sequence[str] = ()
) -> Observed:
    """Everything that runs is connected."""
    running = [job.worker for job in jobs if job.status is JobStatus.RUNNING]
    return make_observed(cluster, [*anchors(*pools), *jobs], running, busy=frozenset(busy))


def decided(
    pools: Sequence[PoolFacts], observed: Observed, policy: Policy = POLICY, now: float = NOW, **facts: Any
) -> tuple[Action, ...]:
    return plan_for(pools, observed, policy, now, **facts).actions


def submitted(actions: Sequence[Action]) -> dict[str, int]:
    return {action.pool: len(action.names) for action in actions if isinstance(action, SubmitWorkers)}


def removed(actions: Sequence[Action]) -> list[str]:
    return [job for action in actions if isinstance(action, Remove) for job in action.jobs]


def told(actions: Sequence[Action]) -> list[int]:
    return [action.count for action in actions if isinstance(action, ScaleScheduler)]


# --- What the scheduler is told.


@pytest.mark.parametrize(
    ("pools", "wanted", "expected"),
    [
        ([manual(3)], 0, [3]),
        ([manual(3)], 3, []),
        ([manual(3)], 5, [3]),
        ([manual(0)], 2, [0]),
        ([manual(1), manual(2, "second")], 0, [3]),
        ([GATEWAY, manual(3)], 0, [3]),
        ([GATEWAY, manual(3)], 3, []),
        ([GATEWAY, manual(3)], 8, []),
        ([GATEWAY], 8, []),
        ([manual(3, deleting=True)], 0, []),
        ([manual(3, template=make_template(profile="none"))], 0, []),
    ],
    ids=[
        "a Manual pool alone, and nobody scaled",
        "it knows already",
        "it wants more than there is",
        "down to nothing",
        "two Manual pools",
        "less than the Manual pool beside a Gateway pool",
        "no less",
        "the rest is the Gateway pool's",
        "no Manual pool",
        "a deleted pool asks for nothing",
        "nor does one that cannot have workers",
    ],
)
def test_the_scheduler_is_told_what_the_manual_pools_need(
    pools: list[PoolFacts], wanted: int, expected: list[int]
) -> None:
    assert told(decided(pools, seen(pools, make_cluster(wanted), []))) == expected


def test_it_is_told_at_most_once_in_ten_seconds_and_workers_wait_for_its_answer() -> None:
    pools = [manual(3)]
    observed = seen(pools, make_cluster(0), [])
    first = decided(pools, observed)
    assert (told(first), submitted(first)) == ([3], {})
    waiting = plan_for(pools, observed, POLICY, NOW, last_scale=LastScale(3, NOW - 4))
    assert (waiting.actions, waiting.wake_at) == ((), NOW + 6)
    assert told(decided(pools, observed, last_scale=LastScale(3, NOW - 10))) == [3]
    assert submitted(decided(pools, seen(pools, make_cluster(3), []))) == {"manual": 3}


def test_it_is_told_nothing_while_somebodys_number_may_be_on_its_way() -> None:
    pools = [manual(3)]
    observed = seen(pools, make_cluster(0), [])
    waiting = plan_for(pools, observed, POLICY, NOW, demand=Demand(0, NOW - 1, 0))
    assert (waiting.actions, waiting.wake_at) == ((), NOW + 1)
    assert told(plan_for(pools, observed, POLICY, NOW + 1, waiting.memory).actions) == [3]


def test_a_new_manual_pool_speaks_over_nobodys_number() -> None:
    """A notebook adds a pool and scales its cluster in the same moment."""
    pools, nothing = [manual(1), make_pool("gateway")], make_cluster(0)
    first = plan_for(pools, seen(pools, nothing, []), POLICY, NOW, make_memory(nothing))
    assert (told(first.actions), first.wake_at) == ([], NOW + 2)
    # The notebook's own number comes by the next heartbeat, and is enough for the pool.
    scaled = plan_for(pools, seen(pools, make_cluster(3), []), POLICY, NOW + 2, first.memory)
    assert told(scaled.actions) == []
    alone = plan_for(pools, seen(pools, nothing, []), POLICY, NOW + 2, first.memory)
    assert told(alone.actions) == [1]


@pytest.mark.parametrize(
    ("replicas", "last", "expected"),
    [
        (0, LastScale(5, NOW - 60, before=2), [2]),
        (3, LastScale(5, NOW - 60, before=2), [3]),
        (0, LastScale(5, NOW - 60, before=7), []),
        (0, LastScale(4, NOW - 60, before=2), []),
        (0, None, []),
    ],
    ids=[
        "taken back",
        "as far as it is not needed",
        "no more than was told",
        "somebody has scaled it",
        "not ours",
    ],
)
def test_what_it_was_told_for_a_manual_pool_is_taken_back_with_it(
    replicas: int, last: LastScale | None, expected: list[int]
) -> None:
    """Else the pool that follows the gateway would get workers that nobody asked for."""
    pools = [GATEWAY, manual(replicas)]
    observed = seen(pools, make_cluster(5), workers("gateway", 2))
    assert told(plan_for(pools, observed, POLICY, NOW, last_scale=last).actions) == expected


def test_what_it_is_told_says_that_adapt_ends() -> None:
    (action,) = [a for a in decided([manual(3)], make_observed()) if isinstance(a, ScaleScheduler)]
    assert (action.pool, action.reason) == ("manual", "SchedulerTold")
    assert "3 workers" in action.message and "ends adapt()" in action.message


def test_it_is_not_told_more_than_the_gateway_lets_through() -> None:
    cluster = make_cluster(2, config={"cluster_max_workers": 2})
    assert told(decided([manual(1), manual(2, "second")], make_observed(cluster))) == []


@pytest.mark.parametrize(
    "observed",
    [make_observed(jobs=ACCESS_POINT_SILENT), make_observed(API_SILENT), make_observed(Gone())],
)
def test_it_is_told_nothing_on_what_is_not_seen(observed: Observed) -> None:
    assert told(decided([manual(3)], observed)) == []


# --- Manual beside Gateway: whoever the scheduler retires, the right pool shrinks.


def test_the_gateway_pool_gives_way_where_the_scheduler_retired_a_manual_worker() -> None:
    pools = [GATEWAY, manual(3)]
    jobs = [*workers("gateway", 2), *workers("manual", 2)]
    actions = decided(pools, seen(pools, make_cluster(4), jobs))
    assert (removed(actions), submitted(actions)) == (["gateway1.0"], {}), "the newest, and nothing beyond N"
    after = [jobs[0], *jobs[2:]]
    assert submitted(decided(pools, seen(pools, make_cluster(4), after))) == {"manual": 1}


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


def test_the_scheduler_is_told_of_less_when_our_own_surplus_has_left() -> None:
    pools = [manual(1)]
    jobs = workers("manual", 3)
    first = decided(pools, seen(pools, make_cluster(3), jobs))
    assert (removed(first), told(first)) == (["manual2.0", "manual1.0"], [])
    leaving = [jobs[0], *(replace(job, status=JobStatus.REMOVED) for job in jobs[1:])]
    observed = replace(seen(pools, make_cluster(3), leaving), connected=frozenset(job.worker for job in jobs))
    assert decided(pools, observed) == ()
    assert told(decided(pools, seen(pools, make_cluster(3), jobs[:1]))) == [1]


# --- Limits.


def other(number: int, user: str = "alice", status: JobStatus = JobStatus.IDLE, at: float = NOW - 10) -> Job:
    return make_job(
        f"other{number}", status, pool_uid="elsewhere", cluster_uid="theirs", user=user, queued_at=at
    )


@pytest.mark.parametrize(
    ("policy", "neighbours", "expected"),
    [
        (make_policy(max_replicas_per_user=3), [], 3),
        (make_policy(max_replicas_per_user=3), [other(1), other(2)], 1),
        (make_policy(max_replicas_per_user=3), [other(1, OTHER_USER), other(2, OTHER_USER)], 3),
        (make_policy(max_replicas=3), [other(1, OTHER_USER), other(2)], 1),
        (make_policy(max_replicas=1), [other(1), other(2)], 0),
        (make_policy(max_replicas_per_user=3), [other(1, status=JobStatus.REMOVED)], 3),
    ],
    ids=[
        "one user",
        "in another cluster of the same user",
        "another user's do not count",
        "of all users",
        "nothing left",
        "what is leaving does not count",
    ],
)
def test_a_limit_counts_workers_of_other_clusters(
    policy: Policy, neighbours: list[Job], expected: int
) -> None:
    pools = [GATEWAY]
    observed = replace(seen(pools, make_cluster(4), []), usage=make_usage(neighbours, policy))
    planned = plan_for(pools, observed, policy, NOW)
    assert submitted(planned.actions).get("gateway", 0) == expected
    (why,) = [e for e in planned.statuses["gateway"].explanation if e.reason == "Capped"]
    assert "the site's limit for" in why.message
    assert planned.wake_at == NOW + 10, "nobody tells when others leave"


def test_a_limit_that_was_lowered_takes_the_jobs_that_were_queued_last_whosever_they_are() -> None:
    policy = make_policy(max_replicas_per_user=3)
    mine = [
        make_job(f"m{n}", pool_uid="gateway", user="alice", queued_at=NOW - at)
        for n, at in ((0, 40), (1, 20))
    ]
    theirs = [other(n, at=NOW - ago) for n, ago in ((0, 30), (1, 10))]
    usage = make_usage((*mine, *theirs), policy, "gateway")
    ours = replace(seen([GATEWAY], make_cluster(2), mine), usage=usage)
    assert removed(decided([GATEWAY], ours, policy)) == [], "the newest of the four is not ours"
    elsewhere = make_pool("elsewhere", created_at=NOW - 90)
    usage = make_usage((*mine, *theirs), policy, "elsewhere")
    observed = replace(seen([elsewhere], make_cluster(2), theirs), usage=usage)
    assert removed(decided([elsewhere], observed, policy)) == ["other1.0"]


def test_manual_pools_come_before_the_gateway_pool_where_a_limit_is_shared() -> None:
    pools = [GATEWAY, manual(2)]
    statuses = plan_for(pools, seen(pools, make_cluster(6), []), make_policy(max_replicas=3), NOW).statuses
    assert [statuses[uid].desired_replicas for uid in ("gateway", "manual")] == [1, 2]


# --- The default pool.

FALLBACK = CreatePool("default-abc", "gateway", "abc", CLUSTER)


def test_a_cluster_that_asks_for_workers_and_has_no_pool_gets_the_default_one() -> None:
    assert decided([], make_observed(make_cluster(1))) == (FALLBACK,)


@pytest.mark.parametrize(
    ("observed", "policy"),
    [
        (make_observed(make_cluster(0)), POLICY),
        (make_observed(make_cluster(1, htcondor=False)), POLICY),
        (make_observed(make_cluster(1, active=False)), POLICY),
        (make_observed(make_cluster(1), had_pools=True), POLICY),
        (make_observed(make_cluster(1)), make_policy(default_pool=False)),
        (make_observed(Gone()), POLICY),
        (make_observed(API_SILENT), POLICY),
    ],
    ids=[
        "nobody asks",
        "Kubernetes workers",
        "it has ended",
        "its pool was deleted",
        "the site does not want it",
        "gone",
        "not seen",
    ],
)
def test_no_other_cluster_gets_one(observed: Observed, policy: Policy) -> None:
    assert decided([], observed, policy) == ()


def test_a_cluster_with_a_pool_gets_no_second_one() -> None:
    actions = decided([make_pool(POOL, deleting=True)], make_observed(make_cluster(1)))
    assert FALLBACK not in actions


def test_a_scheduler_that_does_not_listen_is_told_less_and_less_often() -> None:
    pools, now, said = [manual(3)], NOW, []
    observed = seen(pools, make_cluster(0), [])
    before = None
    while now < NOW + 600:
        planned = plan_for(pools, observed, POLICY, now, last_scale=before)
        if told(planned.actions):
            said.append(now - NOW)
            before = scale_scheduler.after(before, 3, 0, now)
        assert planned.wake_at is not None
        now = planned.wake_at
    assert said == [0, 10, 30, 70, 150, 270, 390, 510]
    assert scale_scheduler.after(before, 4, 0, now).times == 1, "another number is another wish"
