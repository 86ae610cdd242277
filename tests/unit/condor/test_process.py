"""The parent of a hostile agent: a program that says, leaves behind and does whatever it likes."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from htcdask_operator.condor import wire
from htcdask_operator.condor.errors import CondorError, CondorNotAsked, CondorTimeout, CondorUnreachable
from htcdask_operator.condor.process import AgentProcess

Plant = Callable[..., AgentProcess]

# Says what is in the file `says` for each question; NUMBER is the question's number.
AGENT = """
import json, os, pathlib, sys, time
folder, scratch = map(pathlib.Path, sys.argv[1:3])
with open(folder / "starts", "a") as starts:
    starts.write(f"{os.getpid()}\\n")
(scratch / "left behind").write_text("a secret key")
for line in sys.stdin:
    number, method = json.loads(line)[:2]
    with open(folder / "heard", "a") as heard:
        heard.write(f"{method}\\n")
    says = (folder / "says").read_bytes()
    if says == b"HANG":
        time.sleep(60)
    if says == b"ENDLESS":
        while True:
            sys.stdout.buffer.write(b"x" * 65536)
    sys.stdout.buffer.write(says.replace(b"NUMBER", b"%d" % number))
    sys.stdout.buffer.flush()
    if not says.endswith(b"\\n"):
        os.kill(os.getpid(), 9)
"""
GOOD = b'{"to": NUMBER, "value": "dask@example.org"}\n'


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    """An agent that says this."""
    made: list[AgentProcess] = []

    def planted(says: bytes, deadline: float = 10.0, patience: float | None = None) -> AgentProcess:
        (tmp_path / "says").write_bytes(says)
        made.append(
            AgentProcess(
                ("c", "s"), tmp_path / "scratch", dict(os.environ), deadline, lambda: math.inf, patience
            )
        )
        made[-1].command = [sys.executable, "-c", AGENT, str(tmp_path), str(tmp_path / "scratch")]
        return made[-1]

    yield planted
    for process in made:
        process.abandon()
        await process.stop()


def starts(tmp_path: Path) -> list[int]:
    return [int(line) for line in (tmp_path / "starts").read_text().split()]


def left(tmp_path: Path) -> list[str]:
    return [file.name for file in (tmp_path / "scratch").iterdir()]


def runs(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    "said",
    [
        b'{"to": NUMBER, "value": "dask@exa',
        b"",
        b"\n",
        b"Segmentation fault\n",
        b'{"to": NUMBER, "value": 5}\n',
        b'{"to": NUMBER, "error": "KeyboardInterrupt", "text": "x"}\n',
        b'{"to": NUMBER, "error": "CondorError", "text": {}}\n',
        b'{"to": 0, "value": "dask@example.org"}\n',
        b"\xff\xfe\n",
        b"[" * 200_000 + b"\n",
        b"ENDLESS",
    ],
    ids=lambda said: repr(said[:40]),
)
async def test_garbage_is_no_answer_and_the_end_of_who_said_it(
    plant: Plant, tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LARGEST", 2**20)
    agent = plant(said)
    with pytest.raises(CondorUnreachable, match=r"whoami.*started again with the next question"):
        await agent.ask("whoami")
    assert agent.pid is None and left(tmp_path) == []
    (tmp_path / "says").write_bytes(GOOD)
    assert await agent.ask("whoami") == "dask@example.org"
    first, second = starts(tmp_path)
    assert not runs(first) and runs(second)


async def test_a_second_answer_is_not_taken_for_the_next(plant: Plant, tmp_path: Path) -> None:
    agent = plant(GOOD * 2)
    assert await agent.ask("whoami") == "dask@example.org"
    with pytest.raises(CondorUnreachable, match="does not belong to this question"):
        await agent.ask("whoami")


async def test_an_error_that_the_agent_names_does_not_end_it(plant: Plant, tmp_path: Path) -> None:
    agent = plant(b'{"to": NUMBER, "error": "CondorError", "text": "no"}\n')
    for _ in range(2):
        with pytest.raises(CondorError, match=r"^no$"):
            await agent.ask("whoami")
    assert len(starts(tmp_path)) == 1


async def test_a_program_that_cannot_be_started_is_no_answer(plant: Plant) -> None:
    agent = plant(GOOD)
    agent.command = ["/does/not/exist"]
    with pytest.raises(CondorUnreachable, match="No such file"):
        await agent.ask("whoami")


async def test_after_its_deadline_nothing_is_left(plant: Plant, tmp_path: Path) -> None:
    agent = plant(b"HANG", deadline=0.5)
    with pytest.raises(CondorTimeout):
        await agent.ask("whoami")
    assert left(tmp_path) == [] and not runs(starts(tmp_path)[0])


async def test_after_a_question_was_cancelled_nothing_is_left(plant: Plant, tmp_path: Path) -> None:
    agent = plant(b"HANG")
    asking = asyncio.create_task(agent.ask("whoami"))
    await agent.asking.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert left(tmp_path) == []


async def test_what_an_agent_left_that_was_killed_while_idle_goes_before_the_next_starts(
    plant: Plant, tmp_path: Path
) -> None:
    agent = plant(GOOD)
    await agent.ask("whoami")
    (tmp_path / "scratch/bundle.sh").write_text("a secret key")
    os.kill(starts(tmp_path)[0], signal.SIGKILL)
    while True:  # whether it is noticed by the question or before
        try:
            assert await agent.ask("whoami") == "dask@example.org"
            break
        except CondorUnreachable:
            assert left(tmp_path) == []
    assert left(tmp_path) == ["left behind"]


async def test_an_agent_that_is_abandoned_does_not_hold_up_whoever_abandons_it(plant: Plant) -> None:
    agent = plant(b"HANG")
    asking = asyncio.create_task(agent.ask("whoami"))
    await agent.asking.wait()
    agent.abandon()
    with pytest.raises(CondorUnreachable, match="ended during whoami"):
        await asking


async def test_nobody_waits_for_their_turn_longer_than_their_patience(plant: Plant) -> None:
    agent = plant(b"HANG", deadline=30, patience=0.2)
    first = asyncio.create_task(agent.ask("whoami"))
    await agent.asking.wait()
    began = time.monotonic()
    with pytest.raises(CondorNotAsked, match=r"not asked \(whoami\), .* no answer for 0.2 s: the schedd"):
        await agent.ask("whoami")
    assert time.monotonic() - began < 5 and not first.done()
    agent.abandon()
    with pytest.raises(CondorUnreachable):
        await first


async def test_who_waits_in_line_behind_silence_is_told_that_nothing_was_sent(
    plant: Plant, tmp_path: Path
) -> None:
    agent = plant(b"HANG", deadline=1.0)
    asked = asyncio.gather(agent.ask("query"), agent.ask("submit"), return_exceptions=True)
    silence, not_sent = await asked
    assert isinstance(silence, CondorTimeout) and "has not answered for 1 s (query)" in str(silence)
    assert isinstance(not_sent, CondorNotAsked) and "was not asked (submit)" in str(not_sent)
    assert (tmp_path / "heard").read_text().split() == ["query"]
