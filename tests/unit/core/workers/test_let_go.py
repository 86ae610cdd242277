"""Workers that end within a minute: whose scheduler let them go, and whose did not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Remove, SubmitWorkers
from htcdask_operator.core.model import ClusterFacts, JobStatus
from htcdask_operator.core.plan import plan
from htcdask_operator.core.workers import ledger, let_go
from tests.builders import POOL, make_cluster, make_pool
from tests.unit.core.world import World

BURSTS = 12


def a_pool(wanted: int) -> World:
    world = World({POOL: make_pool()}, make_cluster(wanted))
    world.settle()
    world.stage()
    world.settle()
    return world


def asks_for(world: World, count: int) -> None:
    """The scheduler, by scale() or adapt()."""
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=count)


def start_idle(world: World) -> int:
    idle = [job for job in world.workers() if job.status is JobStatus.IDLE]
    for job in idle:
        world.start(job)
        world.connect(job)
    return len(idle)


def end_running(world: World) -> None:
    for job in world.workers():
        if job.status is JobStatus.RUNNING:
            world.end(job)


def burst(world: World, wanted: int, *, seen: bool) -> None:
    """Some seconds of work, then the scheduler wants nobody, and soon as many again."""
    start_idle(world)
    world.settle()
    world.now += 12
    asks_for(world, 0)
    if seen:
        world.apply(world.plan())
        world.now += 1
    end_running(world)
    asks_for(world, wanted)
    for _ in range(12):  # it changes its mind often: its number is acted on once it stands
        world.settle()
        world.now += 1


@pytest.mark.parametrize("wanted", [1, 5])
def test_who_was_let_go_has_not_failed_although_others_are_wanted_again(wanted: int) -> None:
    world = a_pool(wanted)
    for _ in range(BURSTS):
        burst(world, wanted, seen=True)
    status = world.pools[POOL].status
    assert status.recent_failures == ()
    assert (stalled := status.condition("Stalled")) is not None
    assert stalled.status == "False"
    assert len(world.submitted) == (BURSTS + 1) * wanted
    assert (known := world.memory.of(POOL).ledger) is not None
    assert known.let_go == {}  # of jobs that are out of the queue


def test_a_worker_that_ended_while_nobody_was_wanted_is_not_blamed_later() -> None:
    """Its job may stay in the queue for some cycles."""
    world = a_pool(1)
    start_idle(world)
    world.now += 12
    asks_for(world, 0)
    end_running(world)
    world.memory = world.plan().memory  # what was to be done fails
    asks_for(world, 1)
    world.settle()
    assert world.pools[POOL].status.recent_failures == ()


def test_a_moment_that_only_the_watch_has_shown_is_one() -> None:
    world = a_pool(1)
    start_idle(world)
    world.settle()
    world.now += 12
    observed = replace(world.observe(), least_asked=0)
    world.apply(plan(list(world.pools.values()), observed, world.memory, world.policy, world.now))
    end_running(world)
    world.settle()
    assert world.pools[POOL].status.recent_failures == ()


def test_without_such_a_moment_it_is_a_failure() -> None:
    world = a_pool(1)
    for _ in range(BURSTS):
        burst(world, 1, seen=False)
    failures = world.pools[POOL].status.recent_failures
    assert {failure.reason for failure in failures} == {reasons.ENDED_EARLY}
    assert len(world.submitted) < BURSTS  # ever slower


def test_another_failure_of_one_that_was_let_go_is_one() -> None:
    world = a_pool(1)
    start_idle(world)
    world.settle()
    world.now += 12
    asks_for(world, 0)
    world.apply(world.plan())
    for job in world.workers():
        world.end(job, exit_code=1)
    asks_for(world, 1)
    world.settle()
    assert [failure.reason for failure in world.pools[POOL].status.recent_failures] == ["WorkerFailed"]


def test_a_scheduler_that_changes_its_mind_does_not_get_around_the_pace() -> None:
    """20 and 0 in turns each second, and workers that end at once: ten minutes of it."""
    world = a_pool(20)
    submitted = 0
    for second in range(600):
        world.now += 1
        asks_for(world, 20 * (second % 2))
        if second % 2:
            end_running(world)
            start_idle(world)
        submitted += sum(
            len(action.names) for action in world.settle(rounds=10) if isinstance(action, SubmitWorkers)
        )
    at_no_cost = 20 * (600 / let_go.APART_SECONDS)
    assert submitted < at_no_cost + 2 * ledger.pace(20).burst


def test_what_was_said_of_an_end_stays_although_nobody_is_wanted_while_the_log_is_read() -> None:
    """A worker that brought its files stays in the queue until then."""
    world = a_pool(1)
    start_idle(world)
    world.settle()
    world.now += 12
    (job,) = world.workers()
    world.jobs[job.id] = replace(job, stage_in_finish=world.now - 30)
    world.end(world.jobs[job.id])
    planned = world.plan()
    world.apply(replace(planned, actions=()))  # its log does not come
    before = world.pools[POOL].status
    assert (before.failed, before.finished) == (1, 0)
    spent = world.memory.of(POOL).ledger
    for _ in range(3):
        world.now += 1
        asks_for(world, 0)
        planned = world.plan()
        world.apply(replace(planned, actions=()))
        assert not [action for action in planned.actions if isinstance(action, Remove)], "its log is there"
    after, known = world.pools[POOL].status, world.memory.of(POOL).ledger
    assert (after.failed, after.finished) == (1, 0)
    assert spent is not None and known is not None
    assert (known.submits, known.let_go) == (spent.submits, {}), "nothing of the pace is given back"
