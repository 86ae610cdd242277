"""A site's settings for its workers, each run once: real Dask workers in jobs of a real HTCondor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from htcdask_operator import settings
from htcdask_operator.condor.port import Condor
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.submit.template import resolve
from playground.build import worker_image
from playground.condor.bare import BarePool
from tests.builders import IMAGE, make_cluster, make_pool, make_template
from tests.contract.cluster import Cluster, dask_cluster
from tests.contract.labs import RealLab

_numbers = count(1)
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


class Site:
    """An operator's part of the access point, with these settings (YAML, as the chart writes them)."""

    def __init__(self, lab: RealLab, scheduler: str, text: str) -> None:
        self.policy: Policy = settings.parse(
            f"operatorId: settings-{next(_numbers)}\n"
            "gatewayNamespaces: [gateway]\n"
            "leader: {namespace: htcdask, name: htcdask}\n"
            f"accessPoint: {{collector: '{lab.pool.address}', schedd: '{lab.pool.schedd}'}}\n"
            f"tokenFile: /token\nschedulerAddress: {scheduler}\n" + text
        ).policy
        self.lab = lab
        self.condor: Condor = lab.operator(self.policy.operator_id)
        self.anchor = ""

    async def workers(
        self,
        *names: str,
        cluster: Cluster | None = None,
        payload: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Submit an anchor and workers as the core does; `payload`, or else the workers' own bundle."""
        asked = make_template(
            container_image=IMAGE, memory="600Mi", nanny=True, environment=environment or {}
        )
        facts, dask, policy = make_pool(template=asked), make_cluster(), self.policy
        template = resolve(facts, dask, policy)
        if cluster is not None:
            payload = render(descriptions.bundle(dask, template, policy), cluster.certificate, cluster.key)
        self.anchor = await self.condor.submit_anchor(
            descriptions.anchor(facts, dask, template, "hash", policy, time.time()), payload
        )
        jobs = await self.lab.until(self.condor, lambda jobs: any(job.stage_in_finish for job in jobs))
        await self.condor.hold([self.anchor], "keeps the workers' files")
        iwd = next(job.iwd for job in jobs if job.id == self.anchor) or ""
        described = descriptions.workers(facts, dask, template, "hash", iwd, policy, time.time())
        await self.condor.submit_workers(described, names)

    async def until(self, seen: JobStatus) -> Job:
        """The one worker, once it is in this state."""
        jobs = await self.lab.until(
            self.condor, lambda jobs: any(job.worker and job.status is seen for job in jobs)
        )
        return next(job for job in jobs if job.worker)

    async def end(self) -> None:
        """Nothing is left for the next test."""
        await self.condor.remove([job.id for job in await self.condor.jobs()], "the end of the test")
        await self.lab.until(self.condor, lambda jobs: not jobs)


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
async def test_workers_listen_where_they_may_however_their_files_came(
    lab: RealLab, tmp_path: Path, delivery: str
) -> None:
    text = f"workerPorts: '20100:20119'\nnannyPorts: '20120:20139'\ndelivery: {delivery}\n"
    async with dask_cluster(tmp_path) as cluster:
        site = Site(lab, cluster.address.removeprefix("tls://"), text)
        await site.workers("w1", "w2", cluster=cluster)
        try:
            await cluster.client.wait_for_workers(2, timeout=90)
        except TimeoutError:
            said = await site.condor.logs(site.anchor, ["w1", "w2"])
            raise AssertionError(f"{said} {await site.condor.jobs()}") from None
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
