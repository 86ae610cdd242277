"""What the client says of its agent's answers; tests/contract asks real access points."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import names
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.condor.errors import CondorNotAsked, CondorTimeout
from htcdask_operator.progress import Progress

OPERATOR = "htcdask"
WORKER = {"executable": "/bin/bash", f"My.{names.AD_OPERATOR}": f'"{OPERATOR}"'}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[CondorClient]:
    part = base64.urlsafe_b64encode(json.dumps({"sub": "dask@htcdask.test"}).encode()).decode()
    (tmp_path / "token").write_text(f"{part}.{part}.{part}")
    made = CondorClient(AccessPoint(OPERATOR, "collector", "schedd", tmp_path / "token"))
    yield made
    await made.close()


async def test_a_submit_before_which_nobody_says_who_we_are_was_not_sent(
    client: CondorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def silent(method: str, *_: Any) -> None:
        asked.append(method)
        raise CondorTimeout("HTCondor has not answered for 30 s (time)")

    monkeypatch.setattr(client._process, "ask", silent)
    with pytest.raises(CondorNotAsked, match=r"not answered for 30 s \(time\)"):
        await client.submit_workers(WORKER, ["w1"], "dask@htcdask.test")
    assert asked == ["time"]


async def test_who_waits_for_a_new_token_gets_on_with_each_answer_that_still_goes_to_the_old_one(
    client: CondorClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: asyncio.Queue[None] = asyncio.Queue()

    async def exchange(*_: Any) -> None:
        await answers.get()

    monkeypatch.setattr(client._process, "_exchange", exchange)
    time = 0.0
    old = [asyncio.create_task(client._process.ask("query")) for _ in range(2)]
    await asyncio.sleep(0)
    changes = asyncio.create_task(client.whoami())  # it waits until the process may be ended
    await asyncio.sleep(0)
    progress = Progress(lambda: time)
    progress.follow()
    waits = asyncio.create_task(client.whoami())
    await asyncio.sleep(0)
    time = 400.0
    assert progress.standstill() == 400
    answers.put_nowait(None)
    await old[0]
    assert progress.standstill() == 0 and not old[1].done()
    for task in (old[1], changes, waits):
        task.cancel()
    await asyncio.gather(old[1], changes, waits, return_exceptions=True)
