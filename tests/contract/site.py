"""One operator's part of a real access point: workers as the core describes them, by a site's settings."""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from typing import Any

from htcdask_operator import settings
from htcdask_operator.condor.port import Condor
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.submit.template import resolve
from tests.builders import IMAGE, make_cluster, make_pool, make_template
from tests.contract.cluster import Cluster
from tests.contract.labs import RealLab

_numbers = count(1)


class Site:
    """An operator's part of the access point, with these settings (YAML, as the chart writes them)."""

    def __init__(self, lab: RealLab, scheduler: str, text: str = "") -> None:
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
        **template: Any,
    ) -> None:
        """Submit an anchor and workers as the core does; `payload`, or else the workers' own bundle."""
        asked = make_template(
            **{"container_image": IMAGE, "memory": "600Mi", "nanny": True, **template},
            environment=environment or {},
        )
        facts, dask, policy = make_pool(template=asked), make_cluster(), self.policy
        worker = resolve(facts, dask, policy)
        if cluster is not None:
            payload = render(descriptions.bundle(dask, worker, policy), cluster.certificate, cluster.key)
        self.anchor = await self.condor.submit_anchor(
            descriptions.anchor(facts, dask, worker, "hash", policy, time.time()), payload
        )
        jobs = await self.lab.until(self.condor, lambda jobs: any(job.stage_in_finish for job in jobs))
        await self.condor.hold([self.anchor], "keeps the workers' files")
        iwd = next(job.iwd for job in jobs if job.id == self.anchor) or ""
        described = descriptions.workers(facts, dask, worker, "hash", iwd, policy, time.time())
        await self.condor.submit_workers(described, names)

    async def connected(self, cluster: Cluster, count: int, seconds: float = 90) -> None:
        """Wait until the scheduler has so many workers; what they and their jobs say goes into the error."""
        try:
            await cluster.client.wait_for_workers(count, timeout=seconds)
        except TimeoutError:
            jobs = await self.condor.jobs()
            said = await self.condor.logs(self.anchor, [job.worker for job in jobs if job.worker])
            raise AssertionError(f"{said} {jobs}") from None

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
