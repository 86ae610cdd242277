"""What an anchor shows of the next worker's size, and what follows where its files are gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core.actions import Remove
from htcdask_operator.core.model import JobStatus, Role
from htcdask_operator.core.size import NOTHING, ONE, Kind, of_worker
from htcdask_operator.core.submit.anchor import shown_request
from tests.builders import NOW, POOL, make_anchor, make_cluster, make_pool
from tests.unit.core.world import World


def never() -> str | None:
    raise AssertionError("one template's anchors need no hash")


def test_the_newest_anchor_shows_what_a_transform_made_of_it() -> None:
    old = replace(make_anchor("now"), id="1.0", queued_at=NOW - 50, request_memory_mib=1000)
    new = replace(make_anchor("now"), id="2.0", queued_at=NOW - 10, request_memory_mib=3000)
    assert shown_request([new, old], ONE, never)[Kind.MEMORY] == 3000
    assert shown_request([], ONE, never) == NOTHING


def test_an_anchor_of_another_template_says_nothing_beside_one_of_this() -> None:
    ours = replace(make_anchor("now"), id="1.0", queued_at=NOW - 50, request_memory_mib=1000)
    other = replace(make_anchor("before"), id="2.0", queued_at=NOW - 10, request_memory_mib=6000)
    assert shown_request([ours, other], ONE, lambda: "now")[Kind.MEMORY] == 1000
    assert shown_request([ours, other], ONE, lambda: None) == NOTHING


def test_the_hash_is_not_asked_where_nobody_requests_more_than_the_template() -> None:
    jobs = [make_anchor("now", request_memory_mib=1000), make_anchor("before", request_memory_mib=2000)]
    assert shown_request(jobs, of_worker(1, 2000, None), never) == NOTHING


def test_where_a_worker_does_not_find_its_files_another_anchor_comes_and_the_others_wait_for_that_one() -> (
    None
):
    world = World({POOL: make_pool()}, make_cluster(3))
    world.settle()
    world.stage()
    world.settle()
    works, fails, idle = world.workers()
    (before,) = [job for job in world.jobs.values() if job.role is Role.ANCHOR]
    world.start(works)
    world.connect(works)
    world.start(fails)
    world.now += 5
    world.hold(world.jobs[fails.id], 10)
    removed = [job for action in world.settle() if isinstance(action, Remove) for job in action.jobs]
    assert {fails.id, idle.id} == set(removed)
    (new,) = [job for job in world.jobs.values() if job.role is Role.ANCHOR and job.id != before.id]
    assert before.id in world.jobs, "what it printed may still be brought there"
    world.now += 20
    world.stage()
    world.settle()
    others = [job for job in world.workers() if job.status is JobStatus.IDLE]
    assert {job.anchor for job in others} == {new.id}
    world.end(world.jobs[works.id])
    world.settle()
    assert before.id not in world.jobs


def test_one_that_comes_after_that_and_is_no_better_stalls_the_pool() -> None:
    world = World({POOL: make_pool()}, make_cluster(1))
    for _ in range(2):
        world.now += 20
        world.settle()
        world.stage()
        world.settle()
        (worker,) = world.workers()
        world.start(worker)
        world.now += 2
        world.hold(world.jobs[worker.id], 10)
        world.settle()
    world.stage()
    world.settle()
    stalled = world.pools[POOL].status.condition("Stalled")
    assert stalled is not None and (stalled.status, stalled.reason) == ("True", "AccessPointFiles")
    for _ in range(500):
        world.now += 1
        world.settle()
        world.stage()
    assert sum(job.role is Role.ANCHOR for job in world.jobs.values()) == 1


@pytest.mark.parametrize("end", ["held", "vacated", "waits"])
def test_an_anchor_without_files_goes_after_all_its_workers_have_left_the_queue(end: str) -> None:
    world = World({POOL: make_pool()}, make_cluster(2))
    world.settle()
    world.stage()
    world.settle()
    fails, other = world.workers()
    (before,) = [job for job in world.jobs.values() if job.role is Role.ANCHOR]
    if end != "waits":
        world.start(other)
    world.start(fails)
    world.now += 5
    world.hold(world.jobs[fails.id], 13)
    if end == "held":
        world.hold(world.jobs[other.id], 13)
    elif end == "vacated":
        world.vacate(world.jobs[other.id])
    removed = [action.jobs for action in world.settle() if isinstance(action, Remove)]
    order = [job for jobs in removed for job in jobs]
    assert set(order[:-1]) == {fails.id, other.id}
    assert order[-1] == before.id
