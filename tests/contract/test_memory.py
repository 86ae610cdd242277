"""A worker that takes far more memory than it asked for, on a real HTCondor: what its pool says and does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from htcdask_api import Template
from htcdask_operator.core.model import Job, JobStatus, Role
from htcdask_operator.core.policy import Profile
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.workers.states import State, judge
from playground.condor.bare import BarePool
from tests.builders import make_cluster, make_observed, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, RealLab
from tests.contract.shell import Operator, Shell

HUNGRY = b"""eaten=0123456789abcdef
for _ in {1..26}; do eaten=$eaten$eaten; done
more=${eaten:0:500000000}
while true; do sleep 1; done
"""  # 1.5 GB; an image for jobs that only need bash


async def test_the_execute_node_s_rule_is_told_as_what_it_is_about(
    bare_pool: BarePool, tmp_path: Path
) -> None:
    lab = RealLab(bare_pool, tmp_path)
    condor, policy = lab.operator("memory"), make_policy(operator_id="memory")
    anchor = descriptions.anchor(make_pool(), make_cluster(), make_template(), "hash", policy, lab.now())
    kept = await condor.submit_anchor(anchor, HUNGRY)
    (staged,) = await lab.until(condor, lambda jobs: jobs[0].stage_in_finish)
    await condor.hold([kept], "kept")
    template = make_template(container_image=IMAGE, memory="100Mi")
    worker = descriptions.workers(
        make_pool(), make_cluster(), template, "hash", staged.iwd or "", policy, lab.now()
    )
    (job,) = await condor.submit_workers(worker, ["w1"])
    jobs = await lab.until(
        condor, lambda jobs: any(each.id == job and each.status is JobStatus.HELD for each in jobs)
    )
    (held,) = (each for each in jobs if each.id == job)
    assert held.hold_code == 21, held.hold_reason
    told = judge(held, make_observed(condor_identity=held.owner), {}, policy, time.time())
    assert (told.state, told.reason) == (State.FAILED, "OutOfResources")
    assert "memory usage exceeded request_memory" in told.message
    assert "MiB of memory and asked for 100 MiB: ask for more" in told.message
    await condor.remove([job, kept], "the end of the test")
    await lab.close()


BIG = Profile("big", Template(memory="100Mi", container_image=IMAGE), max_memory=4 * 2**30)


@pytest.fixture
async def shell(bare_pool: BarePool, tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(bare_pool, tmp_path, "hungry", cores=1, profile="big", containerImage=IMAGE)
    yield made
    await made.close()


def hungry(shell: Shell, big: Profile = BIG) -> Operator:
    """An operator whose workers' files are those of a worker that eats."""
    return shell.operator(HUNGRY, profiles={"big": big})


def workers(jobs: Iterable[Job]) -> list[Job]:
    return [job for job in jobs if job.role is Role.WORKER and job.status is not JobStatus.REMOVED]


async def test_where_its_profile_allows_it_the_next_worker_asks_for_what_was_measured_and_lives(
    shell: Shell,
) -> None:
    operator = hungry(shell)
    shell.want(1)

    def is_replaced(jobs: tuple[Job, ...]) -> bool:
        larger = [job for job in workers(jobs) if (job.request_memory_mib or 0) > 100]
        return bool(larger) and all(job.status is JobStatus.RUNNING for job in larger)

    await operator.until(is_replaced, 90)
    held = [job for job in workers(operator.seen) if job.status is JobStatus.HELD and job.hold_code == 21]
    peak = max(job.memory_mib or 0 for job in held)
    assert peak > 1100, held
    await operator.go_on(8)  # four looks of the execute node
    (worker,) = workers(await operator.agent.jobs())
    requested = worker.request_memory_mib or 0
    assert worker.status is JobStatus.RUNNING
    assert peak * 1.25 <= requested <= 4096 and requested % 256 == 0
    told = shell.status["memoryRequest"]
    assert told["requestMib"] == requested
    assert "1 worker ran out of 100 MiB" in told["message"] and "profile big allows 4 GiB" in told["message"]
    (failure,) = shell.status["recentFailures"]
    assert failure["reason"] == "MemoryRaised"
    assert "memory usage exceeded request_memory" in failure["message"]
    # A new operator that finds no status knows it by the queue, and leaves the worker as it is.
    del shell.kube.pool_bodies["gateway", "default-c1"]["status"]["memoryRequest"]
    again = hungry(shell)
    await again.go_on(3)
    assert [job.id for job in workers(await again.agent.jobs())] == [worker.id]
    told = shell.status["memoryRequest"]
    assert told["requestMib"] == requested and "earlier ones ran out of less" in told["message"]
    # Another memory of the profile takes it back for the next ones, though jobs of before are there.
    back = hungry(shell, replace(BIG, template=BIG.template.model_copy(update={"memory": "150Mi"})))
    shell.want(2)
    await back.until(lambda jobs: len(workers(jobs)) == 2)
    (_, next_one) = sorted(workers(await back.agent.jobs()), key=lambda job: job.queued_at)
    assert next_one.request_memory_mib == 150
    told = shell.status["memoryRequest"]
    assert (told["requestMib"], told["templateMib"]) == (150, 150)
