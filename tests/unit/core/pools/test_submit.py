"""How many workers are submitted now, and in whose place."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.actions import Remove, SubmitWorkers
from htcdask_operator.core.memory import PoolMemory, Refusal
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.submit import worker_names
from tests.builders import NOW, POOL, make_cluster, make_job, make_memory, make_observed, make_pool, plan_for
from tests.unit.core.planned import ANCHOR, FOUR, POLICY, actions, kinds, submitted


def test_as_many_workers_as_wanted_are_submitted_at_once() -> None:
    (action,) = actions(make_pool(), make_observed(FOUR, [ANCHOR]))
    assert isinstance(action, SubmitWorkers)
    assert len(set(action.names)) == 4
    assert action.description["input"] == "/spool/1/bundle.sh"


def test_live_workers_count() -> None:
    jobs = [
        ANCHOR,
        make_job("idle"),
        make_job("starting", JobStatus.RUNNING),
        make_job("paused", JobStatus.HELD, hold_code=1),
    ]
    assert submitted(actions(make_pool(), make_observed(FOUR, jobs))) == 1


def test_ended_and_removed_workers_do_not_count() -> None:
    jobs = [ANCHOR, make_job("done", JobStatus.COMPLETED, exit_code=0), make_job("gone", JobStatus.REMOVED)]
    started = [replace(job, started_at=NOW - 100) for job in jobs]
    assert submitted(actions(make_pool(), make_observed(FOUR, started))) == 4


def test_where_each_slot_has_a_name_in_sight_nobody_is_submitted() -> None:
    connected = {f"other{worker_names.base36(number, 3)}" for number in range(36**3)}
    planned = plan_for([make_pool()], make_observed(FOUR, [ANCHOR], connected=connected), POLICY, NOW)
    assert not [action for action in planned.actions if isinstance(action, SubmitWorkers)]


EVICTED = {"shadow_starts": 1, "vacate_code": 1022, "vacate_reason": "preempted"}


def test_an_evicted_worker_is_replaced_at_once_under_a_new_name() -> None:
    old = make_job("old", JobStatus.IDLE, started_at=NOW - 500, **EVICTED)
    found = actions(make_pool(), make_observed(make_cluster(1), [ANCHOR, old]))
    assert kinds(found) == [Remove, SubmitWorkers], "HTCondor brings no log of it"
    assert "old" not in next(action.names for action in found if isinstance(action, SubmitWorkers))


def test_a_worker_that_is_evicted_at_once_is_replaced_after_a_pause() -> None:
    old = make_job("old", JobStatus.IDLE, started_at=NOW - 30, **EVICTED)
    planned = plan_for([make_pool()], make_observed(make_cluster(1), [ANCHOR, old]), POLICY, NOW)
    assert kinds(planned.actions) == [Remove]
    (failure,) = planned.statuses[POOL].recent_failures
    assert (failure.reason, planned.wake_at) == ("EvictedEarly", NOW + 10)


def test_a_job_held_by_a_person_is_left_to_them() -> None:
    paused = make_job("mine", JobStatus.HELD, hold_code=1, hold_reason="looking at it")
    planned = plan_for([make_pool()], make_observed(make_cluster(1), [ANCHOR, paused]), POLICY, NOW)
    assert planned.actions == ()
    assert [why.reason for why in planned.statuses[POOL].explanation] == ["HeldByUser"]


def test_a_refused_submit_is_tried_again_after_a_pause() -> None:
    refused = {POOL: PoolMemory(refusal=Refusal("no such account.", NOW - 5, times=2))}
    observed = make_observed(FOUR, [ANCHOR])
    planned = plan_for([make_pool()], observed, POLICY, NOW, make_memory(FOUR, pools=refused))
    assert (planned.actions, planned.wake_at) == ((), NOW + 15)
    assert submitted(plan_for([make_pool()], observed, POLICY, NOW + 15, planned.memory).actions) == 4
