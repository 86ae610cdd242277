"""Our finalizer comes at first sight and goes last of all; what keeps a pool then is not ours to report."""

from dataclasses import replace

import pytest

from htcdask_api import Condition, PoolStatus, names
from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Action, AddFinalizer, Adopt, Remove, RemoveFinalizer
from htcdask_operator.core.memory import ClusterMemory, PoolMemory
from htcdask_operator.core.model import Gone, Observed, PoolFacts
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.setback import STALLED, Setback
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    NOW,
    POOL,
    make_job,
    make_observed,
    make_policy,
    make_pool,
)

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
