"""Long-lived tasks live and die together."""

import asyncio
import logging

import pytest

from htcdask_operator.process.leader_election import LeaseLost
from htcdask_operator.process.supervise import supervise
from htcdask_operator.watch.resync import WatchSilent


async def for_ever(ended: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append("for ever")


async def test_all_end_when_asked() -> None:
    stop, ended = asyncio.Event(), list[str]()

    async def ask() -> None:
        stop.set()
        await asyncio.Event().wait()

    assert await supervise({"one": for_ever(ended), "asks": ask()}, stop)
    assert ended == ["for ever"]


@pytest.mark.parametrize("kind", [LeaseLost, WatchSilent, OSError])
async def test_one_that_fails_ends_all_and_is_named(
    kind: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    ended = list[str]()

    async def fails() -> None:
        raise kind("the reason")

    with caplog.at_level(logging.CRITICAL):
        assert not await supervise({"one": for_ever(ended), "the poller": fails()}, asyncio.Event())
    assert ended == ["for ever"]
    assert "'the poller' ended" in caplog.text
    assert "the reason" in caplog.text


async def test_what_a_user_wrote_is_not_quoted_from_an_exception_that_nobody_expected(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails() -> None:
        try:
            raise KeyError("sesame")
        except KeyError as error:
            raise ValueError("{'TOKEN': 'sesame'}") from error

    assert not await supervise({"the poller": fails()}, asyncio.Event())
    assert "sesame" not in caplog.text
    assert "ValueError in " in caplog.text
    assert "test_supervise.py" in caplog.text


async def test_one_that_returns_ends_all_too() -> None:
    ended = list[str]()
    assert not await supervise({"one": for_ever(ended), "brief": asyncio.sleep(0)}, asyncio.Event())
    assert ended == ["for ever"]
