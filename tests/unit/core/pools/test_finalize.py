"""Our finalizer comes at first sight and goes last of all; what keeps a pool then is not ours to report."""

from dataclasses import replace

import pytest

from htcdask_api import Condition, PoolStatus, names
from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Action, AddFinalizer, Adopt, Remove, RemoveFinalizer
from htcdask_operator.core.memory import ClusterMemory, PoolMemory
from htcdask_operator.core.model import Gone, JobStatus, Observed, PoolFacts
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.setback import STALLED, Setback
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    NOW,
    POOL,
    make_cluster,
    make_job,
    make_observed,
    make_policy,
    make_pool,
    plan_for,
)
from tests.unit.core.planned import ANCHOR, FOUR, POLICY, kinds, removed

THEIRS = "example.org/audit"
BARE = make_pool(finalized=False, owner_uid=None)
ENDING = make_pool(deleting=True)
REFUSED = Setback("no", NOW - 0.5, times=2, finalizer=True)


def planned(pool: PoolFacts, observed: Observed, setback: Setback | None = None) -> Plan:
    memory = ClusterMemory(pools={POOL: PoolMemory(setback=setback)})
    return plan([pool], observed, memory, make_policy(), NOW)


def actions(pool: PoolFacts, observed: Observed, setback: Setback | None = None) -> tuple[Action, ...]:
    return planned(pool, observed, setback).actions


def condition(kind: str, status: PoolStatus) -> Condition:
    found = status.condition(kind)
    assert found is not None
    return found


def test_the_finalizer_comes_before_all_else() -> None:
    first, *others = actions(BARE, make_observed())
    assert first == AddFinalizer(POOL)
    assert {type(action) for action in others} == {Adopt}, "and nothing is submitted before"
    assert AddFinalizer(POOL) not in actions(
        replace(BARE, finalizers=(THEIRS, names.FINALIZER)), make_observed()
    )


@pytest.mark.parametrize(
    "observed",
    [make_observed(API_SILENT), make_observed(Gone()), make_observed(jobs=ACCESS_POINT_SILENT)],
    ids=["cluster unseen", "no cluster", "queue unseen"],
)
def test_the_finalizer_comes_whatever_else_is_not_known(observed: Observed) -> None:
    assert actions(BARE, observed)[0] == AddFinalizer(POOL)


def test_a_pool_without_our_finalizer_that_is_being_deleted_needs_nothing() -> None:
    for others in ((), (THEIRS,)):
        assert actions(replace(ENDING, finalizers=others), make_observed()) == ()


def test_jobs_that_a_released_pool_left_are_removed_while_it_is_seen() -> None:
    (removal,) = actions(replace(ENDING, finalizers=(THEIRS,)), make_observed(jobs=[make_job("a")]))
    assert isinstance(removal, Remove)


@pytest.mark.parametrize("jobs", [[make_job("a")], ACCESS_POINT_SILENT], ids=["jobs", "silence"])
def test_a_pool_that_is_released_by_hand_goes_at_once(jobs: list[object]) -> None:
    observed = make_observed(API_SILENT, jobs)  # type: ignore[arg-type]
    released = replace(ENDING, release_without_cleanup=True)
    assert actions(released, observed)[0] == RemoveFinalizer(POOL)
    removal = Setback("no", NOW, times=9, condor=True, removal=True)
    assert actions(replace(ENDING, release_without_cleanup=True), observed, removal) == (
        RemoveFinalizer(POOL),
    )


def test_a_finalizer_that_cannot_be_taken_away_is_tried_again_in_its_time() -> None:
    waiting = planned(ENDING, make_observed(), REFUSED)
    assert waiting.actions == ()
    assert waiting.wake_at is not None
    ready = condition("Ready", waiting.statuses[POOL])
    assert (ready.reason, "cannot be taken away: no" in ready.message) == (reasons.ACTION_FAILED, True)
    assert actions(ENDING, make_observed(), replace(REFUSED, waits=False)) == (RemoveFinalizer(POOL),)
    stalled = planned(ENDING, make_observed(), replace(REFUSED, times=STALLED)).statuses[POOL]
    assert condition("Stalled", stalled).status == "True"


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ((), "Nothing of HTCDask is left of this pool."),
        ((make_job("a"),), "jobs of it that are leaving the queue: 1."),
        (ACCESS_POINT_SILENT, "jobs that may be left end with their lease."),
    ],
)
def test_a_pool_that_others_keep_says_who_and_waits_for_nothing_of_ours(jobs: object, said: str) -> None:
    kept = replace(ENDING, finalizers=(THEIRS, "b/b", "c/c", "d/d"))
    status = planned(kept, make_observed(jobs=jobs)).statuses[POOL]  # type: ignore[arg-type]
    ready = condition("Ready", status)
    assert (ready.status, ready.reason) == ("False", reasons.RELEASED)
    assert ready.message.endswith(
        f"{said} It is kept by finalizers that are not HTCDask's: {THEIRS}, b/b, c/c and 1 more."
    )
    assert condition("Stalled", status).status == "False"
    assert condition("Reconciling", status).status == (
        "True" if isinstance(jobs, tuple) and jobs else "False"
    )


GONE_WAYS = {
    "stopped": make_cluster(4, active=False, running=False, phase="Stopped"),
    "failed": make_cluster(4, active=False, running=False, phase="Failed"),
    "gone": Gone(),
    "another cluster of the same name": make_cluster(4, uid="another"),
}


@pytest.mark.parametrize("cluster", GONE_WAYS.values(), ids=GONE_WAYS)
def test_a_cluster_that_ended_loses_its_workers_then_its_anchor_and_the_pool_stays(cluster: object) -> None:
    jobs = [ANCHOR, make_job("a"), make_job("b", JobStatus.RUNNING)]
    observed = make_observed(cluster, jobs, ["b"])  # type: ignore[arg-type]
    assert removed(actions(make_pool(), observed)) == ["a.0", "b.0"]
    closing = replace(observed, jobs=(ANCHOR, make_job("b", JobStatus.REMOVED)))
    assert plan_for([make_pool()], closing, POLICY, NOW, dropped={"b": NOW - 1}).actions == ()
    assert removed(actions(make_pool(), replace(observed, jobs=(ANCHOR,)))) == ["1.0"]
    over = plan_for([make_pool()], replace(observed, jobs=()), POLICY, NOW)
    assert over.actions == ()
    active = over.statuses[POOL].condition("ClusterActive")
    assert active is not None and active.status == "False"


def test_a_deleted_pool_is_released_when_nothing_of_it_is_left() -> None:
    pool = make_pool(deleting=True)
    jobs = [ANCHOR, make_job("a", JobStatus.RUNNING)]
    assert removed(actions(pool, make_observed(FOUR, jobs, ["a"]))) == ["a.0"], "although connected"
    assert actions(pool, make_observed(FOUR, [ANCHOR, make_job("a", JobStatus.REMOVED)])) == ()
    assert removed(actions(pool, make_observed(FOUR, [ANCHOR]))) == ["1.0"]
    assert actions(pool, make_observed(FOUR)) == (RemoveFinalizer(POOL),)
    assert actions(replace(pool, finalizers=()), make_observed(FOUR)) == ()


def test_a_deleted_pool_is_cleaned_up_although_its_cluster_cannot_be_seen() -> None:
    assert removed(actions(make_pool(deleting=True), make_observed(API_SILENT, [make_job("a")]))) == ["a.0"]


def test_a_deleted_pool_whose_jobs_cannot_be_seen_waits_and_says_so() -> None:
    pool = make_pool(deleting=True)
    planned = plan_for([pool], make_observed(FOUR, ACCESS_POINT_SILENT), POLICY, NOW)
    ready = planned.statuses[POOL].condition("Ready")
    assert planned.actions == ()
    assert ready is not None and ready.reason == "CleanupBlocked"
    assert "htcdask.org/release-without-cleanup" in ready.message


def test_a_pool_released_by_hand_goes_whatever_is_left() -> None:
    pool = make_pool(deleting=True, release_without_cleanup=True)
    assert actions(pool, make_observed(FOUR, ACCESS_POINT_SILENT)) == (RemoveFinalizer(POOL),)
    assert kinds(actions(pool, make_observed(FOUR, [make_job("a")]))) == [RemoveFinalizer, Remove]
