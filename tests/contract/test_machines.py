"""A machine that eats workers, on a real pool of two: what its pool does, says and forgets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job, JobStatus, Role
from htcdask_operator.core.workers import machines
from htcdask_operator.core.workers.machines import AVOID_SECONDS, ENOUGH
from playground.build import rootfs_condor
from playground.condor.bare import BarePool
from tests.contract.container import make_image
from tests.contract.labs import IMAGE
from tests.contract.shell import Operator, Shell, is_held
from tests.unit.site import KEY

DINES_ON_NODE7 = b"""[[ $(<"$_CONDOR_MACHINE_AD") == *'Machine = "node7"'* ]] && exit 3
trap 'exit 0' TERM; while true; do sleep 0.1; done
"""
# What it has eaten makes room there at once, so each goes there first; but for the first worker, which is the
# second job of all.
NODE7 = """
DAEMON_LIST = $(DAEMON_LIST) NODE7
NODE7 = $(STARTD)
NODE7_ARGS = -f -local-name NODE7
NODE7_LOG = $(LOG)/Node7Log
NODE7.STARTD_LOG = $(LOG)/Node7Log
NODE7.STARTD_ADDRESS_FILE = $(LOG)/.node7_address
NODE7.START = (TARGET.ClusterId > 2)
NODE7.NETWORK_HOSTNAME = node7
NEGOTIATOR_PRE_JOB_RANK = (Machine == "node7")
"""
USEFUL_AFTER = 2.0  # seconds of life, in place of a minute


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """Two machines, `condor` and `node7`."""
    folder = tmp_path_factory.mktemp("machines")
    make_image(rootfs_condor.unpacked(), folder / "cvmfs/img")
    with BarePool(folder / "pool", folder / "cvmfs", NODE7) as pool:
        yield pool


@pytest.fixture
async def shell(pool: BarePool, tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(pool, tmp_path, "eaten", cores=1, memory="100Mi", containerImage=IMAGE)
    yield made
    await made.close()


def workers(jobs: tuple[Job, ...]) -> list[Job]:
    return [job for job in jobs if job.role is Role.WORKER]


def on_condor(jobs: tuple[Job, ...]) -> list[Job]:
    running = (job for job in workers(jobs) if job.status is JobStatus.RUNNING and job.started_at)
    return [job for job in running if job.machine == "condor"]


def eaten(operator: Operator) -> set[str]:
    return {job.worker for job in workers(tuple(operator.seen)) if job.machine == "node7"}


async def test_a_machine_that_eats_workers_is_avoided_and_named_until_it_is_tried_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "EARLY_SECONDS", USEFUL_AFTER)
    operator = shell.operator(DINES_ON_NODE7, backoff_first_seconds=1.0)
    await operator.until(is_held)
    shell.want(1)
    await operator.until(on_condor)
    (first,) = on_condor(await operator.agent.jobs())
    operator.scheduler.connected[KEY] = {first.worker}
    await operator.go_on(USEFUL_AFTER + 1)
    shell.want(2)
    await operator.until(lambda jobs: len(on_condor(jobs)) == 2)
    assert len(eaten(operator)) == ENOUGH, eaten(operator)
    operator.scheduler.connected[KEY] |= {job.worker for job in on_condor(await operator.agent.jobs())}
    await operator.round()
    (said,) = [its for its in shell.status["explanation"] if its["reason"] == reasons.MACHINES_AVOIDED]
    assert "kept failing on node7 while others lived" in said["message"]
    assert REGISTRY.get_sample_value("htcdask_machines_avoided", {"machine": "node7"}) == 1

    shell.late = AVOID_SECONDS
    shell.want(3)
    await operator.until(lambda jobs: len(eaten(operator)) > ENOUGH)
    assert not [its for its in shell.status["explanation"] if its["reason"] == reasons.MACHINES_AVOIDED]
    assert len(on_condor(await operator.agent.jobs())) == 2, "nobody else has gone"
