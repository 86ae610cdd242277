"""What goes on by itself has an end, also where one cancellation is lost."""

import asyncio

import pytest

from htcdaskgateway import _tasks


async def test_a_loop_that_loses_a_cancellation_ends_all_the_same() -> None:
    lost = 0

    async def forgetful() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    async def fails() -> None:
        raise ValueError("nobody asks for it")

    both = asyncio.ensure_future(forgetful()), asyncio.ensure_future(fails())
    await asyncio.sleep(0)
    await asyncio.wait_for(_tasks.end(*both), 5)
    assert (lost, both[0].cancelled(), both[1].done()) == (1, True, True)
    await _tasks.end(*both)
    await _tasks.end()


async def test_an_end_is_reached_however_often_it_is_interrupted() -> None:
    reached = False

    async def take_away() -> None:
        nonlocal reached
        await asyncio.sleep(0.05)
        reached = True

    ending = asyncio.ensure_future(_tasks.to_the_end(take_away()))
    for _ in range(3):
        await asyncio.sleep(0.01)
        ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert reached
    await _tasks.to_the_end(take_away())


async def test_an_end_that_fails_says_so() -> None:
    async def fails() -> None:
        raise OSError("no way")

    with pytest.raises(OSError, match="no way"):
        await _tasks.to_the_end(fails())
