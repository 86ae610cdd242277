"""Who is about to retire, who comes in its place, and who counts meanwhile."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import pytest

from htcdask_api import names
from htcdask_operator.core.actions import Analyze, Remove
from htcdask_operator.core.model import ClusterFacts, JobStatus
from htcdask_operator.core.scaling import scale_down
from htcdask_operator.core.submit import descriptions, spooled
from htcdask_operator.core.workers import lifetime, succession
from htcdask_operator.core.workers.states import State, Worker, live
from tests.builders import NOW, POOL, make_cluster, make_job, make_policy, make_pool, make_template
from tests.unit.core.workers.pairs import a_pair, a_pool, at_the_end_of, capped, next_to_retire, submitted

WORKS = 3240  # seconds, of a worker that may run for an hour


def a_worker(name: str, age: float, state: State = State.CONNECTED, **facts: object) -> Worker:
    """One that runs, waited ten seconds for its slot, and retires when it is about WORKS old."""
    defaults = {"started_at": NOW - age, "queued_at": NOW - age - 10, "lifetime": WORKS}
    return Worker(make_job(name, JobStatus.RUNNING, **(defaults | facts)), state)


def left(name: str) -> float:
    """Seconds that a worker of this name works."""
    return lifetime.of_worker(WORKS, name)


def due(*workers: Worker, given: Collection[str] = ()) -> list[str]:
    return [each.of for each in succession.due(workers, given, NOW).now]


def test_a_worker_gets_its_successor_a_minute_before_it_retires_and_is_looked_at_again_then() -> None:
    young = a_worker("a", left("a") - 61)
    assert succession.due([young], (), NOW) == succession.Due((), NOW + 1)
    old = a_worker("a", left("a") - 59)
    coming = succession.Succession("a", NOW + 59 + succession.AFTER_SECONDS)
    assert succession.due([old], (), NOW) == succession.Due((coming,), None)


@pytest.mark.parametrize(
    ("waited", "lead"), [(0, 60), (29, 60), (100, 200), (299, 598), (7200, 600)], ids=str
)
def test_where_slots_are_long_in_coming_it_comes_sooner_and_ten_minutes_before_at_the_most(
    waited: float, lead: float
) -> None:
    other = a_worker("b", 100, queued_at=NOW - 100 - waited)
    assert due(other, a_worker("a", left("a") - lead - 1)) == []
    assert due(other, a_worker("a", left("a") - lead + 1)) == ["a"]


def test_no_successor_holds_a_slot_for_more_than_a_quarter_of_a_life() -> None:
    short = a_worker("a", lifetime.of_worker(240, "a") - 61, lifetime=240)
    slow = a_worker("b", 10, queued_at=NOW - 4000, lifetime=240)
    assert due(short, slow) == []
    assert due(a_worker("a", lifetime.of_worker(240, "a") - 59, lifetime=240), slow) == ["a"]


@pytest.mark.parametrize(
    "worker",
    [
        a_worker("a", left("a") + 1),
        a_worker("a", left("a") - 1, State.DISCONNECTED),
        a_worker("a", left("a") - 1, State.NOT_ASKED),
        a_worker("a", left("a") - 1, lifetime=None),
        a_worker("a", left("a") - 1, started_at=None),
    ],
    ids=["retires already", "has left", "nobody knows", "no lifetime", "no start"],
)
def test_who_has_no_successor(worker: Worker) -> None:
    assert due(worker) == []


def test_a_tenth_of_a_pool_is_replaced_at_a_time_and_the_first_to_retire_are_the_first() -> None:
    workers = [a_worker(f"w{number}", left(f"w{number}") - 50 + number) for number in range(25)]
    assert due(*workers) == ["w24", "w23", "w22"]
    assert due(*workers, given=["w23"]) == ["w24", "w22", "w21"], "once each"
    assert due(*workers[:3]) == ["w2"]


def judged(*workers: Worker, now: float = NOW) -> dict[str, bool]:
    return {worker.job.worker: worker.succeeded for worker in succession.judged(workers, now)}


def heir(of: str, state: State, connects_at: float = NOW + 30) -> Worker:
    return a_worker("heir", 0, state, succeeds=of, connects_at=connects_at)


@pytest.mark.parametrize("state", [State.IDLE, State.SUBMITTING, State.HELD, State.STARTING])
def test_a_worker_whose_successor_is_there_is_not_counted(state: State) -> None:
    old, new = a_worker("a", left("a") - 30), heir("a", state)
    assert judged(old, new) == {"a": True, "heir": False}
    assert live(succession.judged([old, new], NOW)) == 1


@pytest.mark.parametrize("state", [State.REMOVED, State.FINISHED, State.FAILED])
def test_it_counts_again_when_its_successor_has_ended(state: State) -> None:
    assert judged(a_worker("a", left("a") - 30), heir("a", state))["a"] is False


def test_who_does_not_retire_in_time_counts_again_once_its_successor_runs() -> None:
    old = a_worker("a", left("a") + 70)
    assert judged(old, heir("a", State.STARTING, NOW - 65))["a"] is False
    assert judged(old, heir("a", State.STARTING, NOW - 55))["a"] is True, "it has begun to connect just now"
    assert judged(old, heir("a", State.IDLE, NOW - 65))["a"] is True


# --- as a pool


def test_the_successor_is_submitted_once_and_says_in_whose_place_and_when_it_comes() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    assert at_the_end_of(world, job, 61) == []
    (action,) = at_the_end_of(world, job, 59)
    retires = succession.retires_at(job)
    assert retires is not None
    assert len(action.names) == 1
    said = action.description
    assert said[f"My.{names.AD_SUCCEEDS}"] == f'"{job.worker}"'
    assert float(said[f"My.{names.AD_CONNECTS_AT}"]) == pytest.approx(retires + 30, abs=1)
    assert said["arguments"] == f'"-p -s $(wname) {said[f"My.{names.AD_CONNECTS_AT}"]}"'
    assert submitted(world.settle()) == []
    status = world.pools[POOL].status
    assert (status.replicas, status.connected, status.retiring, status.idle) == (2, 2, 1, 1)
    ready = status.condition("Ready")
    assert ready is not None
    assert ready.status == "True"


def test_while_it_waits_in_its_slot_it_is_not_late_and_afterwards_the_pool_has_all() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    at_the_end_of(world, job, 59)
    (new,) = [each for each in world.workers() if each.status is JobStatus.IDLE]
    world.start(new)
    assert world.settle() == []
    world.now += 59
    world.end(job)
    world.settle()
    world.connect(world.jobs[new.id])
    assert submitted(world.settle()) == []
    status = world.pools[POOL].status
    assert (status.replicas, status.connected, status.finished) == (2, 2, 1)


def test_a_site_s_limit_holds_for_successors_too() -> None:
    world = a_pool(2, max_replicas_per_user=2)
    assert at_the_end_of(world, next_to_retire(world), 30) == []


def test_a_pool_that_lacks_workers_gets_those_first() -> None:
    world = a_pool(3)
    job = next_to_retire(world)
    world.now += 3000
    world.end(next(each for each in world.workers() if each.id != job.id))
    missing, successor = at_the_end_of(world, job, 59)
    assert f"My.{names.AD_SUCCEEDS}" not in missing.description
    assert f"My.{names.AD_SUCCEEDS}" in successor.description


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
def test_a_successor_that_brings_its_files_is_told_when_it_comes_too(delivery: str) -> None:
    policy = make_policy(delivery=delivery)
    successor = succession.Succession("a", NOW + 30)
    pool, template = make_pool(), make_template()
    described = descriptions.workers(
        pool, make_cluster(), template, "hash", "", policy, NOW, succession=successor
    )
    assert spooled.described(described)["arguments"] == f'"-p bundle.sh $(wname) {NOW + 30:.0f}"'


@pytest.mark.parametrize("limit", ["the pool's", "the site's for one pool"])
def test_a_pool_s_own_limit_holds_for_successors_too(limit: str) -> None:
    world = a_pool(2, **({"max_replicas_per_pool": 2} if limit != "the pool's" else {}))
    if limit == "the pool's":
        spec = world.pools[POOL].spec.model_copy(update={"max_replicas": 2})
        world.pools[POOL] = replace(world.pools[POOL], spec=spec)
    assert at_the_end_of(world, next_to_retire(world), 30) == []


def test_no_pool_s_successor_comes_before_another_pool_s_worker() -> None:
    world = a_pool(2)
    young = make_pool("young", scaling="Manual", replicas=1, created_at=NOW)
    world.pools["young"] = young
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=3)
    job = next_to_retire(world)
    retires = succession.retires_at(job)
    assert retires is not None
    world.now = retires - 59
    first = submitted(list(world.plan().actions))
    assert all(not action.succeeds for action in first)


def test_who_got_a_successor_gets_no_other_one() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    (action,) = at_the_end_of(world, job, 59)
    (new,) = [each for each in world.workers() if each.worker in action.names]
    world.start(new)
    world.now += 10
    world.end(world.jobs[new.id])  # the scheduler had one too many
    assert submitted(world.settle()) == []
    assert world.pools[POOL].status.failed == 0


def test_nobody_is_too_many_while_a_successor_waits_and_the_scheduler_is_silent() -> None:
    world = a_pool(2, drain_seconds=0.0)
    at_the_end_of(world, next_to_retire(world), 59)
    (new,) = [each for each in world.workers() if each.status is JobStatus.IDLE]
    world.start(new)
    world.scheduler_answers = False
    assert world.settle() == []
    world.now += 30
    assert world.settle() == []


def test_nobody_is_told_to_wait_for_a_successor() -> None:
    world = a_pool(2)
    at_the_end_of(world, next_to_retire(world), 59)
    world.now += 40
    assert not [action for action in world.settle() if isinstance(action, Analyze)]
    assert world.pools[POOL].status.explanation == ()


def test_one_worker_fewer_takes_no_successor_away() -> None:
    world = a_pool(40)
    first = sorted(world.workers(), key=lambda job: succession.retires_at(job) or 0)[:4]
    retires = succession.retires_at(first[3])
    assert retires is not None
    world.now = retires - 30
    world.settle(12)
    heirs = {job.id for job in world.workers() if job.succeeds}
    assert len(heirs) == 4
    for heir in heirs:
        world.start(world.jobs[heir])
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=39)
    for _ in range(8):
        assert world.settle() == []
        world.now += 1
    assert {job.id for job in world.workers() if job.succeeds} == heirs


def test_they_go_when_nobody_is_wanted_and_their_predecessors_have_gone() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    at_the_end_of(world, job, 59)
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=0)
    for each in world.workers():
        if each.status is JobStatus.RUNNING:
            world.end(each)  # the scheduler has retired them
    for _ in range(15):
        world.settle()
        world.processes_end()
        world.now += 1
    assert world.workers() == []


@pytest.mark.parametrize("scheduler_answers", [True, False])
def test_whose_predecessor_has_gone_keeps_its_slot_and_another_one_comes_at_once(
    scheduler_answers: bool,
) -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    at_the_end_of(world, job, 59)
    (heir,) = [each for each in world.workers() if each.succeeds]
    world.start(heir)
    world.vacate(job)
    world.scheduler_answers = scheduler_answers
    came = []
    for _ in range(15):
        came += submitted(world.settle())
        world.now += 1
    assert len(came) == (1 if scheduler_answers else 0)
    assert heir.id in world.jobs
    assert world.jobs[heir.id].status is JobStatus.RUNNING
    assert world.pools[POOL].status.replicas == (2 if scheduler_answers else 1)


def test_a_worker_that_lacks_for_a_limit_is_not_said_to_wait_for_the_scheduler() -> None:
    world = a_pool(2, max_replicas_per_user=3)
    at_the_end_of(world, next_to_retire(world), 59)
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=3)
    for _ in range(6):
        world.settle()
        world.now += 1
    ready = world.pools[POOL].status.condition("Ready")
    assert ready is not None
    assert ready.reason == "WaitingForWorkers"


@pytest.mark.parametrize("limit", ["max_replicas_per_pool", "max_replicas_per_user", "max_replicas"])
def test_where_a_limit_has_no_room_for_both_a_successor_gives_way_to_a_worker_that_is_missing(
    limit: str,
) -> None:
    world, _, new = a_pair(2, **{limit: 3})
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=3)
    came = []
    for _ in range(3):
        came += submitted(world.settle())
        world.now += 1
    assert [action.succeeds for action in came] == [""]
    assert new.id not in world.jobs
    assert len(world.workers()) == 3


def test_a_worker_that_a_person_holds_stays_though_it_has_a_successor() -> None:
    world, job, new = a_pair(3)
    world.hold(world.jobs[job.id], 1)
    for _ in range(90):
        assert all(action.succeeds for action in submitted(world.settle()))
        world.now += 1
    assert {job.id, new.id} <= world.jobs.keys()


def test_a_pair_has_as_much_time_to_finish_as_others_when_fewer_are_wanted() -> None:
    world, job, new = a_pair(1, drain_seconds=60.0)
    world.busy.add(job.worker)
    capped(world, 0)
    world.settle()
    assert new.id not in world.jobs, "nobody is wanted"
    world.now += 59
    assert world.settle() == []
    world.now += 1
    (gone,) = world.settle()
    assert isinstance(gone, Remove)
    assert gone.jobs == (job.id,)


def test_a_pair_counts_as_one_of_those_that_have_had_their_time() -> None:
    world = a_pool(40, drain_seconds=60.0)
    first = sorted(world.workers(), key=lambda job: succession.retires_at(job) or 0)
    retires = succession.retires_at(first[3])
    assert retires is not None
    world.now = retires - 50
    world.settle(12)
    world.busy.update(job.worker for job in world.workers())
    capped(world, 36)
    for _ in range(14):
        world.settle(12)
        world.processes_end()
        world.now += 5
    assert sum(job.status is JobStatus.RUNNING for job in world.workers()) == 36


def test_it_is_looked_again_when_time_alone_makes_another_one_of_a_pair_count() -> None:
    world, job, new = a_pair(2)
    world.start(new)
    world.settle()
    world.now = (new.connects_at or 0.0) + 2
    world.connect(world.jobs[new.id])
    world.settle()
    late = max(succession.retires_at(job) or 0.0, new.connects_at or 0.0) + succession.GRACE_SECONDS
    wake = world.plan().wake_at
    assert wake is not None
    assert wake <= late


def test_a_successor_that_could_not_be_asked_for_is_asked_for_again() -> None:
    world = a_pool(2)
    job = next_to_retire(world)
    retires = succession.retires_at(job)
    assert retires is not None
    world.now = retires - 55
    planned = world.plan()
    assert [action.succeeds for action in submitted(list(planned.actions))] == [job.worker]
    world.memory = planned.memory  # and the access point was silent
    world.now += succession.ASKED_SECONDS - 1
    assert job.worker not in [action.succeeds for action in submitted(world.settle())]
    world.now += 2
    assert job.worker in [action.succeeds for action in submitted(world.settle())]


def test_of_two_successors_of_one_worker_the_second_counts_for_nothing() -> None:
    old, first = a_worker("a", left("a") - 30), heir("a", State.STARTING)
    second = Worker(replace(first.job, worker="second", id="9.9"), State.STARTING)
    for now in (NOW, NOW + 40):
        found = succession.judged([old, first, second], now)
        assert [(each.succeeded, each.early) for each in found] == [
            (True, False),
            (False, False),
            (False, True),
        ]
        assert live(found) == 1


def test_who_waits_for_a_predecessor_that_has_failed_is_not_the_one_on_trial() -> None:
    world, job, new = a_pair(1)
    world.start(new)
    world.end(job, exit_code=1)
    came = []
    for _ in range(20):
        came += submitted(world.settle())
        world.now += 1
    assert [action.succeeds for action in came] == [""], "after the usual pause, and not at the other's turn"


def test_whom_the_scheduler_has_dropped_costs_no_successor_its_place() -> None:
    workers = [
        a_worker("old", left("old") + 200, State.DISCONNECTED),
        a_worker("other", 100),
        a_worker("heir", 0, State.STARTING, succeeds="old", connects_at=NOW - 100),
    ]
    found = succession.judged(workers, NOW)
    assert live(found) == 3
    assert scale_down.surplus(found, 2, (), scheduler_knows=True).go == ()
    (gone,) = scale_down.surplus(found, 1, (), scheduler_knows=True).go
    assert gone.job.worker == "heir"
