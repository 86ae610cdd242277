"""A site's settings for its workers, each run once: real Dask workers in jobs of a real HTCondor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from htcdask_operator.core.model import JobStatus
from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.contract.cluster import dask_cluster
from tests.contract.labs import RealLab
from tests.contract.site import Site

STUBBORN = b"trap '' TERM\nwhile true; do sleep 0.1; done\n"
AT_ONCE = b"exit 0\n"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BarePool]:
    """A pool that sees the worker image."""
    with BarePool(tmp_path_factory.mktemp("condor"), cvmfs=worker_image.tree()) as made:
        yield made


@pytest.fixture
async def lab(pool: BarePool, tmp_path: Path) -> AsyncIterator[RealLab]:
    made = RealLab(pool, tmp_path)
    yield made
    await made.close()


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
async def test_workers_listen_where_they_may_however_their_files_came(
    lab: RealLab, tmp_path: Path, delivery: str
) -> None:
    text = f"workerPorts: '20100:20119'\nnannyPorts: '20120:20139'\ndelivery: {delivery}\n"
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, cluster.address.removeprefix("tls://"), text)
        await site.workers("w1", "w2", cluster=cluster)
        await site.connected(cluster, 2)
        workers = list(cluster.scheduler.workers.values())
        assert {worker.name for worker in workers} == {"w1", "w2"}
        assert all(20100 <= port_of(worker.address) <= 20119 for worker in workers)
        assert all(20120 <= port_of(worker.nanny) <= 20139 for worker in workers)
        assert await cluster.client.submit(sum, [40, 2]) == 42
        await site.end()


async def test_the_site_s_environment_is_every_worker_s_and_the_pool_s_comes_before_it(
    lab: RealLab, tmp_path: Path
) -> None:
    """`template.environment`; a preload of the site is one of its variables."""
    text = (
        "template:\n  environment:\n    GREETING: site\n    SITE: its own\n"
        "    DASK_DISTRIBUTED__WORKER__PRELOAD: \"import os; os.environ['PRELOADED'] = 'by the site'\"\n"
    )
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, cluster.address.removeprefix("tls://"), text)
        await site.workers("w1", cluster=cluster, environment={"GREETING": "pool"})
        await cluster.client.wait_for_workers(1, timeout=90)
        for name, value in {"GREETING": "pool", "SITE": "its own", "PRELOADED": "by the site"}.items():
            assert await cluster.client.submit(os.getenv, name, pure=False) == value
        await site.end()


MARK = (
    "import os; dask_setup = lambda server: os.environ.__setitem__('{key}', os.environ.get('{key}', '') + "
    "'{who}:' + type(server.security).__name__ + ' ')"
)
"""A program as a preload: it says that it ran, after whom, and whether ours had prepared the worker."""


@pytest.mark.parametrize("listed", [False, True], ids=["one", "list"])
@pytest.mark.parametrize("nanny", [True, False], ids=["nanny", "no-nanny"])
async def test_the_site_s_preloads_run_before_the_user_s_and_none_is_lost(
    lab: RealLab, tmp_path: Path, nanny: bool, listed: bool
) -> None:
    """`workerPreload` and `nannyPreload`, after ours, and before what the pool's environment names."""
    settings = {
        "workerPreload": [MARK.format(key="MARKS", who=who) for who in ("site", "site2")],
        "nannyPreload": [MARK.format(key="NANNY_MARKS", who="site")],
    }
    environment = {}
    for server, key in {"WORKER": "MARKS", "NANNY": "NANNY_MARKS"}.items():
        program = MARK.format(key=key, who="user")
        environment[f"DASK_DISTRIBUTED__{server}__PRELOAD"] = repr([program]) if listed else program
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, cluster.address.removeprefix("tls://"), yaml.safe_dump(settings))
        await site.workers("w1", cluster=cluster, environment=environment, nanny=nanny)
        await site.connected(cluster, 1)
        marks = await cluster.client.submit(os.getenv, "MARKS", pure=False)
        assert marks == "site:_NamedSecurity site2:_NamedSecurity user:_NamedSecurity "
        if nanny:
            told = await cluster.client.run(os.getenv, "NANNY_MARKS", nanny=True)
            assert list(told.values()) == ["site:Security user:Security "]
        await site.end()


def port_of(address: str) -> int:
    return urlsplit(address).port or 0


async def test_a_worker_that_cannot_reach_its_scheduler_gives_up(lab: RealLab, tmp_path: Path) -> None:
    """After `healing.deathTimeoutSeconds`."""
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, "127.0.0.1:1", "healing: {deathTimeoutSeconds: 10}\n")
        await site.workers("w1", cluster=cluster)
        started = (await site.until(JobStatus.RUNNING)).started_at or time.time()
        ended = await site.until(JobStatus.COMPLETED)
        assert 8 < ended.status_since - started < 30
        said = await site.condor.logs(site.anchor, ["w1"])
        assert "cannot reach the scheduler at 127.0.0.1:1: the connection was refused" in said["w1"]
        await site.end()


async def test_a_removed_worker_has_its_time_and_no_more(lab: RealLab) -> None:
    """`healing.vacateSeconds`, for one that does not listen."""
    site = Site(lab, "127.0.0.1:1", "healing: {vacateSeconds: 3}\n")
    await site.workers("w1", payload=STUBBORN)
    job = await site.until(JobStatus.RUNNING)
    await asyncio.sleep(2)  # its process is there
    began = time.monotonic()
    await site.condor.remove([job.id], "scaled down")
    await site.lab.until(site.condor, lambda jobs: not any(job.worker for job in jobs))
    assert 2 < time.monotonic() - began < 12
    await site.end()


async def test_an_ended_worker_can_be_read_as_long_as_the_site_says(lab: RealLab) -> None:
    """`healing.endedSeconds`: it is there after 20 s, and gone some time after a minute."""
    site = Site(lab, "127.0.0.1:1", "healing: {endedSeconds: 60}\n")
    await site.workers("w1", payload=AT_ONCE)
    ended = await site.until(JobStatus.COMPLETED)
    await asyncio.sleep(20)
    assert [job.id for job in await site.condor.jobs() if job.worker] == [ended.id]
    for _ in range(150):
        await asyncio.sleep(1)
        if not any(job.worker for job in await site.condor.jobs()):
            break
    assert 58 < time.time() - ended.status_since < 150
    await site.end()


async def test_the_accounting_group_is_the_sites_and_the_user_the_gateways(lab: RealLab) -> None:
    site = Site(lab, "127.0.0.1:1", "accountingGroup: group_dask.sub\n")
    await site.workers("w1", payload=STUBBORN)
    job = await site.until(JobStatus.RUNNING)
    said = lab.attribute(job.id, "AcctGroup", "AcctGroupUser", "AccountingGroup")
    assert said == "group_dask.sub alice group_dask.sub.alice"
    await site.end()
