"""How many workers each pool gets: Manual beside Gateway, and limits that they share."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.core.policy import Policy
from tests.builders import NOW, make_cluster, make_job, make_policy, make_pool, make_usage, plan_for
from tests.unit.core.planned import removed
from tests.unit.core.scaling.pools import GATEWAY, decided, manual, seen, submitted, workers

OTHER_USER = "bob"


# --- Manual beside Gateway: whoever the scheduler retires, the right pool shrinks.


def test_the_gateway_pool_gives_way_where_the_scheduler_retired_a_manual_worker() -> None:
    pools = [GATEWAY, manual(3)]
    jobs = [*workers("gateway", 2), *workers("manual", 2)]
    actions = decided(pools, seen(pools, make_cluster(4), jobs))
    assert (removed(actions), submitted(actions)) == (["gateway1.0"], {}), "the newest, and nothing beyond N"
    after = [jobs[0], *jobs[2:]]
    assert submitted(decided(pools, seen(pools, make_cluster(4), after))) == {"manual": 1}


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
    assert planned.wake_at == (NOW + 10 if expected < 3 else None), "nobody tells when others leave"


@pytest.mark.parametrize(("neighbours", "expected"), [([], "False"), ([other(1)], "True")])
def test_a_pool_at_rest_does_not_wait_for_workers_of_its_own_cluster(
    neighbours: list[Job], expected: str
) -> None:
    """What only its own cluster has taken of a limit nobody else can give back."""
    policy, pools = make_policy(max_replicas_per_user=3), [GATEWAY, manual(2), manual(2, "second")]
    there = [*workers("manual", 2), *workers("second", 1 - len(neighbours))]
    observed = seen(pools, make_cluster(4), there)
    observed = replace(observed, usage=make_usage([*there, *neighbours], policy, *(p.uid for p in pools)))
    said = plan_for(pools, observed, policy, NOW).statuses["second"]
    assert [why.reason for why in said.explanation] == ["Capped"]
    reconciling = said.condition("Reconciling")
    assert reconciling is not None and reconciling.status == expected


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
