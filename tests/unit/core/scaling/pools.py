"""Pools of one cluster, Manual and of the gateway: seen and planned once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from htcdask_operator.core.actions import Action, ScaleScheduler, SubmitWorkers
from htcdask_operator.core.model import ClusterFacts, Job, JobStatus, Observed, PoolFacts
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.submit import descriptions
from tests.builders import (
    NOW,
    make_anchor,
    make_cluster,
    make_job,
    make_observed,
    make_pool,
    make_template,
    plan_for,
)
from tests.unit.core.planned import POLICY

GATEWAY = make_pool("gateway", created_at=NOW - 90)


def manual(replicas: int, uid: str = "manual", **facts: object) -> PoolFacts:
    return make_pool(uid, scaling="Manual", replicas=replicas, **({"created_at": NOW - 80} | facts))  # type: ignore[arg-type]


def workers(pool: str, count: int, status: JobStatus = JobStatus.RUNNING, **facts: object) -> list[Job]:
    """Workers of a pool, `<pool>0` first, queued one second after the other."""
    return [
        make_job(f"{pool}{number}", status, pool_uid=pool, queued_at=NOW - 50 + number, **facts)
        for number in range(count)
    ]


def anchors(*pools: PoolFacts) -> list[Job]:
    hashes = [descriptions.template_hash(pool, make_cluster(), make_template(), POLICY) for pool in pools]
    return [
        make_anchor(template_hash, pool_uid=pool.uid, id=f"{number}.9")
        for number, (pool, template_hash) in enumerate(zip(pools, hashes, strict=True))
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


def told(actions: Sequence[Action]) -> list[int]:
    return [action.count for action in actions if isinstance(action, ScaleScheduler)]
