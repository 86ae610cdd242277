"""How many workers a cluster may get in all, whoever has them now."""

from __future__ import annotations

from typing import Any

from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.core.pools import cluster
from tests.builders import (
    NOW,
    POOL,
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

THREE = [make_job(name, JobStatus.RUNNING) for name in "abc"]


def submit_budget(wanted: int, others: tuple[Job, ...] = (), **policy: Any) -> int:
    """Of a cluster with three workers."""
    site = make_policy(**policy)
    observed = make_observed(make_cluster(wanted), THREE, orphans=others, usage=make_usage(others, site))
    sights = cluster.seen([make_pool()], observed, make_memory(), site, NOW)
    budget = cluster.submit_budget(sights, observed, site)
    return min(budget.workers, budget.beyond(sights[0].worker))


def test_a_cluster_may_get_what_its_scheduler_wants_and_has_not() -> None:
    assert submit_budget(5) == 2
    assert submit_budget(2) == 0


def test_workers_of_a_pool_that_is_gone_count_until_they_have_left() -> None:
    orphan = make_job("orphan", pool_uid="gone", user="alice")
    assert submit_budget(5, (orphan,)) == 1
    assert submit_budget(5, (make_job("ended", JobStatus.COMPLETED, pool_uid="gone"),)) == 2
    assert submit_budget(5, (make_job("bobs", pool_uid="other", cluster_uid="another"),)) == 2


def test_a_limit_counts_what_is_there_and_not_only_what_should_be() -> None:
    assert submit_budget(5, max_replicas=4) == 1
    assert submit_budget(5, max_replicas=2) == 0, "a smaller share than the workers of another pool"
    assert (
        submit_budget(5, (make_job("x", cluster_uid="another", user="alice"),), max_replicas_per_user=4) == 0
    )


def test_while_strays_are_there_the_plan_looks_again_soon() -> None:
    orphan = make_job("orphan", pool_uid="gone")
    observed = make_observed(make_cluster(3), THREE, orphans=(orphan,))
    planned = plan_for([make_pool()], observed, make_policy(), NOW)
    assert planned.wake_at is not None and planned.wake_at <= NOW + 2


def test_a_rule_that_only_the_whole_breaks_is_told_without_the_environments_values() -> None:
    secret = "a-token-that-nobody-may-see"
    own = make_template(environment={f"A{number}": secret * 450 for number in range(2)})
    policy = make_policy(default_template=make_template(environment={"B": secret * 450}))
    status = plan_for([make_pool(template=own)], make_observed(), policy, NOW).statuses[POOL]
    ready = status.condition("Ready")
    assert ready is not None and ready.reason == "InvalidPool"
    assert "32768" in ready.message
    assert secret not in ready.message
