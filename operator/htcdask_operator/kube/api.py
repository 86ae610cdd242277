"""The Kubernetes API by the official asynchronous client: what the operator asks of it, one method each.

Made by `__main__` for the operator's life. Its requests go through `ApiClient` itself (`requests`), because
the typed API classes import the models of all of Kubernetes (24 MB) and guess the content type of a patch
wrongly. kopf watches with its own client; this one only asks and writes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from kubernetes.aio import config
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from htcdask_api import PoolStatus, WorkerLog, manifest, names
from htcdask_operator.core import sanitize
from htcdask_operator.core.model import ClusterFacts, ClusterUid, Gone, PoolFacts
from htcdask_operator.kube import (
    bodies,
    clusters,
    discovery,
    events,
    finalizers,
    leases,
    logs,
    pools,
    scheduler_pods,
)
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.port import Credentials, EventType
from htcdask_operator.kube.requests import Lane, Requests

_log = logging.getLogger(__name__)

MANAGER: Final = "htcdask-operator"
_CLUSTERS: Final = (names.GATEWAY_API_VERSION, names.DASKCLUSTER_KIND)
_POOLS: Final = (names.API_VERSION, names.KIND)
_CLUSTER: Final = "kube-system"
_AS_US: Final = {"fieldManager": MANAGER, "force": "true"}
_APPLY: Final = "application/apply-patch+yaml; charset=utf-8"
_JSON_PATCH: Final = "application/json-patch+json"
_MERGE: Final = "application/merge-patch+json"
_DEADLINE: Final = 15.0
_UNTIL_ASKED_AGAIN: Final = 5.0


class KubeApi:
    """The port `Kube`, on a real API server."""

    def __init__(self, client: ApiClient, instance: str, deadline: float = _DEADLINE) -> None:
        self._client = client
        self._request = Requests(client, deadline).send
        self._instance = instance

    async def close(self) -> None:
        """Drop the connections."""
        await self._client.close()

    async def wait_for_cluster_uid(self) -> str:
        """The uid of this Kubernetes cluster, once it is told: that of kube-system, which lives as long."""
        path = f"/api/v1/namespaces/{_CLUSTER}"
        said = None
        while True:
            try:
                found = bodies.one(
                    f"GET {path}", await self._request("GET", path), "v1", "Namespace", _CLUSTER
                )
                return bodies.text(bodies.mapping(found["metadata"])["uid"])
            except KubeError as error:
                why = str(error)
                if error.status in (401, 403):
                    why += f"; the operator's ClusterRole needs get on the namespace {_CLUSTER}"
            if why != said:
                _log.warning("Waiting to learn which Kubernetes cluster this is: %s", why)
                said = why
            await asyncio.sleep(_UNTIL_ASKED_AGAIN)

    async def wait_for_resources(self) -> None:
        """Return once this cluster has both kinds of objects that the operator works on."""
        said = None
        while (missing := await self._missing_resource()) is not None:
            if missing != said:
                _log.warning("Waiting: %s", missing)
                said = missing
            await asyncio.sleep(_UNTIL_ASKED_AGAIN)

    async def _missing_resource(self) -> str | None:
        wanted = (
            (names.API_VERSION, names.PLURAL, names.GROUP),
            (names.GATEWAY_API_VERSION, names.DASKCLUSTER_PLURAL, names.GATEWAY_GROUP),
        )
        try:
            served = discovery.versions(await self._request("GET", "/apis"))
            for version, plural, group in wanted:
                known = await self._request("GET", f"/apis/{version}") if version in served else {}
                if plural not in discovery.resources(known):
                    return f"the CustomResourceDefinition {plural}.{group} is not installed in this cluster"
        except KubeError as error:
            return str(error)
        return None

    async def cluster(self, namespace: str, name: str) -> ClusterFacts | Gone:
        if not name:
            return Gone()  # what a pool names that cannot be read; this path would list them all
        path = _path(names.GATEWAY_API_VERSION, namespace, names.DASKCLUSTER_PLURAL, name)
        found = await self._found(path)
        if isinstance(found, Gone):
            return found
        return clusters.facts(bodies.one(f"GET {path}", found, *_CLUSTERS, name))

    async def clusters(self, namespace: str) -> tuple[ClusterFacts, ...]:
        path = _path(names.GATEWAY_API_VERSION, namespace, names.DASKCLUSTER_PLURAL)
        answer = await self._request("GET", path, lane=Lane.LIST)
        return tuple(map(clusters.facts, bodies.every(f"GET {path}", answer, *_CLUSTERS, namespace)))

    async def scheduler_pod(self, namespace: str, cluster: str) -> str | Gone:
        name = scheduler_pods.name(cluster)
        path = _path("v1", namespace, "pods", name)
        found = await self._found(path)
        if isinstance(found, Gone):
            return found
        return scheduler_pods.waits_for(bodies.one(f"GET {path}", found, "v1", "Pod", name))

    async def pools(self, namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
        query = {} if cluster is None else {"fieldSelector": f"spec.clusterRef.name={cluster}"}
        path = _pools_path(namespace)
        answer = await self._request("GET", path, query=query, lane=Lane.LIST)
        return tuple(map(pools.facts, bodies.every(f"GET {path}", answer, *_POOLS, namespace)))

    async def create_pool(self, namespace: str, name: str, cluster: str, uid: ClusterUid) -> None:
        body = manifest.owned_pool(namespace, name, cluster, uid)
        try:
            await self._request("POST", _pools_path(namespace), body=body)
        except KubeError as error:
            there = await self._found(path := _pools_path(namespace, name)) if error.status == 409 else Gone()
            if isinstance(there, Gone):
                raise
            pools.check_cluster(bodies.one(f"GET {path}", there, *_POOLS, name), cluster)

    async def add_finalizer(self, pool: PoolFacts) -> None:
        await self._patch(pool, finalizers.addition(pool))

    async def remove_finalizer(self, pool: PoolFacts) -> None:
        await self._patch(pool, finalizers.removal(pool))

    async def adopt(self, pool: PoolFacts, cluster: ClusterUid) -> None:
        owner = manifest.owner_reference(pool.spec.cluster_ref.name, cluster)
        await self._apply(pool, {"metadata": {"ownerReferences": [owner]}})

    async def publish(self, pool: PoolFacts, status: PoolStatus) -> None:
        content = sanitize.status(status).model_dump(mode="json", by_alias=True, exclude_none=True)
        await self._apply(pool, {"status": content}, "status")

    async def write_log(self, pool: PoolFacts, new: Sequence[WorkerLog], now: float) -> int:
        path = _path(names.API_VERSION, pool.namespace, names.LOG_PLURAL, pool.name)
        answer = await self._found(path)
        kind = names.API_VERSION, names.LOG_KIND
        found = None if isinstance(answer, Gone) else bodies.one(f"GET {path}", answer, *kind, pool.name)
        body = logs.body(pool, new, found, now)
        written = json.dumps(body, ensure_ascii=False).encode()  # as in _apply
        await self._request("PATCH", path, body=written, query=_AS_US, content_type=_APPLY)
        return len(written)

    async def post_event(self, pool: PoolFacts, kind: EventType, reason: str, message: str) -> None:
        about = events.Object(names.API_VERSION, names.KIND, pool.namespace, pool.name, pool.uid)
        body = events.written(about, kind, reason, message, self._instance, time.time())
        await self._request("POST", _path("v1", pool.namespace, "events"), body=body)

    async def announce(self, namespace: str, lease: str, kind: EventType, reason: str, message: str) -> None:
        found = await self._found(_lease_path(namespace, lease))
        # Who describes an object sees the Events of its uid; those of its namespace are listed without.
        uid = "" if isinstance(found, Gone) else bodies.text(bodies.mapping(found.get("metadata")).get("uid"))
        about = events.Object(leases.API_VERSION, leases.KIND, namespace, lease, uid)
        body = events.written(about, kind, reason, message, self._instance, time.time())
        await self._request("POST", _path("v1", namespace, "events"), body=body)

    async def credentials(self, namespace: str, secret: str) -> Credentials:
        path = _path("v1", namespace, "secrets", secret)
        found = bodies.one(f"GET {path}", await self._request("GET", path), "v1", "Secret", secret)
        data = bodies.mapping(found.get("data"))
        try:
            certificate, key, token = (_text(data[name]) for name in ("dask.crt", "dask.pem", "api-token"))
        except (KeyError, ValueError, TypeError):
            raise KubeError(
                f"Secret {namespace}/{secret}", "has no dask.crt, dask.pem or api-token"
            ) from None
        return Credentials(certificate, key, token)

    async def lease(self, namespace: str, name: str) -> Lease | None:
        path = _lease_path(namespace, name)
        found = await self._found(path, Lane.LEASE)
        return None if isinstance(found, Gone) else _lease(f"GET {path}", found, name)

    async def write_lease(self, namespace: str, name: str, lease: Lease) -> Lease:
        body = leases.written(name, lease)
        path = _lease_path(namespace, name)
        if lease.version is None:
            made = await self._request("POST", _lease_path(namespace), body=body, lane=Lane.LEASE)
            return _lease(f"POST {path}", made, name)
        written = await self._request("PATCH", path, body=body, content_type=_MERGE, lane=Lane.LEASE)
        return _lease(f"PATCH {path}", written, name)

    async def write_offer(self, namespace: str, data: Mapping[str, str]) -> None:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": names.OFFER}, "data": data}
        path = _path("v1", namespace, "configmaps", names.OFFER)
        written = json.dumps(body, ensure_ascii=False).encode()  # as in _apply
        await self._request("PATCH", path, body=written, query=_AS_US, content_type=_APPLY)

    async def ending(self, namespace: str) -> bool:
        path = f"/api/v1/namespaces/{quote(namespace, safe='')}"
        answer = await self._found(path, Lane.LEASE)
        if isinstance(answer, Gone):
            return True
        found = bodies.one(f"GET {path}", answer, "v1", "Namespace", namespace)
        return bodies.mapping(found["metadata"]).get("deletionTimestamp") is not None

    async def _found(self, path: str, lane: Lane = Lane.OBJECT) -> Any:
        """What is there; Gone if the API server knows of nothing."""
        try:
            return await self._request("GET", path, lane=lane)
        except KubeError as error:
            if error.gone:
                return Gone()
            raise

    async def _patch(self, pool: PoolFacts, operations: Sequence[finalizers.Operation]) -> None:
        """A JSON patch: all of it, or nothing if one of its tests fails."""
        path = _pools_path(pool.namespace, pool.name)
        try:
            await self._request("PATCH", path, body=list(operations), content_type=_JSON_PATCH)
        except KubeError as error:
            # What is wrong with the object is said by its name, a test that failed of no object.
            if error.status == 422 and not error.named:
                raise KubeError(f"pool {pool.name}", "it was changed meanwhile", 409) from error
            raise

    async def _apply(self, pool: PoolFacts, content: Mapping[str, Any], subresource: str = "") -> None:
        """Server-side apply. The uid makes it fail, not create a pool, when the pool has gone meanwhile."""
        metadata = {**content.get("metadata", {}), "name": pool.name, "uid": pool.uid}
        body = {"apiVersion": names.API_VERSION, "kind": names.KIND, **content, "metadata": metadata}
        path = _pools_path(pool.namespace, pool.name, subresource)
        # The API server reads this as YAML, which knows no surrogate pairs: characters go as they are.
        written = json.dumps(body, ensure_ascii=False).encode()
        try:
            await self._request("PATCH", path, body=written, query=_AS_US, content_type=_APPLY)
        except KubeError as error:
            if error.named and (
                (error.status == 409 and "uid mismatch" in str(error))
                or (error.status == 422 and "metadata.uid" in str(error))
            ):
                why = "gone; another may have its name now"
                raise KubeError(f"pool {pool.name}", why, 404, named=True) from error
            raise


async def connect(instance: str) -> KubeApi:
    """As the pod's service account inside a cluster, else by the kubeconfig."""
    configuration = Configuration()
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(client_configuration=configuration)
    return KubeApi(ApiClient(configuration), instance)


def _text(value: str) -> str:
    return base64.b64decode(value, validate=True).decode()


def _lease(what: str, body: Mapping[str, Any], name: str) -> Lease:
    return leases.read(bodies.one(what, body, leases.API_VERSION, leases.KIND, name))


def _path(version: str, namespace: str, plural: str, *rest: str) -> str:
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    parts = ("namespaces", namespace, plural, *(part for part in rest if part))
    return "/".join((root, *(quote(part, safe="") for part in parts)))


def _pools_path(namespace: str, *rest: str) -> str:
    return _path(names.API_VERSION, namespace, names.PLURAL, *rest)


def _lease_path(namespace: str, *rest: str) -> str:
    return _path(leases.API_VERSION, namespace, leases.PLURAL, *rest)
