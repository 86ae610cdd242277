"""A worker and its successor, where one of them is stopped, limits are near, or only time passes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core.actions import Analyze, Remove
from htcdask_operator.core.model import Job, JobId, JobStatus, Observed, Unnamed
from htcdask_operator.core.token_bucket import Spent
from htcdask_operator.core.workers import states, succession
from tests.builders import NOW, POOL, make_pool, make_template
from tests.unit.core.workers.pairs import (
    a_pair,
    a_pool,
    at_the_end_of,
    next_to_retire,
    submitted,
    wanted,
)
from tests.unit.core.world import World


def stop(world: World, job: Job, how: str) -> None:
    if how == "held":
        world.hold(world.jobs[job.id], 1)
    else:
        world.change(world.jobs[job.id], JobStatus.SUSPENDED)


def removed(world: World) -> list[JobId]:
    return [job for action in world.settle() if isinstance(action, Remove) for job in action.jobs]


stopped = pytest.mark.parametrize("how", ["held", "suspended"])


@stopped
def test_a_stopped_worker_is_half_of_a_pair_only_until_its_successors_turn(how: str) -> None:
    world, job, new = a_pair(3)
    stop(world, job, how)
    world.settle()
    assert new.connects_at is not None
    world.now = new.connects_at - succession.TURN_SECONDS + 1
    world.start(new)
    world.now = new.connects_at + 1
    world.connect(world.jobs[new.id])
    world.settle()
    status = world.pools[POOL].status
    assert (status.replicas, status.connected) == (3, 3)
    rest = [each for each in world.workers() if each.id not in (job.id, new.id) and each.started_at]
    other = min(rest, key=lambda each: succession.retires_at(each) or 0)
    world.now = max(world.now, (succession.retires_at(other) or 0) - 30)
    world.settle()
    assert other.worker in {each.succeeds for each in world.workers()}, "its share is free"


def test_no_connected_worker_goes_while_a_held_one_and_its_waiting_successor_are_there() -> None:
    world, job, _ = a_pair(5)
    stop(world, job, "held")
    world.settle()
    world.now += 1
    connected = {each.id for each in world.workers() if each.worker in world.connected}
    wanted(world, 4)
    gone = []
    for _ in range(10):
        gone += removed(world)
        world.now += 1
    assert not connected & set(gone)


@pytest.mark.parametrize("starts", [False, True])
def test_nor_while_an_idle_successor_whose_turn_has_come_is_there(starts: bool) -> None:
    world, job, new = a_pair(3)
    assert new.connects_at is not None
    world.now = new.connects_at - succession.TURN_SECONDS + 1
    if starts:
        world.start(new)
    world.settle()
    # The cluster's number stays, so the scheduler retires nobody for it.
    world.pools["other"] = make_pool("other", scaling="Manual", replicas=1, created_at=NOW)
    gone = removed(world)
    while world.now < new.connects_at:
        if job.id in world.jobs and world.now >= (succession.retires_at(job) or 0):
            world.connected.discard(job.worker)
            world.end(world.jobs[job.id])
        world.stage()
        world.now += 1
        gone += removed(world)
    assert gone == [job.id, new.id], "the first had ended by itself"


def test_an_idle_successor_whose_turn_has_come_goes_at_once_where_nobody_is_wanted() -> None:
    world, _, new = a_pair(2)
    assert new.connects_at is not None
    world.now = new.connects_at - succession.TURN_SECONDS + 1
    world.settle()
    wanted(world, 0)
    gone = removed(world)
    while world.now < new.connects_at and new.id not in gone:
        world.now += 1
        gone += removed(world)
    assert new.connects_at - world.now > succession.TURN_SECONDS - 5


def test_a_suspended_successor_counts_from_its_turn_as_well() -> None:
    world, job, new = a_pair(3)
    world.start(new)
    world.change(world.jobs[new.id], JobStatus.SUSPENDED)
    world.settle()
    status = world.pools[POOL].status
    assert (status.replicas, status.connected) == (3, 3)
    world.connected.discard(job.worker)
    world.end(world.jobs[job.id], exit_code=1)  # long before its time
    world.settle()
    world.now += 15
    world.settle()
    assert sum(not each.succeeds for each in world.workers()) == 3, "one comes in its place"


def test_a_second_successor_of_the_same_worker_goes() -> None:
    world, _, new = a_pair(2)
    lost = replace(new, id="999.0", worker=f"{new.worker}-again", queued_at=new.queued_at + 1)
    world.jobs[lost.id] = lost  # of a submit whose answer was lost
    world.now += 1
    assert removed(world) == [lost.id]
    assert new.id in world.jobs


@stopped
def test_it_leaves_where_a_limit_has_no_room_for_a_worker_that_is_missing(how: str) -> None:
    world, job, new = a_pair(2, max_replicas_per_user=3)
    stop(world, job, how)
    world.start(new)
    assert new.connects_at is not None
    world.now = new.connects_at + 1
    world.connect(world.jobs[new.id])
    world.settle()
    wanted(world, 3)
    for _ in range(60):
        world.now += 2
        world.settle()
        world.processes_end()
    status = world.pools[POOL].status
    assert (status.replicas, status.desired_replicas) == (3, 3)
    assert job.id not in world.jobs


def test_the_successor_of_one_that_is_stopped_is_analyzed_when_it_waits() -> None:
    world, job, _ = a_pair(1)
    stop(world, job, "suspended")
    asked = []
    for _ in range(40):
        world.now += 30
        asked += [action for action in world.settle() if isinstance(action, Analyze)]
    assert asked


def test_a_successor_whose_turn_has_come_does_not_give_way() -> None:
    world, job, new = a_pair(2, max_replicas_per_user=3)
    world.start(new)
    assert new.connects_at is not None
    world.now = new.connects_at + 1
    world.settle()
    world.connected.discard(job.worker)  # it has retired, and its process is about to end
    wanted(world, 3)
    world.now += 1
    assert new.id not in removed(world)


class NamesNobody(World):
    """The scheduler answers, and has no page that names its workers."""

    def observe(self) -> Observed:
        return replace(super().observe(), connected=Unnamed(), busy=frozenset())


def test_nor_where_the_scheduler_names_nobody() -> None:
    pair, _, new = a_pair(2, max_replicas_per_user=3)
    world = NamesNobody(**vars(pair))
    world.start(new)
    assert new.connects_at is not None
    world.now = new.connects_at + 20
    world.settle()
    wanted(world, 3)
    world.now += 1
    assert new.id not in removed(world)


def test_a_held_successor_does_not_give_way() -> None:
    world, _, new = a_pair(2, max_replicas_per_user=3)
    world.hold(world.jobs[new.id], 1)
    wanted(world, 3)
    world.now += 1
    assert new.id not in removed(world)


def test_an_idle_one_that_is_too_many_goes_though_a_predecessor_was_dropped() -> None:
    world, job, new = a_pair(2)
    world.start(new)
    wanted(world, 3)
    world.settle()
    (idle,) = [each for each in world.workers() if each.status is JobStatus.IDLE]
    world.now = (succession.retires_at(job) or 0) + 2
    world.settle()
    world.connected.discard(job.worker)
    world.settle()
    wanted(world, 2)
    world.now += 1
    assert idle.id in removed(world)


def test_a_pool_that_is_refused_hinders_no_successor_of_another() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    world.pools["bad"] = make_pool(
        "bad", scaling="Manual", replicas=1, created_at=NOW, template=make_template(profile="gone")
    )
    world.settle()
    (action,) = at_the_end_of(world, job, 40)
    assert action.succeeds == job.worker


def of_pool(world: World, pool: str) -> list[Job]:
    return [job for job in world.workers() if job.pool_uid == pool]


def two_pools(here: int, there: int) -> tuple[World, Job]:
    """So many workers that follow the gateway, and of a Manual pool; and that one's first to retire."""
    world = a_pool(here)
    world.pools["other"] = make_pool(
        "other",
        scaling="Manual",
        replicas=there,
        created_at=NOW,
        template=make_template(max_runtime_seconds=3600),
    )
    wanted(world, here + there)
    world.settle()
    world.stage()
    world.settle()
    for job in of_pool(world, "other"):
        world.start(job)
        world.connect(job)
    world.settle()
    return world, min(of_pool(world, "other"), key=lambda job: succession.retires_at(job) or 0)


def test_nobody_gets_a_successor_while_another_pool_of_the_cluster_has_too_many() -> None:
    world, job = two_pools(2, 2)
    mine = of_pool(world, POOL)
    for each in mine:  # none of them retires before
        world.jobs[each.id] = replace(world.jobs[each.id], lifetime=None)
    wanted(world, 2)
    assert at_the_end_of(world, job, 55) == []
    for each in mine:  # the scheduler has let them go
        world.end(world.jobs[each.id], exit_code=0)
        world.connected.discard(each.worker)
    world.now += 5
    assert [action.succeeds for action in submitted(world.settle())] == [job.worker]


def test_a_pool_alone_is_not_told_that_others_leave_first() -> None:
    world = a_pool(8)
    for count in (9, 8, 9, 8, 9, 8):
        world.now += 1
        wanted(world, count)
        world.settle()
    world.now += 1
    wanted(world, 4)
    world.vacate(next(job for job in world.workers() if job.status is JobStatus.RUNNING))
    world.settle()
    assert "OthersLeaveFirst" not in {each.reason for each in world.pools[POOL].status.explanation}


def test_what_a_limit_holds_back_for_a_pair_is_said() -> None:
    world, _, new = a_pair(2, max_replicas_per_user=3)
    world.start(new)
    assert new.connects_at is not None
    world.now = new.connects_at + 2
    world.connect(world.jobs[new.id])
    world.settle()
    wanted(world, 3)
    world.now += 1
    world.settle()
    (explanation,) = world.pools[POOL].status.explanation
    assert (explanation.reason, explanation.count) == ("Capped", 1)
    assert "about to retire" in explanation.message


def test_somebody_looks_when_a_pause_is_over_and_a_successor_is_due() -> None:
    world, job, new = a_pair(2)
    (other,) = [each for each in world.workers() if each.id not in (job.id, new.id)]
    late = (succession.retires_at(other) or 0) - world.now - 70
    world.jobs[other.id] = replace(other, started_at=(other.started_at or 0) - late)
    world.start(new)
    world.now += 2
    world.end(world.jobs[new.id], exit_code=1)
    world.settle()
    planned = world.plan()
    world.now += 25
    assert [action.succeeds for action in submitted(list(world.plan().actions))] == [other.worker]
    assert planned.wake_at is not None
    assert planned.wake_at <= world.now


def test_the_next_worker_is_on_trial_where_none_is_there() -> None:
    world = a_pool(1)
    (job,) = world.workers()
    world.now += 1
    world.end(world.jobs[job.id], exit_code=1)
    world.settle()
    world.now += 12  # the pause is over, and no submit is left of the pace
    known = world.memory.pools[POOL]
    assert known.ledger is not None
    spent = replace(known.ledger, submits=Spent(20.0, world.now))
    world.memory = replace(world.memory, pools={POOL: replace(known, ledger=spent)})
    world.settle()
    ready = world.pools[POOL].status.condition("Ready")
    assert ready is not None
    assert (ready.reason, ready.message.split(".")[0]) == ("BackingOff", "The next worker is on trial")


def test_that_a_successor_waits_for_its_turn_on_purpose_is_said_as_long_as_it_does() -> None:
    world, old, new = a_pair(2)
    connects_at = new.connects_at or 0.0
    world.start(new)

    def told() -> list[str]:
        world.settle()
        return [why.reason for why in world.pools[POOL].status.explanation]

    world.now = connects_at - succession.TURN_SECONDS - 1
    assert told() == [], "nobody misses it yet"
    world.end(old)
    world.now = connects_at - 29
    assert told() == ["TakingOver"]
    assert (world.plan().wake_at or 0.0) <= connects_at
    world.now = connects_at
    assert told() == []
    world.now = connects_at + states.SLOW_SECONDS
    assert told() == ["Starting"]


def test_who_waits_for_its_turn_and_who_retires_are_not_said_to_start() -> None:
    world, job, new = a_pair(2)
    (other,) = [each for each in world.workers() if each.id not in (job.id, new.id)]
    world.start(new)
    world.connected.remove(other.worker)
    world.settle()
    ready = world.pools[POOL].status.condition("Ready")
    assert ready is not None
    assert ready.message == "1 of 2 workers are connected; 0 idle, 1 starting, 0 held."
