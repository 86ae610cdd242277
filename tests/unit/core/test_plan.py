"""What is done, from what is seen: each case a sentence, each answer a list of actions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import timestamps
from htcdask_operator.core.actions import (
    Action,
    Adopt,
    Analyze,
    ForceRemove,
    HoldAnchor,
    ReadLogs,
    Remove,
    RemoveFinalizer,
    SubmitAnchor,
    SubmitWorkers,
    WriteLogs,
)
from htcdask_operator.core.memory import PoolMemory, Refusal
from htcdask_operator.core.model import Gone, JobStatus, Observed, PoolFacts
from htcdask_operator.core.submit import descriptions, worker_names
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    CLUSTER,
    NOW,
    POOL,
    SCHEDULER_SILENT,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
    plan_for,
)
from tests.unit.core.world import World

POLICY = make_policy()
TEMPLATE_HASH = descriptions.template_hash(make_pool(), make_cluster(), make_template(), POLICY)
ANCHOR = make_anchor(TEMPLATE_HASH)
FOUR = make_cluster(4)


def actions(pool: PoolFacts, observed: Observed) -> tuple[Action, ...]:
    return plan_for([pool], observed, POLICY, NOW).actions


def kinds(found: Sequence[Action]) -> list[type[Action]]:
    return [type(action) for action in found]


def removed(found: Sequence[Action]) -> list[str]:
    return [job for action in found if isinstance(action, Remove) for job in action.jobs]


def submitted(found: Sequence[Action]) -> int:
    return sum(len(action.names) for action in found if isinstance(action, SubmitWorkers))


# --- The anchor's road.


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


# --- Up and down.


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


# --- What ended.


def test_a_failed_worker_is_recorded_forgotten_and_its_log_asked_for() -> None:
    failed = make_job("bad", JobStatus.COMPLETED, exit_code=3)
    planned = plan_for([make_pool()], make_observed(make_cluster(1), [ANCHOR, failed]), POLICY, NOW)
    assert planned.actions == (
        Remove(POOL, ("bad.0",), "HTCDask: it is over and recorded"),
        ReadLogs(POOL, "1.0", ("bad",)),
    )
    status = planned.statuses[POOL]
    (failure,) = status.recent_failures
    assert (status.failed, failure.worker, failure.reason, failure.exit_code) == (1, "bad", "WorkerFailed", 3)
    assert planned.wake_at == NOW + 10, "the next worker comes after a pause"


def test_a_log_that_came_is_shown_and_not_asked_for_again() -> None:
    failure = Failure(time=timestamps.written(NOW - 1), worker="bad", reason="WorkerFailed")
    pool = make_pool(status=PoolStatus(recent_failures=(failure,)))
    said = "htcdask: worker bad on node ended with 1; its last lines:\n" + "x" * 2000 + "end"
    planned = plan_for([pool], make_observed(jobs=[ANCHOR]), POLICY, NOW, logs={"bad": said})
    assert planned.actions == ()
    tail = planned.statuses[POOL].recent_failures[0].log_tail
    assert tail is not None and len(tail) == 1024 and tail.endswith("end")


@pytest.mark.parametrize(
    ("came", "shown"),
    [
        ("root:x:0:0\nalice:secret\n", ""),
        ("htcdask: worker other on node ended with 1; its last lines:\nof another pool\n", ""),
        ("2026 INFO htcdask: worker bad on node ended with 1\nsecret", ""),
        ("htcdask: worker badly on node ended with 1\nsecret", ""),
        (
            "a=1\nFATAL:   exec /bin/bash failed: no such file or directory\nsecret\n",
            "FATAL:   exec /bin/bash failed",
        ),
        (
            "mktemp: not found\nhtcdask: worker bad on node ended: cannot make a folder in /tmp\n",
            "mktemp: not",
        ),
    ],
)
def test_only_what_the_worker_itself_printed_is_shown(came: str, shown: str) -> None:
    """A job can leave a link to any file of the execute node in the place of its standard output."""
    failure = Failure(time=timestamps.written(NOW - 1), worker="bad", reason="WorkerFailed")
    pool = make_pool(status=PoolStatus(recent_failures=(failure,)))
    planned = plan_for([pool], make_observed(jobs=[ANCHOR]), POLICY, NOW, logs={"bad": came})
    tail = planned.statuses[POOL].recent_failures[0].log_tail
    assert tail is not None and tail.startswith(shown) and "secret" not in tail and "another" not in tail
    assert bool(tail) == bool(shown)


def test_where_each_slot_has_a_name_in_sight_nobody_is_submitted() -> None:
    connected = {f"other{worker_names.base36(number, 3)}" for number in range(36**3)}
    planned = plan_for([make_pool()], make_observed(FOUR, [ANCHOR], connected=connected), POLICY, NOW)
    assert not [action for action in planned.actions if isinstance(action, SubmitWorkers)]


def test_a_retired_worker_is_finished_and_not_replaced() -> None:
    done = make_job("done", JobStatus.COMPLETED, exit_code=0, started_at=NOW - 100)
    planned = plan_for([make_pool()], make_observed(make_cluster(0), [ANCHOR, done]), POLICY, NOW)
    assert removed(planned.actions) == ["done.0"]
    assert (planned.statuses[POOL].finished, planned.statuses[POOL].failed) == (1, 0)


@pytest.mark.parametrize(("wanted", "failed"), [(0, 0), (1, 1)], ids=["retired", "of no use"])
def test_a_worker_that_ended_at_once_failed_only_if_it_was_wanted(wanted: int, failed: int) -> None:
    brief = make_job("brief", JobStatus.COMPLETED, exit_code=0, started_at=NOW - 7)
    planned = plan_for([make_pool()], make_observed(make_cluster(wanted), [ANCHOR, brief]), POLICY, NOW)
    assert planned.statuses[POOL].failed == failed
    assert planned.statuses[POOL].finished == 1 - failed


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


# --- The end.

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


def test_a_worker_whose_execute_node_died_is_recorded_removed_and_replaced() -> None:
    lost = make_job("lost", JobStatus.RUNNING, started_at=NOW - 900)
    observed = make_observed(make_cluster(1), [ANCHOR, lost])
    planned = plan_for([make_pool()], observed, POLICY, NOW, dropped={"lost": NOW - 120})
    assert kinds(planned.actions) == [Remove, SubmitWorkers]
    (failure,) = planned.statuses[POOL].recent_failures
    assert (failure.reason, failure.worker, failure.log_tail) == ("ContactLost", "lost", "")
    assert "is the execute node there?" in failure.message


@pytest.mark.parametrize("pool", [make_pool(), make_pool(deleting=True)], ids=["living", "deleted"])
@pytest.mark.parametrize("cluster", [make_cluster(0), Gone()], ids=["running", "gone"])
def test_a_removed_job_whose_execute_node_died_is_taken_out(pool: PoolFacts, cluster: object) -> None:
    leaving = make_job("a", JobStatus.REMOVED, status_since=NOW - 79)
    observed = make_observed(cluster, [ANCHOR, leaving])  # type: ignore[arg-type]
    planned = plan_for([pool], observed, POLICY, NOW)
    assert (planned.actions, planned.wake_at) == ((), NOW + 1)
    (action,) = plan_for([pool], observed, POLICY, NOW + 1).actions
    assert action == ForceRemove(POOL, ("a.0",), "HTCDask: its execute node does not answer")


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


def test_a_pool_is_adopted_by_its_cluster_before_anything_is_submitted() -> None:
    pool = make_pool(owner_uid=None)
    assert actions(pool, make_observed(FOUR)) == (Adopt(POOL, CLUSTER),)
    assert actions(pool, make_observed(Gone())) == (), "it waits for its cluster"


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
