"""Kubernetes as far as the operator asks it, in memory: objects are bodies, as the API server keeps them.

Held to the real API server by tests/contract/test_kube.py. `failing` makes every call fail, like an API
server that cannot be reached.
"""

import copy
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from htcdask_api import PoolStatus, WorkerLog, manifest, names
from htcdask_operator.core import sanitize
from htcdask_operator.core.model import ClusterFacts, ClusterUid, Gone, PoolFacts
from htcdask_operator.kube import clusters, logs, pools, scheduler_pods
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.port import Credentials, EventType


class FakeKube:
    def __init__(self) -> None:
        self.pool_bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self.cluster_bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self.pod_bodies: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.pods_asked = 0
        self.log_bodies: dict[tuple[str, str], dict[str, Any]] = {}
        self.secrets: dict[tuple[str, str], Credentials] = {}
        self.leases: dict[tuple[str, str], Lease] = {}
        self.offers: dict[str, Mapping[str, str]] = {}
        self.events: list[tuple[str, EventType, str, str]] = []  # pool, type, reason, message
        self.announced: list[tuple[str, EventType, str, str]] = []  # lease, type, reason, message
        self.status_writes = 0
        self.failing: str | None = None
        self.ending_namespaces: set[str] = set()
        self.version = 0  # of everything
        self.created = "2026-01-01T00:00:00Z"
        self._uids = (f"uid-{number}" for number in itertools.count(1))

    # --- arranging

    def make_cluster(self, body: Mapping[str, Any]) -> str:
        return self._create(self.cluster_bodies, body)

    def make_pool(self, body: Mapping[str, Any]) -> str:
        return self._create(self.pool_bodies, body)

    def edit_pool(self, namespace: str, name: str, **spec: Any) -> None:
        """A new spec is a new generation."""
        body = self.pool_bodies[namespace, name]
        body["spec"] |= spec
        body["metadata"]["generation"] += 1
        self.changed(body)

    def delete_pool(self, namespace: str, name: str) -> None:
        body = self.pool_bodies[namespace, name]
        body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self.set_finalizers(namespace, name, body["metadata"].get("finalizers", []))

    def set_finalizers(self, namespace: str, name: str, finalizers: list[str]) -> None:
        """The last finalizer of a deleted pool was all that kept it."""
        body = self.pool_bodies[namespace, name]
        body["metadata"]["finalizers"] = finalizers
        self.changed(body)
        if body["metadata"].get("deletionTimestamp") and not finalizers:
            del self.pool_bodies[namespace, name]

    def delete_cluster(self, namespace: str, name: str) -> None:
        """Nothing more: what belongs to it goes with `collect_garbage`, a little later."""
        self.changed(self.cluster_bodies.pop((namespace, name)))

    def collect_garbage(self) -> None:
        """What Kubernetes does with objects whose owners are all gone."""
        owners = {body["metadata"]["uid"] for body in self.cluster_bodies.values()}
        for (namespace, name), body in list(self.pool_bodies.items()):
            references = body["metadata"].get("ownerReferences", [])
            kept = not references or any(reference["uid"] in owners for reference in references)
            if not kept and not body["metadata"].get("deletionTimestamp"):
                self.delete_pool(namespace, name)

        there = {body["metadata"]["uid"] for body in self.pool_bodies.values()}
        for key, body in list(self.log_bodies.items()):
            if body["metadata"]["ownerReferences"][0]["uid"] not in there:
                del self.log_bodies[key]

    def changed(self, body: dict[str, Any]) -> None:
        """Each change of an object is a new version of it."""
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)

    def _create(self, kept: dict[tuple[str, str], dict[str, Any]], written: Mapping[str, Any]) -> str:
        body = copy.deepcopy(dict(written))
        uid = next(self._uids)
        body["metadata"] |= {"uid": uid, "generation": 1, "creationTimestamp": self.created}
        self.changed(body)
        kept[body["metadata"]["namespace"], body["metadata"]["name"]] = body
        return uid

    # --- the port

    async def cluster(self, namespace: str, name: str) -> ClusterFacts | Gone:
        self._answer("cluster")
        body = self.cluster_bodies.get((namespace, name))
        return Gone() if body is None else clusters.facts(body)

    async def clusters(self, namespace: str) -> tuple[ClusterFacts, ...]:
        self._answer("clusters")
        found = (body for (where, _), body in self.cluster_bodies.items() if where == namespace)
        return tuple(clusters.facts(copy.deepcopy(body)) for body in found)

    async def scheduler_pod(self, namespace: str, cluster: str) -> str | Gone:
        self._answer("scheduler_pod")
        self.pods_asked += 1
        body = self.pod_bodies.get((namespace, scheduler_pods.name(cluster)))
        return Gone() if body is None else scheduler_pods.waits_for(body)

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        self._answer("pools")
        return tuple(
            pools.facts(body)
            for (where, _), body in self.pool_bodies.items()
            if where == namespace and cluster in (None, pools.cluster_name(body))
        )

    async def create_pool(self, namespace: str, name: str, cluster: str, uid: ClusterUid) -> None:
        self._answer("create_pool")
        if there := self.pool_bodies.get((namespace, name)):
            pools.check_cluster(there, cluster)
        else:
            self.make_pool(manifest.owned_pool(namespace, name, cluster, uid))

    async def add_finalizer(self, pool: PoolFacts) -> None:
        there = self._finalizers("add_finalizer", pool)
        if there != pool.finalizers or self.pool_bodies[pool.namespace, pool.name]["metadata"].get(
            "deletionTimestamp"
        ):
            raise KubeError(f"pool {pool.name}", "it was changed meanwhile", 409)
        self.set_finalizers(pool.namespace, pool.name, [*there, names.FINALIZER])

    async def remove_finalizer(self, pool: PoolFacts) -> None:
        there = self._finalizers("remove_finalizer", pool)
        place = pool.finalizers.index(names.FINALIZER)
        if there[place : place + 1] != (names.FINALIZER,):
            raise KubeError(f"pool {pool.name}", "it was changed meanwhile", 409)
        self.set_finalizers(pool.namespace, pool.name, [*there[:place], *there[place + 1 :]])

    def _finalizers(self, what: str, pool: PoolFacts) -> tuple[str, ...]:
        """Another pool of that name is a test of the patch that fails, not an object that is gone."""
        self._answer(what)
        body = self.pool_bodies.get((pool.namespace, pool.name))
        if body is None:
            raise KubeError(f"{what} {pool.name}", "not found", 404, named=True)
        if body["metadata"]["uid"] != pool.uid:
            raise KubeError(f"pool {pool.name}", "it was changed meanwhile", 409)
        return tuple(body["metadata"].get("finalizers") or ())

    async def adopt(self, pool: PoolFacts, cluster: ClusterUid) -> None:
        metadata = self._body("adopt", pool)["metadata"]
        owner = manifest.owner_reference(pool.spec.cluster_ref.name, cluster)
        others = [known for known in metadata.get("ownerReferences", []) if known["uid"] != cluster]
        metadata["ownerReferences"] = [*others, owner]
        self.changed(self.pool_bodies[pool.namespace, pool.name])

    async def publish(self, pool: PoolFacts, status: PoolStatus) -> None:
        body = self._body("publish", pool)
        body["status"] = sanitize.status(status).model_dump(mode="json", by_alias=True, exclude_none=True)
        self.changed(body)
        self.status_writes += 1

    async def write_log(self, pool: PoolFacts, new: Sequence[WorkerLog], now: float) -> int:
        self._answer("write_log")
        found = self.log_bodies.get((pool.namespace, pool.name))
        body = logs.body(pool, new, copy.deepcopy(found), now)
        body["metadata"]["uid"] = next(self._uids) if found is None else found["metadata"]["uid"]
        self.log_bodies[pool.namespace, pool.name] = body
        return len(json.dumps(body, ensure_ascii=False).encode())

    async def post_event(self, pool: PoolFacts, kind: EventType, reason: str, message: str) -> None:
        self._answer("event")
        self.events.append((pool.name, kind, sanitize.reason(reason), sanitize.event(message)))

    async def announce(self, namespace: str, lease: str, kind: EventType, reason: str, message: str) -> None:
        self._answer("announce")
        self.announced.append((lease, kind, sanitize.reason(reason), sanitize.event(message)))

    async def credentials(self, namespace: str, secret: str) -> Credentials:
        self._answer("secret")
        if (namespace, secret) not in self.secrets:
            raise KubeError(f"secret {namespace}/{secret}", "not found", 404, named=True)
        return self.secrets[namespace, secret]

    async def ending(self, namespace: str) -> bool:
        self._answer("namespace")
        return namespace in self.ending_namespaces

    async def lease(self, namespace: str, name: str) -> Lease | None:
        self._answer("lease")
        return self.leases.get((namespace, name))

    async def write_lease(self, namespace: str, name: str, lease: Lease) -> Lease:
        self._answer("write_lease")
        known = self.leases.get((namespace, name))
        if known is None and namespace in self.ending_namespaces:
            raise KubeError(f"lease {name}", "forbidden: the namespace is being terminated", 403)
        if known is None and lease.version is not None:
            raise KubeError(f"lease {name}", "not found", 404, named=True)
        if known is not None and known.version != lease.version:
            raise KubeError(f"lease {name}", "somebody else has written it", 409)
        self.leases[namespace, name] = replace(lease, version=next(self._uids))
        return self.leases[namespace, name]

    async def write_offer(self, namespace: str, data: Mapping[str, str]) -> None:
        self._answer("write_offer")
        self.offers[namespace] = dict(data)

    def _body(self, what: str, pool: PoolFacts) -> dict[str, Any]:
        self._answer(what)
        body = self.pool_bodies.get((pool.namespace, pool.name))
        if body is None or body["metadata"]["uid"] != pool.uid:
            raise KubeError(f"{what} {pool.name}", "not found, or another of that name", 404, named=True)
        return body

    def _answer(self, what: str) -> None:
        if self.failing is not None:
            raise KubeError(what, self.failing)
