"""Pools whose workers have successors, for the tests of those."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.actions import Action, SubmitWorkers
from htcdask_operator.core.model import ClusterFacts, Job
from htcdask_operator.core.workers import succession
from tests.builders import POOL, make_cluster, make_policy, make_pool, make_template
from tests.unit.core.world import World


def a_pool(count: int, **policy: object) -> World:
    """A pool of so many connected workers that may run for an hour."""
    pool = make_pool(template=make_template(max_runtime_seconds=3600))
    world = World({POOL: pool}, make_cluster(count), make_policy(**policy))
    world.settle()
    world.stage()
    world.settle()
    for job in world.workers():
        world.start(job)
        world.connect(job)
    world.settle()
    return world


def next_to_retire(world: World) -> Job:
    return min(world.workers(), key=lambda job: succession.retires_at(job) or 0)


def submitted(actions: list[Action]) -> list[SubmitWorkers]:
    return [action for action in actions if isinstance(action, SubmitWorkers)]


def at_the_end_of(world: World, job: Job, seconds: float) -> list[SubmitWorkers]:
    retires = succession.retires_at(job)
    assert retires is not None
    world.now = retires - seconds
    return submitted(world.settle())


def a_pair(count: int, **policy: object) -> tuple[World, Job, Job]:
    """A pool, its worker that is about to retire, and that one's successor, which waits for a slot."""
    world = a_pool(count, **policy)
    job = next_to_retire(world)
    at_the_end_of(world, job, 59)
    (new,) = [each for each in world.workers() if each.succeeds]
    return world, job, new


def capped(world: World, most: int) -> None:
    spec = world.pools[POOL].spec.model_copy(update={"max_replicas": most})
    world.pools[POOL] = replace(world.pools[POOL], spec=spec)


def wanted(world: World, count: int) -> None:
    """The scheduler asks for so many."""
    assert isinstance(world.cluster, ClusterFacts)
    world.cluster = replace(world.cluster, replicas=count)
