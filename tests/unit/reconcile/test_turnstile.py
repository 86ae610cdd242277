"""Who asks the API server for its pools first, when all clusters wake at once."""

import asyncio

import pytest

from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.turnstile import Turnstile


def ended(number: int) -> ClusterKey:
    return ClusterKey("gateway", f"ended-{number}")


LIVE = ClusterKey("gateway", "live")


class Clusters:
    """Each takes a moment, and is noted when its turn comes."""

    def __init__(self) -> None:
        self.turns: list[ClusterKey] = []
        self.inside = self.most = 0
        self.turnstile = Turnstile(lambda key: key != LIVE)

    async def take(self, key: ClusterKey) -> None:
        async with self.turnstile.turn(key):
            self.turns.append(key)
            self.inside += 1
            self.most = max(self.most, self.inside)
            await asyncio.sleep(0)
            self.inside -= 1


async def test_a_cluster_that_works_does_not_wait_for_those_that_have_ended() -> None:
    clusters = Clusters()
    await asyncio.gather(*(clusters.take(ended(number)) for number in range(100)), clusters.take(LIVE))
    assert clusters.turns.index(LIVE) <= 5
    assert len(clusters.turns) == 101
    assert clusters.most == 4


async def test_those_that_have_ended_come_too_whatever_works() -> None:
    clusters = Clusters()
    await asyncio.gather(*(clusters.take(LIVE) for _ in range(100)), clusters.take(ended(0)))
    assert len(clusters.turns) == 101  # and in its turn, if others keep coming:
    clusters = Clusters()
    keys = [LIVE] * 10 + [ended(1)] + [LIVE] * 400
    await asyncio.gather(*(clusters.take(key) for key in keys))
    assert clusters.turns.index(ended(1)) < 60


@pytest.mark.parametrize("given", [False, True])
async def test_who_is_cancelled_while_it_waits_takes_no_place(given: bool) -> None:
    clusters = Clusters()
    release = asyncio.Event()

    async def stay() -> None:
        async with clusters.turnstile.turn(LIVE):
            await release.wait()

    staying = [asyncio.create_task(stay()) for _ in range(4)]
    await asyncio.sleep(0)
    waiting = asyncio.create_task(clusters.take(LIVE))
    await asyncio.sleep(0)
    if given:  # the place and the cancellation come in the same moment
        release.set()
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    release.set()
    await asyncio.gather(*staying)
    async with asyncio.timeout(5):
        await asyncio.gather(*(clusters.take(LIVE) for _ in range(9)))
    assert clusters.most == 4


async def test_all_can_be_cancelled_at_once_as_when_the_operator_ends() -> None:
    """Whoever leaves then gives its place to nobody who is cancelled too."""
    clusters = Clusters()

    async def stay() -> None:
        async with clusters.turnstile.turn(LIVE):
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(stay()) for _ in range(12)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(end) for end in ended] == [asyncio.CancelledError] * 12
    async with asyncio.timeout(5):
        await asyncio.gather(*(clusters.take(LIVE) for _ in range(9)))
    assert clusters.most == 4
