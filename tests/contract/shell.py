"""The operator's whole loop on a real schedd, with Kubernetes and a Dask scheduler in memory.

One cluster with one pool, or more such, and operators that come and go. Which of a site's rules a test meets
is up to its operator's id: the rules of one bare pool look at `HTCDaskOperator`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from htcdask_operator.assemble import assemble
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.client import CondorClient
from htcdask_operator.core.model import Job, JobId, JobStatus, Role
from htcdask_operator.kube.port import Credentials
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.reconcile.cycle import ClusterTask
from playground.condor.bare import BarePool
from tests.builders import make_policy
from tests.contract.labs import remove_jobs
from tests.fakes.kube import FakeKube
from tests.fakes.scheduler import FakeScheduler
from tests.unit.site import KEY, LEASE, cluster_manifest, pool_manifest


class Operator:
    """The shell with empty memory and an agent of its own.

    `asked` counts its questions to the schedd, `seen` has each job as often as an answer named it: what
    stands for a moment only, as a held job that is replaced at once, is in no later look.
    """

    def __init__(
        self,
        pool: BarePool,
        token: Path,
        kube: FakeKube,
        clock: Callable[[], float],
        operator_id: str,
        payload: bytes | None,
        pause: float,
        **settings: Any,
    ) -> None:
        self.agent = CondorClient(AccessPoint(operator_id, pool.address, pool.schedd, token))
        self.scheduler = FakeScheduler()
        ports = Ports(self.agent, kube, self.scheduler)
        policy = make_policy(operator_id=operator_id, job_expiry_seconds=LEASE, **settings)
        self.parts = assemble(ports, policy, ("gateway",), clock, lease=("gateway", "operator"))
        self.task = ClusterTask()
        self.tasks = {KEY: self.task}
        self.asked: Counter[str] = Counter()
        self.seen: list[Job] = []
        self._pause = pause
        ask, query, submit = self.agent._process.ask, self.agent._query, self.agent.submit_anchor

        async def counted(method: str, *arguments: Any) -> Any:
            self.asked[method] += 1
            return await ask(method, *arguments)

        async def noted(constraint: str) -> tuple[Job, ...]:
            jobs = await query(constraint)
            self.seen.extend(jobs)
            return jobs

        async def with_payload(
            description: Mapping[str, str], bundle: bytes, identity: str | None = None
        ) -> JobId:
            return await submit(description, bundle if payload is None else payload, identity)

        self.agent._process.ask = counted  # type: ignore[method-assign]
        self.agent._query = noted  # type: ignore[method-assign]
        self.agent.submit_anchor = with_payload  # type: ignore[method-assign]

    async def round(self) -> None:
        """One poll, and one cycle of each cluster."""
        await self.parts.poller.tick()
        for key, task in self.tasks.items():
            await self.parts.reconciler.cycle.run(key, task)

    async def until(self, holds: Callable[[tuple[Job, ...]], object], seconds: float = 40) -> None:
        """Poll and cycle until the queue is as it should be."""
        async with asyncio.timeout(seconds):
            while not holds(await self.agent.jobs()):
                await self.round()
                await asyncio.sleep(self._pause)

    async def go_on(self, seconds: float) -> None:
        """Poll and cycle for so long."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            await self.round()
            await asyncio.sleep(self._pause)


class Shell:
    """Clusters whose workers are larger than any slot, at first one.

    `template`: None leaves a field to the profile.
    """

    def __init__(self, pool: BarePool, folder: Path, operator_id: str, **template: Any) -> None:
        self.pool = pool
        self.late = 0.0
        self._token = folder / "token"
        self._token.write_text(pool.token("dask"))
        self._operator_id = operator_id
        self.kube = FakeKube()
        self._template = {"cores": 1000, **template}
        self._pools: dict[ClusterKey, str] = {}
        self._operators: list[Operator] = []
        self.uid = self.add_cluster(KEY, "alice")

    def add_cluster(self, key: ClusterKey, user: str) -> str:
        """One more, of which all operators that come know; its pool's uid."""
        self.kube.secrets[key.namespace, f"dask-credentials-{key.cluster}"] = Credentials(
            "CERT", "KEY", "TOKEN"
        )
        self.kube.make_cluster(cluster_manifest(key.cluster, username=user))
        written = pool_manifest(key.cluster, **self._template)
        said = written["spec"]["template"]
        written["spec"]["template"] = {field: value for field, value in said.items() if value is not None}
        self._pools[key] = self.kube.make_pool(written)
        return self._pools[key]

    def operator(self, payload: bytes | None = None, pause: float = 0.1, **settings: Any) -> Operator:
        """One more, by these settings of the site.

        `payload`: what its workers run in place of their bundle; `pause`: seconds between its rounds.
        """
        clock = lambda: time.time() + self.late  # noqa: E731
        made = Operator(
            self.pool, self._token, self.kube, clock, self._operator_id, payload, pause, **settings
        )
        for key, uid in self._pools.items():
            made.parts.known.clusters.saw_pools(key, [uid])
            made.tasks.setdefault(key, ClusterTask())
        self._operators.append(made)
        return made

    def want(self, count: int, key: ClusterKey = KEY) -> None:
        """What the gateway's extension writes when the scheduler asks for so many workers."""
        self.kube.cluster_bodies[key.namespace, key.cluster]["spec"]["htcondorReplicas"] = count

    @property
    def status(self) -> dict[str, Any]:
        """The pool's, as it was written last."""
        found: dict[str, Any] = self.kube.pool_bodies["gateway", "default-c1"].get("status", {})
        return found

    @property
    def ready(self) -> tuple[str, str]:
        """The reason and the message of the pool's condition Ready."""
        return self.said("Ready")

    def said(self, condition: str) -> tuple[str, str]:
        """The reason and the message of one of the pool's conditions."""
        found = [its for its in self.status.get("conditions", ()) if its["type"] == condition]
        return (found[0]["reason"], found[0]["message"]) if found else ("", "")

    def told_of_failure(self) -> bool:
        """Whether a worker failed, and its last lines have come or will not."""
        failed = self.status.get("recentFailures", ())
        return bool(failed) and all(its.get("logTail") is not None for its in failed)

    async def leave(self) -> None:
        """End what was started; its jobs go with HTCondor."""
        for operator in self._operators:
            await operator.agent.close()

    async def close(self) -> None:
        """End what was started, and take its jobs out of the queue."""
        await self.leave()
        remove_jobs(self.pool, self._operator_id)


def idle(jobs: tuple[Job, ...]) -> list[str]:
    """The workers that wait."""
    return [job.worker for job in jobs if job.role is Role.WORKER and job.status is JobStatus.IDLE]


def anchors(jobs: tuple[Job, ...]) -> list[Job]:
    """The jobs that keep workers' files."""
    return [job for job in jobs if job.role is Role.ANCHOR]


def is_held(jobs: tuple[Job, ...]) -> bool:
    """Whether there is one anchor, held by the operator."""
    return [(job.status, job.hold_code) for job in anchors(jobs)] == [(JobStatus.HELD, 1)]
