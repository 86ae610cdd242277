"""Every kopf handler: what Kubernetes tells us becomes a wake-up of one cluster, and nothing else.

`register` is called by `assemble` with a fresh registry. Events are only hints: a cycle asks the API server
itself. Events that change nothing a decision depends on, like our own status writes, wake nobody. There are
handlers of events alone, so kopf keeps nothing in an object, and nothing in an object can stop it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import kopf

from htcdask_api import PoolStatus, names
from htcdask_operator.core import mistake
from htcdask_operator.kube import bodies, clusters, pools
from htcdask_operator.ports import ClusterKey
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.state.known import Known
from htcdask_operator.watch.stateless import NO_FINALIZER, NoDiffBase, NoProgress

_log = logging.getLogger(__name__)

Body = Mapping[str, Any]
Seen = Callable[[str | None, Body], None]


def register(registry: kopf.OperatorRegistry, reconciler: Reconciler, known: Known) -> None:
    """Put the handlers into `registry`."""
    pool_event = _each_alone(names.KIND, known, lambda kind, body: _pool(kind, body, reconciler, known))
    cluster_event = _each_alone(
        names.DASKCLUSTER_KIND, known, lambda kind, body: _cluster(kind, body, reconciler, known)
    )

    @kopf.on.login(registry=registry)
    async def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    @kopf.on.event(names.GROUP, names.PLURAL, registry=registry, id="pool_seen")
    async def pool_seen(type: str | None, body: Body, **_: Any) -> None:
        pool_event(type, body)

    @kopf.on.event(names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL, registry=registry, id="cluster_seen")
    async def cluster_seen(type: str | None, body: Body, **_: Any) -> None:
        cluster_event(type, body)


def _each_alone(kind: str, known: Known, seen: Seen) -> Seen:
    """Every event is a sign of life of the watch; one that cannot be used is told once for its object."""
    failed: set[str] = set()

    def event(type: str | None, body: Body) -> None:
        known.clusters.events[kind] += 1
        metadata = bodies.mapping(body.get("metadata"))
        uid, where = (bodies.text(metadata.get(field)) for field in ("uid", "namespace"))
        try:
            seen(type, body)
        except Exception as error:
            if uid not in failed:
                name = bodies.text(metadata.get("name"))
                _log.error("%s %s/%s: the event is not used: %s", kind, where, name, mistake.of(error))
                failed.add(uid)
        else:
            failed.discard(uid)

    return event


def _pool(type: str | None, body: Body, reconciler: Reconciler, known: Known) -> None:
    seen = known.clusters.watched_pools
    facts = replace(pools.facts(body), status=PoolStatus())
    key = ClusterKey(facts.namespace, pools.cluster_name(body))
    if type == "DELETED":
        seen.pop(facts.uid, None)
        known.forget(facts.uid)
    elif seen.get(facts.uid) == facts:
        return
    else:
        seen[facts.uid] = facts
        known.clusters.saw_pools(key, [facts.uid])
    reconciler.wake(key)


def _cluster(type: str | None, body: Body, reconciler: Reconciler, known: Known) -> None:
    facts = clusters.facts(body)
    key = ClusterKey(facts.namespace, facts.name)
    if type == "DELETED":
        known.clusters.gone(key)
    elif known.clusters.watched_clusters.get(key) == facts:
        return
    else:
        known.clusters.heard(facts)
    if facts.htcondor or known.clusters.pools_of(key):
        reconciler.wake(key)


def settings(instance: str) -> kopf.OperatorSettings:
    """How kopf is to behave; every choice that its defaults would get wrong for us."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.scanning.disabled = True  # the CRDs are there before us (`__main__` looks), so no right on CRDs
    chosen.persistence.finalizer = NO_FINALIZER
    chosen.persistence.progress_storage = NoProgress()
    chosen.persistence.diffbase_storage = NoDiffBase()
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
    """kopf says at INFO that a handler succeeded: that is our everyday life."""
    logging.getLogger("kopf").setLevel(logging.WARNING)
