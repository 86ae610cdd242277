"""Nobody knows whether a submit was done: agent or operator died in the middle. On a real HTCondor."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
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
