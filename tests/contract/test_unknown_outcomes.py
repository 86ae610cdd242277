"""Nobody knows whether a submit was done: agent, operator or connection died in the middle.

On a real HTCondor.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from htcdask_operator.condor.client import CondorClient
from htcdask_operator.core.model import Job
from htcdask_operator.core.workers.states import SPOOL_SECONDS
from playground.condor.bare import BarePool
from tests.contract.shell import Shell, anchors, idle, is_held
from tests.unit.site import KEY

OPERATOR = "unknown-outcomes"
WORKERS = 300

# What a submitter leaves behind that dies after the submit and before the files were sent.
_NEVER_SPOOLS = """
import sys
import htcondor2
collector, schedd, pool, template = sys.argv[1:]
made = htcondor2.Submit({
    "executable": "/bin/true", "transfer_executable": "false", "transfer_input_files": "/etc/hostname",
    "should_transfer_files": "yes", "My.Requirements": "false", "My.HTCDaskOperator": '"unknown-outcomes"',
    "My.HTCDaskPoolUID": f'"{pool}"', "My.HTCDaskRole": '"anchor"', "My.HTCDaskTemplate": f'"{template}"',
})
ad = htcondor2.Collector(collector).locate(htcondor2.DaemonType.Schedd, schedd)
htcondor2.Schedd(ad).submit(made, count=1, spool=True)
"""

# Submits through each of these ports, and then by the schedd's own, and says what it heard and what is there.
_THROUGH = """
import json, math, re, sys
from pathlib import Path
from htcdask_operator.condor.agent.schedd import Schedd
from htcdask_operator.condor.errors import CondorError
collector, name, scratch, *ports = sys.argv[1:]
schedd = Schedd(collector, name, Path(scratch), lambda: 0.0)
for port in ports:
    described = {
        "executable": "/bin/true", "transfer_executable": "false", "My.Requirements": "false",
        "should_transfer_files": "yes", "My.HTCDaskOperator": '"unknown-outcomes"', "My.Through": port,
    }
    schedd._ad = None
    ad = schedd._located()
    ad["MyAddress"] = re.sub(r"127[.]0[.]0[.]1([:-])[0-9]+", rf"127.0.0.1\\g<1>{port}", ad["MyAddress"])
    heard = ""
    try:
        schedd.submit(described, [{"wname": f"w{number}"} for number in range(5)], math.inf)
    except CondorError as error:
        heard = type(error).__name__
    schedd._ad = None
    print(json.dumps([heard, len(schedd.query(f"Through == {port}", ["ClusterId"]))]))
"""
ANSWERS = 24  # more than a connection and a submit of five jobs take


@pytest.fixture
async def lab(bare_pool: BarePool, tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(bare_pool, tmp_path, OPERATOR)
    yield made
    await made.close()


@pytest.mark.parametrize("milliseconds", [0, 20, 60, 120, 200, 300, 450])
async def test_an_agent_killed_in_the_middle_of_a_submit_leaves_all_or_nothing_and_none_twice(
    lab: Shell, milliseconds: int
) -> None:
    operator = lab.operator()
    await operator.until(is_held)
    lab.want(WORKERS)
    cycle = asyncio.create_task(operator.parts.reconciler.cycle.run(KEY, operator.task))
    asked: list[str] = []
    asking = operator.agent._process.ask

    async def ask(method: str, *arguments: object) -> object:
        asked.append(method)
        if method == "submit":
            asyncio.get_running_loop().call_later(milliseconds / 1000, kill, operator.agent)
        return await asking(method, *arguments)

    operator.agent._process.ask = ask  # type: ignore[method-assign]
    await cycle
    assert "submit" in asked
    found = await lab.operator().agent.jobs()
    assert len(idle(found)) in (0, WORKERS), "one transaction"
    another = lab.operator()
    await another.until(lambda jobs: len(idle(jobs)) >= WORKERS)
    for _ in range(3):
        await another.parts.poller.tick()
        await another.parts.reconciler.cycle.run(KEY, another.task)
    names = idle(await another.agent.jobs())
    assert len(names) == len(set(names)) == WORKERS


async def test_a_submit_whose_answer_is_lost_was_refused_only_if_nothing_is_in_the_queue(
    lab: Shell, tmp_path: Path
) -> None:
    agent = lab.operator().agent
    await agent.whoami()  # its folder with the token is there from then on
    outcomes: list[tuple[str, int]] = []
    for _ in range(4):  # two answers may come as one, so that a cut comes an answer later
        outcomes += await submits_of_five(lab, agent, tmp_path)
        if ("CondorUnreachable", 5) in outcomes:  # the answer to the end of the transaction was lost
            break
    assert {heard for heard, there in outcomes if there} == {"", "CondorUnreachable"}
    assert ("CondorError", 0) in outcomes, "nor is what was broken off before"


async def submits_of_five(lab: Shell, agent: CondorClient, scratch: Path) -> list[tuple[str, int]]:
    """What was heard of each, and how many of its jobs are in the queue; each loses a later answer."""
    port = int(lab.pool.address.rpartition(":")[2])
    async with AsyncExitStack() as stack:
        ports = [await stack.enter_async_context(cut_once(port, after)) for after in range(ANSWERS)]
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _THROUGH, lab.pool.address, lab.pool.schedd, str(scratch), *ports],
            env=agent._environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    outcomes = [(heard, there) for heard, there in map(json.loads, done.stdout.splitlines())]
    assert len(outcomes) == ANSWERS
    return outcomes


@asynccontextmanager
async def cut_once(port: int, after: int) -> AsyncIterator[str]:
    """A port that leads to this one, and closes its connection in place of one answer after so many."""
    left = [after]

    async def pump(source: asyncio.StreamReader, to: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(1 << 16):
                if answers and left[0] == 0:
                    break
                left[0] -= answers
                to.write(data)
                await to.drain()
        to.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        asking = asyncio.create_task(pump(reader, outer, answers=False))
        await pump(inner, writer, answers=True)
        outer.close()
        await asking

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield str(server.sockets[0].getsockname()[1])


async def test_a_new_operator_adopts_everything_by_what_the_queue_says(lab: Shell) -> None:
    first = lab.operator()
    await first.until(is_held)
    lab.want(5)
    await first.until(lambda jobs: len(idle(jobs)) == 5)
    before = ids(await first.agent.jobs())
    body = lab.kube.pool_bodies["gateway", "default-c1"]
    status = body.pop("status")  # somebody wiped it, too
    second = lab.operator()
    for _ in range(3):
        await second.parts.poller.tick()
        await second.parts.reconciler.cycle.run(KEY, second.task)
    assert ids(await second.agent.jobs()) == before
    counts = ("desiredReplicas", "replicas", "idle", "observedGeneration")
    assert [body["status"][count] for count in counts] == [status[count] for count in counts]
    lab.want(2)
    await second.until(lambda jobs: len(idle(jobs)) == 2)
    lab.kube.delete_pool("gateway", "default-c1")
    await lab.operator().until(lambda jobs: not jobs)


async def test_an_anchor_whose_files_will_never_come_is_replaced(lab: Shell) -> None:
    operator = lab.operator()
    await operator.until(is_held)
    (good,) = anchors(await operator.agent.jobs())
    arguments = (lab.pool.address, lab.pool.schedd, lab.uid, good.template_hash)
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", _NEVER_SPOOLS, *arguments],
        check=True,
        env=operator.agent._environment(),  # as the agent's own process
        timeout=60,
    )
    await operator.agent.remove([good.id], "as if it had never been")
    (lost,) = (job for job in anchors(await operator.agent.jobs()) if job.id != good.id)
    assert lost.spooling and lost.stage_in_finish is None
    await operator.parts.poller.tick()
    await operator.parts.reconciler.cycle.run(KEY, operator.task)
    assert lost.id in ids(await operator.agent.jobs()), "its submitter may be about to send them"
    lab.late = SPOOL_SECONDS + 1
    await operator.until(lambda jobs: lost.id not in ids(jobs))
    lab.late = 0.0
    await operator.until(is_held)


def ids(jobs: tuple[Job, ...]) -> set[str]:
    return {job.id for job in jobs}


def kill(agent: CondorClient) -> None:
    if agent.pid is not None:
        os.kill(agent.pid, signal.SIGKILL)
