"""What is remembered is walked no more; what nobody needs goes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from htcdask_operator.process import garbage


class Circle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


async def test_what_is_kept_is_walked_no_more_and_circles_that_have_ended_go() -> None:
    kept, ended = Circle(), weakref.ref(Circle())
    running = asyncio.create_task(garbage.run(0.0, 0.05))
    await asyncio.sleep(0.02)
    frozen = gc.get_freeze_count()
    assert frozen > 1000
    assert ended() is None
    assert not any(each is kept for each in gc.get_objects())
    more = [Circle() for _ in range(2000)]
    await asyncio.sleep(0.2)
    assert gc.get_freeze_count() > frozen + 1000
    refers = weakref.ref(more[0])
    more[0].itself = more[1]
    del more[0]
    assert refers() is None, "what is frozen still goes when nothing refers to it"
    running.cancel()
