"""Workers that fail on one of two machines, and on both, in a real pool: what is done, said and forgotten.

By the operator's whole loop (`shell`: Kubernetes and the scheduler are fakes).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Job, JobStatus, Role
from htcdask_operator.core.workers import machines
from htcdask_operator.core.workers.machines import AVOID_SECONDS, ENOUGH
from htcdask_operator.ports import ClusterKey
from playground.build import rootfs_condor
from playground.condor.bare import BarePool
from tests.contract.container import make_image
from tests.contract.labs import IMAGE
from tests.contract.shell import Shell, is_held
from tests.unit.site import KEY

DINES_ON_NODE7 = b"""[[ $(<"$_CONDOR_MACHINE_AD") == *'Machine = "node7"'* ]] && exit 3
trap 'exit 0' TERM; while true; do sleep 0.1; done
"""
# What it has eaten makes room there at once, so each goes there first; but for a user's first worker: the
# second job of all, and where three have anchors before them, the fourth and the fifth.
NODE7 = """
DAEMON_LIST = $(DAEMON_LIST) NODE7
NODE7 = $(STARTD)
NODE7_ARGS = -f -local-name NODE7
NODE7_LOG = $(LOG)/Node7Log
NODE7.STARTD_LOG = $(LOG)/Node7Log
NODE7.STARTD_ADDRESS_FILE = $(LOG)/.node7_address
NODE7.START = (TARGET.ClusterId > (TARGET.HTCDaskOperator == "all" ? 5 : 2))
NODE7.NETWORK_HOSTNAME = node7
NEGOTIATOR_PRE_JOB_RANK = (Machine == "node7")
"""
USEFUL_AFTER = 2.0  # seconds of life, in place of a minute


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[BarePool]:
    """Two machines, `condor` and `node7`, and no job yet."""
    make_image(rootfs_condor.unpacked(), tmp_path / "cvmfs/img")
    with BarePool(tmp_path / "pool", tmp_path / "cvmfs", NODE7) as pool:
        yield pool


@pytest.fixture
async def shell(pool: BarePool, tmp_path: Path) -> AsyncIterator[Shell]:
    made = Shell(pool, tmp_path, "eaten", cores=1, memory="100Mi", containerImage=IMAGE)
    yield made
    await made.close()


def workers(jobs: Iterable[Job]) -> list[Job]:
    return [job for job in jobs if job.role is Role.WORKER]


def on_condor(jobs: tuple[Job, ...]) -> list[Job]:
    running = (job for job in workers(jobs) if job.status is JobStatus.RUNNING and job.started_at)
    return [job for job in running if job.machine == "condor"]


def eaten(seen: Iterable[Job]) -> set[str]:
    return {job.worker for job in workers(seen) if job.machine == "node7"}


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
    assert len(eaten(operator.seen)) == ENOUGH, eaten(operator.seen)
    operator.scheduler.connected[KEY] |= {job.worker for job in on_condor(await operator.agent.jobs())}
    await operator.round()
    (said,) = [its for its in shell.status["explanation"] if its["reason"] == reasons.MACHINES_AVOIDED]
    assert "kept failing on node7 while others lived" in said["message"]
    assert REGISTRY.get_sample_value("htcdask_machines_avoided", {"machine": "node7"}) == 1

    shell.late = AVOID_SECONDS
    shell.want(3)
    await operator.until(lambda jobs: len(eaten(operator.seen)) > ENOUGH)
    assert not [its for its in shell.status["explanation"] if its["reason"] == reasons.MACHINES_AVOIDED]
    assert len(on_condor(await operator.agent.jobs())) == 2, "nobody else has gone"


async def test_what_two_users_workers_have_found_every_other_cluster_of_the_operator_knows(
    pool: BarePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "EARLY_SECONDS", USEFUL_AFTER)
    shell = Shell(pool, tmp_path, "all", cores=1, memory="100Mi", containerImage=IMAGE)
    bob, carol = ClusterKey("gateway", "c2"), ClusterKey("gateway", "c3")
    uids = {KEY: shell.uid, bob: shell.add_cluster(bob, "bob"), carol: shell.add_cluster(carol, "carol")}
    operator = shell.operator(DINES_ON_NODE7, backoff_first_seconds=1.0)

    def of(key: ClusterKey, jobs: Iterable[Job]) -> tuple[Job, ...]:
        return tuple(job for job in jobs if job.pool_uid == uids[key])

    async def running(count: int, key: ClusterKey) -> None:
        shell.want(count, key)
        await operator.until(lambda jobs: len(on_condor(of(key, jobs))) == count)

    await operator.until(lambda jobs: all(is_held(of(key, jobs)) for key in uids))
    for key in (KEY, bob):
        await running(1, key)
        (first,) = on_condor(of(key, await operator.agent.jobs()))
        operator.scheduler.connected[key] = {first.worker}
    await operator.go_on(USEFUL_AFTER + 1)
    for key in (KEY, bob):
        await running(2, key)
        assert len(eaten(of(key, operator.seen))) == ENOUGH, "one user's word is not enough for the next"
    await running(1, carol)
    assert not eaten(of(carol, operator.seen))
    await shell.close()


async def test_an_image_that_two_machines_cannot_pull_is_the_image_s_fault(
    pool: BarePool, tmp_path: Path
) -> None:
    shell = Shell(
        pool, tmp_path, "typo", cores=1, memory="100Mi", containerImage="docker://127.0.0.1:1/typo:latest"
    )
    operator = shell.operator(backoff_first_seconds=1.0)
    shell.want(1)
    await operator.until(lambda jobs: shell.said("Stalled")[0] == reasons.BAD_IMAGE)
    machines = [its["machine"] for its in shell.status["recentFailures"]]
    assert machines == ["node7", "condor"], "newest first"
    await shell.close()
