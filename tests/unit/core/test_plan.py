"""What is done, from what is seen: each case a sentence, each answer a list of actions."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from htcdask_api import PoolStatus
from htcdask_operator.core.actions import (
    Adopt,
    HoldAnchor,
    ReadLogs,
    Remove,
    RemoveFinalizer,
    SubmitAnchor,
    SubmitWorkers,
    WriteLogs,
)
from htcdask_operator.core.model import Gone, JobStatus, Observed, PoolFacts
from htcdask_operator.core.submit import descriptions
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
    make_pool,
    make_template,
    plan_for,
)
from tests.unit.core.planned import ANCHOR, FOUR, POLICY, actions, kinds, removed
from tests.unit.core.world import World


def test_the_oldest_pool_is_served_first_and_all_together_do_not_exceed_what_the_scheduler_asks_for() -> None:
    pools = [
        make_pool("young", scaling="Manual", replicas=3, created_at=NOW - 10),
        make_pool("old", scaling="Manual", replicas=3, created_at=NOW - 20),
    ]
    jobs = []
    for number, pool in enumerate(pools):
        template_hash = descriptions.template_hash(pool, FOUR, make_template(), POLICY)
        jobs.append(make_anchor(template_hash, pool_uid=pool.uid, id=f"{number}.0"))
    found = plan_for(pools, make_observed(FOUR, jobs), POLICY, NOW).actions
    counts = {action.pool: len(action.names) for action in found if isinstance(action, SubmitWorkers)}
    assert counts == {"old": 3, "young": 1}


def test_what_the_manual_pools_have_is_taken_from_the_gateway_pool() -> None:
    pools = [make_pool(), make_pool("manual", scaling="Manual", replicas=3)]
    statuses = plan_for(pools, make_observed(FOUR), POLICY, NOW).statuses
    assert [statuses[uid].desired_replicas for uid in (POOL, "manual")] == [1, 3]


# --- Unseen.


@pytest.mark.parametrize(
    "observed",
    [
        make_observed(FOUR, ACCESS_POINT_SILENT),
        make_observed(API_SILENT, [ANCHOR, make_job("a"), make_job("b", JobStatus.COMPLETED, exit_code=1)]),
        make_observed(make_cluster(1), [ANCHOR, make_job("a", JobStatus.RUNNING)], SCHEDULER_SILENT),
        make_observed(FOUR, [ANCHOR], SCHEDULER_SILENT),
        make_observed(make_cluster(0), [ANCHOR, make_job("a", JobStatus.RUNNING)], SCHEDULER_SILENT),
        make_observed(FOUR, [], condor_identity=None),
    ],
    ids=[
        "the queue cannot be seen",
        "the cluster cannot be seen",
        "the scheduler is silent, and nothing to do",
        "the scheduler is silent, and workers are missing",
        "the scheduler is silent, and workers are too many",
        "the access point has not accepted the token",
    ],
)
def test_what_is_not_seen_leads_to_nothing(observed: Observed) -> None:
    assert actions(make_pool(), observed) == ()


def test_a_pool_whose_cluster_went_before_it_was_adopted_wants_no_workers() -> None:
    before = PoolStatus(desired_replicas=4, replicas=2)
    pool = make_pool(owner_uid=None, status=before)
    after = plan_for((pool,), make_observed(Gone()), POLICY, NOW).statuses[POOL]
    assert (after.desired_replicas, after.replicas) == (0, 0)


@pytest.mark.parametrize(
    "pool",
    [
        make_pool(invalid="memory: must be a quantity"),
        make_pool(template=make_template(profile="none")),
        make_pool(template=make_template(container_image="/etc")),
    ],
)
def test_a_pool_that_fails_a_check_gets_no_job(pool: PoolFacts) -> None:
    assert actions(pool, make_observed(FOUR)) == ()
    kept = actions(pool, make_observed(FOUR, [ANCHOR, make_job("a", template_hash="hash")]))
    assert "a.0" not in removed(kept), "and what it has, it keeps"


# --- The whole road, in a world where actions take effect.


def test_from_nothing_to_four_workers_and_back_to_nothing() -> None:
    world = World({POOL: make_pool(owner_uid=None)}, make_cluster(0))
    assert kinds(world.settle()) == [Adopt, SubmitAnchor]
    world.stage()
    assert kinds(world.settle()) == [HoldAnchor]
    world.cluster = FOUR
    assert kinds(world.settle()) == [SubmitWorkers]
    for job in world.workers():
        world.start(job)
        world.connect(job)
    assert world.settle() == []
    ready = world.pools[POOL].status.condition("Ready")
    assert ready is not None and (ready.status, ready.reason) == ("True", "WorkersConnected")
    world.now += 60
    world.cluster = make_cluster(1)
    for job in world.workers()[1:]:
        world.end(job)  # the scheduler retires them
    assert kinds(world.settle()) == [Remove, ReadLogs, WriteLogs]
    status = world.pools[POOL].status
    assert (status.finished, status.failed, status.replicas) == (3, 0, 1)
    world.pools[POOL] = replace(world.pools[POOL], deleting=True)
    assert kinds(world.settle()) == [Remove]
    world.processes_end()
    assert kinds(world.settle()) == [Remove, RemoveFinalizer]
    assert not world.jobs


def test_a_pool_whose_workers_only_die_tries_ever_slower_and_stalls() -> None:
    world = World({POOL: make_pool()}, FOUR)
    world.settle()
    world.stage()
    tries, reasons = [], []
    for _ in range(60):
        before = len(world.submitted)
        world.settle()
        if len(world.submitted) > before:
            tries.append((round(world.now - NOW), len(world.submitted) - before))
        for job in world.workers():
            world.start(job)
            world.end(world.jobs[job.id], 1)
        stalled = world.pools[POOL].status.condition("Stalled")
        assert stalled is not None
        reasons.append(stalled.reason if stalled.status == "True" else None)
        world.now += 10
    assert [count for _, count in tries] == [4, 1, 1, 1, 1], "one on trial at a time"
    waits = [later - earlier for (earlier, _), (later, _) in pairwise(tries)]
    assert waits == sorted(waits) and waits[0] <= 30 and waits[-1] >= 80
    assert reasons[-1] == "WorkersKeepFailing"
    assert "the last line" in world.pools[POOL].status.conditions[2].message
