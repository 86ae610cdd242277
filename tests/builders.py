"""Values for tests of the core, with sensible defaults: say only what the test is about.

make_pool(scaling="Manual", replicas=3)    make_job("a1", JobStatus.RUNNING)    make_cluster(wanted=4)
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from htcdask_api import ClusterRef, PoolSpec, PoolStatus, Template, names
from htcdask_operator.core.memory import ClusterMemory, PoolMemory
from htcdask_operator.core.model import (
    ClusterFacts,
    Gone,
    Job,
    JobStatus,
    Observed,
    PoolFacts,
    Role,
    SharedUsage,
    Unnamed,
    Unseen,
)
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.scaling.stabilization import Demand
from htcdask_operator.core.workers.contact import Contact
from htcdask_operator.state.usage import Usages

NOW = 1_800_000_000.0
POOL = "pool-uid"
CLUSTER = "cluster-uid"
IDENTITY = "dask@htcdask.test"
IMAGE = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/htcdask/worker:latest"
ACCESS_POINT_SILENT = Unseen("the schedd did not answer in 20 s")
API_SILENT = Unseen("the API server did not answer in 5 s")
SCHEDULER_SILENT = Unseen("the scheduler did not answer in 5 s")


def make_template(**fields: Any) -> Template:
    """A worker of one core in the site's image."""
    return Template(**({"container_image": IMAGE} | fields))


def make_pool(
    uid: str = POOL,
    *,
    template: Template | None = None,
    scaling: str = "Gateway",
    replicas: int = 0,
    max_replicas: int = 1000,
    finalized: bool = True,
    **facts: Any,
) -> PoolFacts:
    """A pool in the middle of its life: finalized and adopted."""
    spec = PoolSpec(
        cluster_ref=ClusterRef(name="abc"),
        scaling=scaling,  # type: ignore[arg-type]
        replicas=replicas,
        max_replicas=max_replicas,
        template=template or make_template(),
    )
    defaults: dict[str, Any] = {
        "namespace": "gateway",
        "name": f"default-{uid}",
        "generation": 1,
        "created_at": NOW - 1000,
        "status": PoolStatus(),
        "owner_uid": CLUSTER,
        "finalizers": (names.FINALIZER,) if finalized else (),
        "submitted_as": IDENTITY,
    }
    return PoolFacts(uid=uid, spec=spec, **(defaults | facts))


def make_cluster(wanted: int = 0, **facts: Any) -> ClusterFacts:
    """A running cluster with HTCondor workers."""
    defaults: dict[str, Any] = {
        "namespace": "gateway",
        "name": "abc",
        "uid": CLUSTER,
        "active": True,
        "running": True,
        "phase": "Running",
        "htcondor": True,
        "username": "alice",
        "credentials_secret": "dask-credentials-abc",
    }
    return ClusterFacts(replicas=wanted, **(defaults | facts))


def make_job(worker: str = "w1", status: JobStatus = JobStatus.IDLE, **facts: Any) -> Job:
    """A worker's job, idle since ten seconds; one that runs has been started five seconds ago."""
    defaults: dict[str, Any] = {
        "id": f"{worker}.0",
        "role": Role.WORKER,
        "pool_uid": POOL,
        "cluster_uid": CLUSTER,
        "owner": IDENTITY,
        "template_hash": "",
        "queued_at": NOW - 10,
        "status_since": NOW - 5,
    }
    if status in (JobStatus.RUNNING, JobStatus.COMPLETED):
        defaults |= {"shadow_starts": 1, "started_at": NOW - 5, "slot": "slot1", "machine": "node7"}
    return Job(worker=worker, status=status, **(defaults | facts))


def make_anchor(template_hash: str, status: JobStatus = JobStatus.HELD, **facts: Any) -> Job:
    """An anchor that is staged and held by us: usable."""
    defaults: dict[str, Any] = {
        "id": "1.0",
        "role": Role.ANCHOR,
        "pool_uid": POOL,
        "cluster_uid": CLUSTER,
        "worker": "",
        "owner": IDENTITY,
        "template_hash": template_hash,
        "queued_at": NOW - 100,
        "status_since": NOW - 90,
        "stage_in_finish": NOW - 99,
        "iwd": "/spool/1",
    }
    if status is JobStatus.HELD:
        defaults |= {"hold_code": 1, "hold_subcode": 1}
    return Job(status=status, **(defaults | facts))


def make_observed(
    cluster: ClusterFacts | Gone | Unseen | None = None,
    jobs: Iterable[Job] | Unseen = (),
    connected: Iterable[str] | Unnamed | Unseen = (),
    **facts: Any,
) -> Observed:
    """Everything answers; the queue is empty unless told."""
    defaults: dict[str, Any] = {"condor_identity": IDENTITY}
    return Observed(
        cluster=cluster or make_cluster(),
        jobs=jobs if isinstance(jobs, Unseen) else tuple(jobs),
        connected=connected if isinstance(connected, Unnamed | Unseen) else frozenset(connected),
        **(defaults | facts),
    )


def make_usage(jobs: Iterable[Job], policy: Policy, *own: str, user: str = "alice") -> SharedUsage:
    """What of these jobs counts for limits that clusters share, for the cluster whose pools are `own`."""
    usages, pools = Usages(), defaultdict[str, list[Job]](list)
    for job in jobs:
        pools[job.pool_uid].append(job)
        usages.changed(job.pool_uid)
    usages.count(pools, None, {})
    return usages.of(user, own, policy)


def make_policy(**settings: Any) -> Policy:
    """A site without profiles."""
    defaults: dict[str, Any] = {
        "operator_id": "htcdask",
        "scheduler_address": "gateway.example:443",
        "default_template": Template(),
    }
    return Policy(**(defaults | settings))


def make_memory(
    cluster: ClusterFacts | Gone | Unseen | None = None,
    *,
    now: float = NOW,
    dropped: Mapping[str, float] | None = None,
    **facts: Any,
) -> ClusterMemory:
    """Nothing, but that the scheduler has asked for as many for a minute, and since when it misses whom."""
    missing = {worker: now - at for worker, at in (dropped or {}).items()}
    defaults: dict[str, Any] = {"contact": Contact(frozenset(missing), missing, now)}
    if isinstance(cluster, ClusterFacts):
        defaults["demand"] = Demand(cluster.replicas, now - 60, cluster.replicas)
    return ClusterMemory(**(defaults | facts))


def plan_for(
    pools: Sequence[PoolFacts],
    observed: Observed,
    policy: Policy,
    now: float = NOW,
    memory: ClusterMemory | None = None,
    **facts: Any,
) -> Plan:
    """What the core plans; `facts` are those of `make_memory`. Manual pools are as they were a minute ago."""
    stand = {
        pool.uid: PoolMemory(demand=Demand(pool.spec.replicas, now - 60, pool.spec.replicas))
        for pool in pools
        if pool.spec.scaling == "Manual"
    }
    facts = {"pools": stand, **facts}
    return plan(pools, observed, memory or make_memory(observed.cluster, now=now, **facts), policy, now)
