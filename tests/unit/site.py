"""The shell on fakes: one cluster with one pool, and the pieces around them."""

from typing import Any

from htcdask_api import manifest, names
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.core.model import Job, JobStatus, PoolFacts, Role
from htcdask_operator.core.plan import plan
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.kube.port import Credentials
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.reconcile.cycle import ClusterTask, Cycle
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.state.known import Known
from htcdask_operator.watch.orphans import Orphans
from htcdask_operator.watch.poller import Poller
from tests.builders import make_policy
from tests.fakes.condor import FakeCondor, FakeSchedd
from tests.fakes.kube import FakeKube
from tests.fakes.scheduler import FakeScheduler

KEY = ClusterKey("gateway", "c1")
LEASE = 3600.0


def cluster_manifest(name: str = "c1", wanted: int = 0, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": names.GATEWAY_API_VERSION,
        "kind": names.DASKCLUSTER_KIND,
        "metadata": {"name": name, "namespace": "gateway"},
        "spec": {
            "username": "alice",
            "options": {"worker_backend": "htcondor"},
            "htcondorReplicas": wanted,
            **spec,
        },
        "status": {"phase": "Running", "credentials": f"dask-credentials-{name}"},
    }


def pool_manifest(cluster: str = "c1", **template: Any) -> dict[str, Any]:
    template = {"containerImage": "/cvmfs/image", **template}
    body = manifest.pool("gateway", names.pool_name("default", cluster), cluster, template=template)
    body["metadata"]["finalizers"] = [names.FINALIZER]
    return body


class Site:
    """Everything that the shell is made of, with outside systems in memory and a clock that stands still."""

    def __init__(self) -> None:
        self.schedd = FakeSchedd()
        self.condor = FakeCondor(self.schedd, "htcdask")
        self.kube = FakeKube()
        self.scheduler = FakeScheduler()
        self.known = Known()
        self.ports = Ports(self.condor, self.kube, self.scheduler)
        self.use_policy()
        self.woken: list[ClusterKey] = []
        self.poller = Poller(
            self.ports,
            self.known,
            PollIntervals(),
            LEASE,
            Orphans(self.ports, self.known, ("gateway",)),
            self.woken.append,
            self.clock,
        )
        self.task = ClusterTask()

    def use_policy(self, **settings: Any) -> None:
        """Decide by these settings of the site from now on."""
        self.policy = make_policy(job_expiry_seconds=LEASE, **settings)
        self.reconciler = Reconciler(Cycle(self.ports, self.known, self.policy, self.clock, plan))

    def clock(self) -> float:
        return self.schedd.now

    def add_cluster(self, name: str = "c1", wanted: int = 0) -> str:
        """A running cluster with a pool; the pool's uid."""
        self.kube.make_cluster(cluster_manifest(name, wanted))
        self.kube.secrets["gateway", f"dask-credentials-{name}"] = Credentials("CERT", "KEY", "TOKEN")
        uid = self.kube.make_pool(pool_manifest(name))
        self.known.clusters.pools[uid] = ClusterKey("gateway", name)
        return uid

    def add_pool(self, name: str, cluster: str = "c1", **spec: Any) -> str:
        """One more pool of a cluster; its uid."""
        body = pool_manifest(cluster)
        body["metadata"]["name"] = name
        body["spec"] |= spec
        uid = self.kube.make_pool(body)
        self.known.clusters.pools[uid] = ClusterKey("gateway", cluster)
        return uid

    def scale(self, count: int, name: str = "c1") -> None:
        self.kube.cluster_bodies["gateway", name]["spec"]["htcondorReplicas"] = count

    async def cycle(self) -> float | None:
        return await self.reconciler.cycle.run(KEY, self.task)

    async def poll(self) -> None:
        await self.poller.tick()
        await self.poller.answers()

    async def settle(self, seconds: int = 6) -> None:
        """Poll, cycle and let time pass; workers that run are connected a moment later."""
        for _ in range(seconds):
            await self.poll()
            await self.cycle()
            self.schedd.tick()
            self.scheduler.connected["gateway", "c1"] = {job.worker for job in self.jobs(JobStatus.RUNNING)}

    def jobs(self, status: JobStatus | None = None) -> list[Job]:
        found = [entry.job for entry in self.schedd.queue.values() if entry.job.role is Role.WORKER]
        return [job for job in found if status in (None, job.status)]

    def jobs_of(self, pool: str, status: JobStatus | None = None) -> list[Job]:
        """The workers of one pool."""
        return [job for job in self.jobs(status) if job.pool_uid == pool]

    async def pool(self, name: str = "c1") -> PoolFacts:
        (pool,) = await self.kube.pools("gateway", name)
        return pool

    def is_gone(self, uid: str) -> bool:
        """Whether Kubernetes has the pool no more."""
        return uid not in {body["metadata"]["uid"] for body in self.kube.pool_bodies.values()}

    async def condition(self, type_: str, uid: str | None = None) -> tuple[str, str, str]:
        (pool,) = (pool for pool in await self.kube.pools("gateway") if uid in (None, pool.uid))
        found = pool.status.condition(type_)
        assert found is not None
        return found.status, found.reason, found.message

    def condor_fails(self, why: str = "no route to the schedd") -> None:
        self.condor.failing = CondorError(why)
