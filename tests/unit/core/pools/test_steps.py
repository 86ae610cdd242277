"""The steps of a living pool: its anchor's road, who owns it, what does not leave, and why a worker waits."""

from __future__ import annotations

import pytest

from htcdask_operator.core.actions import Adopt, Analyze, ForceRemove, HoldAnchor, Remove, SubmitAnchor
from htcdask_operator.core.model import Gone, JobStatus, PoolFacts
from tests.builders import (
    CLUSTER,
    NOW,
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_observed,
    make_pool,
    plan_for,
)
from tests.unit.core.planned import ANCHOR, FOUR, POLICY, TEMPLATE_HASH, actions, kinds, removed
from tests.unit.core.world import World


def test_a_new_pool_gets_its_anchor_before_anybody_scales() -> None:
    (action,) = actions(make_pool(), make_observed())
    assert isinstance(action, SubmitAnchor)
    assert action.description["My.HTCDaskRole"] == '"anchor"'
    assert action.bundle.sni == "daskgateway-gateway.abc"


@pytest.mark.parametrize(
    "anchor",
    [
        make_anchor(TEMPLATE_HASH, hold_code=16, stage_in_finish=None, iwd=None, queued_at=NOW - 119),
        make_anchor(TEMPLATE_HASH, hold_code=16),
    ],
    ids=["its files are on their way", "staged, and still held by the schedd"],
)
def test_an_anchor_under_way_is_waited_for(anchor: object) -> None:
    assert actions(make_pool(), make_observed(FOUR, [anchor])) == ()  # type: ignore[list-item]


def test_a_staged_anchor_is_held_with_a_reason_that_says_what_it_is() -> None:
    (action,) = actions(make_pool(), make_observed(FOUR, [make_anchor(TEMPLATE_HASH, JobStatus.IDLE)]))
    assert action == HoldAnchor(
        POOL,
        ("1.0",),
        "HTCDask: keeps the workers' files of pool gateway/default-pool-uid; goes with the pool",
    )


@pytest.mark.parametrize("stage_in_finish", [None, NOW - 121])
def test_an_anchor_that_was_never_spooled_is_replaced(stage_in_finish: float | None) -> None:
    """Or was, by a schedd that ended before it let the job go."""
    lost = make_anchor(TEMPLATE_HASH, hold_code=16, stage_in_finish=stage_in_finish, queued_at=NOW - 125)
    found = actions(make_pool(), make_observed(jobs=[lost]))
    assert kinds(found) == [Remove, SubmitAnchor]
    assert removed(found) == ["1.0"]


def test_it_is_looked_again_when_a_worker_s_files_will_never_come() -> None:
    sent = make_job("a", JobStatus.HELD, template_hash=TEMPLATE_HASH, hold_code=16, queued_at=NOW - 100)
    assert plan_for([make_pool()], make_observed(make_cluster(1), [ANCHOR, sent]), POLICY).wake_at == NOW + 21


def test_workers_wait_for_an_anchor_of_the_present_template() -> None:
    running = make_job("a", JobStatus.RUNNING, template_hash="old")
    found = actions(make_pool(), make_observed(FOUR, [make_anchor("old"), running], ["a"]))
    assert kinds(found) == [SubmitAnchor], "and the old one stays as long as its worker"


def test_an_old_anchor_goes_with_its_last_worker() -> None:
    found = actions(make_pool(), make_observed(jobs=[make_anchor("old", id="7.0"), ANCHOR]))
    assert removed(found) == ["7.0"]


def test_a_second_anchor_from_a_lost_answer_goes() -> None:
    twin = make_anchor(TEMPLATE_HASH, hold_code=16, stage_in_finish=None, id="2.0", queued_at=NOW - 10)
    assert removed(actions(make_pool(), make_observed(jobs=[ANCHOR, twin]))) == ["2.0"]


def test_a_pool_is_adopted_by_its_cluster_before_anything_is_submitted() -> None:
    pool = make_pool(owner_uid=None)
    assert actions(pool, make_observed(FOUR)) == (Adopt(POOL, CLUSTER),)
    assert actions(pool, make_observed(Gone())) == (), "it waits for its cluster"


@pytest.mark.parametrize("pool", [make_pool(), make_pool(deleting=True)], ids=["living", "deleted"])
@pytest.mark.parametrize("cluster", [make_cluster(0), Gone()], ids=["running", "gone"])
def test_a_removed_job_whose_execute_node_died_is_taken_out(pool: PoolFacts, cluster: object) -> None:
    leaving = make_job("a", JobStatus.REMOVED, status_since=NOW - 79)
    observed = make_observed(cluster, [ANCHOR, leaving])  # type: ignore[arg-type]
    planned = plan_for([pool], observed, POLICY, NOW)
    assert (planned.actions, planned.wake_at) == ((), NOW + 1)
    (action,) = plan_for([pool], observed, POLICY, NOW + 1).actions
    assert action == ForceRemove(POOL, ("a.0",), "HTCDask: its execute node does not answer")


def test_it_is_asked_now_and_then_why_a_worker_waits_and_only_of_the_one_that_waits_longest() -> None:
    world = World({POOL: make_pool()}, FOUR)
    world.settle()
    world.stage()
    world.settle()
    assert not any(isinstance(action, Analyze) for action in world.settle())
    asked = []
    for _ in range(100):
        world.now += 1
        asked += [(world.now - NOW, action) for action in world.settle() if isinstance(action, Analyze)]
    first = min(world.workers(), key=lambda job: job.id)
    assert asked == [(at, Analyze(POOL, first.id)) for at in (20, 50, 100)]
    status = world.pools[POOL].status
    assert [(why.reason, why.count) for why in status.explanation] == [("PoolFull", 4)]
    for job in world.workers():
        world.start(job)
    world.settle()
    assert world.memory.of(POOL).analyzed is None
