"""Every kopf handler: what Kubernetes tells us becomes a wake-up of one cluster, and nothing else.

`register` is called by `__main__` (and by tests) with a fresh registry. Events are only hints: a cycle asks
the API server itself. Events that change nothing a decision depends on, like our own status writes, wake
nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import kopf

from htcdask_api import PoolStatus, names
from htcdask_operator.kube import clusters, pools
from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.state.known import Known

_UNSAID: Final = ("failed temporarily", "finished with inconsistencies")
_WAIT: Final = 5.0  # a deleted pool's other events wait as long, such as the annotation that releases it


def register(registry: kopf.OperatorRegistry, reconciler: Reconciler, known: Known) -> None:
    """Put the handlers into `registry`."""
    seen_pools, seen_clusters = known.clusters.watched_pools, known.clusters.watched_clusters

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.PLURAL, registry=registry)
    async def pool_seen(type: str | None, body: Mapping[str, Any], **_: Any) -> None:
        cluster = pools.cluster_name(body)
        facts = replace(pools.facts(body), status=PoolStatus())
        if cluster is None:
            seen_pools[facts.uid] = facts  # and nothing can be done about it
            return
        key = ClusterKey(facts.namespace, cluster)
        if type == "DELETED":
            seen_pools.pop(facts.uid, None)
            reconciler.cycle.forget(facts.uid)
        elif seen_pools.get(facts.uid) == facts:
            return
        else:
            seen_pools[facts.uid] = facts
            known.clusters.saw_pools(key, [facts.uid])
        reconciler.wake(key)

    @kopf.on.event(names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL, registry=registry)
    async def cluster_seen(type: str | None, body: Mapping[str, Any], **_: Any) -> None:
        facts = clusters.facts(body)
        key = ClusterKey(facts.namespace, facts.name)
        if type == "DELETED":
            seen_clusters.pop(key, None)
            known.clusters.had_pools.discard(key)
        elif seen_clusters.get(key) == facts:
            return
        else:
            seen_clusters[key] = facts
        if facts.htcondor or known.clusters.pools_of(key):
            reconciler.wake(key)

    # Neither retries nor timeout: when those run out, kopf takes the finalizer away and leaves the jobs.
    @kopf.on.delete(names.GROUP, names.PLURAL, registry=registry)
    async def pool_deleted(body: Mapping[str, Any], **_: Any) -> None:
        namespace, name, uid = (body["metadata"][field] for field in ("namespace", "name", "uid"))
        released = reconciler.cycle.finalizer_may_go(uid)
        cluster = pools.cluster_name(body)
        if cluster is None:
            return  # never was submitted for
        reconciler.wake(ClusterKey(namespace, cluster))
        try:
            async with asyncio.timeout(_WAIT):
                await released.wait()
        except TimeoutError:
            raise kopf.TemporaryError(f"pool {name} still has jobs in the queue", delay=1) from None


def settings(instance: str) -> kopf.OperatorSettings:
    """How kopf is to behave; every choice that its defaults would get wrong for us."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.scanning.disabled = True  # the CRDs are there before us (`__main__` looks), so no right on CRDs
    chosen.persistence.finalizer = names.FINALIZER
    chosen.persistence.progress_storage = kopf.AnnotationsProgressStorage(prefix=names.GROUP)
    chosen.persistence.diffbase_storage = kopf.AnnotationsDiffBaseStorage(prefix=names.GROUP)
    chosen.posting.enabled = False  # Events are posted by `publish`, on transitions
    chosen.posting.reporting_component = names.GROUP
    chosen.posting.reporting_instance = instance
    chosen.watching.server_timeout = 300
    chosen.watching.connect_timeout = 10
    chosen.watching.inactivity_timeout = 70
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 10
    return chosen


def quieten() -> None:
    """kopf says at INFO that a handler succeeded, at ERROR that one waits: both are our everyday life.

    It also quotes what became of its own annotation, which has a pool's whole spec, environment and all.
    """
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("kopf.objects").addFilter(
        lambda record: not any(text in record.getMessage() for text in _UNSAID)
    )
