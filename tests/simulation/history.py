"""One history: steps, what is promised at the end, and the story of one that breaks a promise."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from htcdask_operator.core.plan import plan
from htcdask_operator.reconcile.cycle import Planner
from tests.simulation.clock import Clock, JumpingLoop
from tests.simulation.promises import Broken
from tests.simulation.steps import NewCluster, NewPool, Step
from tests.simulation.trouble import Wait
from tests.simulation.world import World, quiet

PAUSE = 1  # seconds after each step
OPENING: tuple[Step, ...] = (NewCluster("one", 3), NewPool("one", "default", None))


def happen(steps: Sequence[Step], planner: Planner = plan) -> None:
    """Let it happen; Broken, with the story, if a promise was broken."""
    clock = Clock()
    loop = JumpingLoop(clock)
    try:
        loop.run_until_complete(_happen(clock, steps, planner))
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        loop.close()


async def _happen(clock: Clock, steps: Sequence[Step], planner: Planner) -> None:
    world = World(clock, planner)
    with quiet(world.complaints):
        await _told(world, steps)


async def _told(world: World, steps: Sequence[Step]) -> None:
    told: list[str] = []
    try:
        world.start_operator()
        for step in OPENING:
            step.happen(world)
        await world.run(9)
        for step in steps:
            told.append(str(step))
            step.happen(world)
            await world.run(step.seconds if isinstance(step, Wait) else PAUSE)
        told.append("nothing fails any more")
        await world.settle()
    except Broken as broken:
        raise Broken(story(told, str(broken))) from None


def story(told: Sequence[str], broken: str) -> str:
    """What happened, line by line, and what was promised."""
    lines = [f"{number:3}. {line}" for number, line in enumerate(told, 1)]
    return "\n".join(
        ["", "alice has a cluster with a default pool of 3 workers.", *lines, f"BROKEN: {broken}"]
    )
