"""Pools by the Kubernetes API, for notebooks that have rights there (`htcdask.pool-api: kubernetes`).

One of the two implementations of `access.PoolAccess`; imports the Kubernetes client only when it is used.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from htcdask_api import Template, WorkerLog, WorkerLogs, manifest, names
from htcdaskgateway._errors import HTCDaskError, PoolRefusedError
from htcdaskgateway._worker_pools.pool import Pool, scaling

# The gateway has just written the DaskCluster. The API server that is asked here may be a moment behind.
_CLUSTER_SECONDS: Final = 10.0
_POLL_SECONDS: Final = 0.25
_SERVICE_ACCOUNT_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")

_REVIEWS: Final = ("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
_REVIEW: Final = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
_RIGHTS: Final = (
    ("create", names.GROUP, names.PLURAL),
    ("list", names.GROUP, names.PLURAL),
    ("get", names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL),
    ("use", names.GATEWAY_GROUP, names.DASKCLUSTER_PLURAL),  # the admission policy asks for it
)


def split_name(cluster: str, namespace: str | None = None) -> tuple[str, str]:
    """Namespace and name of the DaskCluster behind the gateway's `cluster`.

    dask-gateway on Kubernetes calls it `<namespace>.<name>`; `namespace` serves where a name carries none.
    """
    prefix, dot, name = cluster.partition(".")
    if dot:
        return prefix, name
    if namespace is None and _SERVICE_ACCOUNT_NAMESPACE.is_file():
        namespace = _SERVICE_ACCOUNT_NAMESPACE.read_text().strip()
    if not namespace:
        raise ValueError(f"the namespace of cluster {cluster!r} is not known: configure htcdask.namespace")
    return namespace, cluster


class KubernetesPools:
    """Speaks with the credentials of the pod, or else of the kubeconfig."""

    def __init__(self, namespace: str | None) -> None:
        self._namespace = namespace

    async def create(self, cluster: str, pool: str, template: Template, replicas: int | None = None) -> Pool:
        namespace, name = split_name(cluster, self._namespace)
        async with _custom_objects() as (api, refused):
            try:
                uid = await _uid(api, refused, namespace, name)
                spec = {"template": template.manifest(), **scaling(replicas)}
                body = manifest.owned_pool(namespace, names.pool_name(pool, name), name, uid, **spec)
                created = await api.create_namespaced_custom_object(
                    names.GROUP, names.VERSION, namespace, names.PLURAL, body, field_validation="Strict"
                )
            except refused as error:
                raise PoolRefusedError(
                    f"Kubernetes refused the worker pool of cluster {cluster}: {_said(error)}"
                ) from error
        return Pool.parse_object(created)

    async def scale(self, cluster: str, pool: str, replicas: int) -> None:
        # A patch of the spec, as the gateway's: it needs no right on the subresource.
        await self._change(
            "patch", cluster, pool, {"spec": {"replicas": replicas}}, field_validation="Strict"
        )

    async def delete(self, cluster: str, pool: str) -> None:
        await self._change("delete", cluster, pool)

    async def _change(self, verb: str, cluster: str, pool: str, *body: Any, **options: Any) -> None:
        namespace, name = split_name(cluster, self._namespace)
        where = (names.GROUP, names.VERSION, namespace, names.PLURAL, names.pool_name(pool, name))
        async with _custom_objects() as (api, refused):
            try:
                await getattr(api, f"{verb}_namespaced_custom_object")(*where, *body, **options)
            except refused as error:
                raise PoolRefusedError(
                    f"Kubernetes refused to {verb} pool {pool!r} of cluster {cluster}: {_said(error)}"
                ) from error

    async def list(self, cluster: str) -> list[Pool]:
        namespace, name = split_name(cluster, self._namespace)
        async with _custom_objects() as (api, refused):
            try:
                found = await api.list_namespaced_custom_object(
                    names.GROUP,
                    names.VERSION,
                    namespace,
                    names.PLURAL,
                    field_selector=f"spec.clusterRef.name={name}",
                )
            except refused as error:
                raise HTCDaskError(
                    f"Kubernetes did not list the worker pools of cluster {cluster}: {_said(error)}"
                ) from error
        pools = [Pool.parse_object(item) for item in found["items"]]
        return sorted(pools, key=lambda pool: (pool.created or "", pool.name))

    async def logs(self, cluster: str, pool: str) -> Sequence[WorkerLog] | None:
        namespace, name = split_name(cluster, self._namespace)
        where = (names.GROUP, names.VERSION, namespace, names.LOG_PLURAL, names.pool_name(pool, name))
        async with _custom_objects() as (api, refused):
            try:
                found = await api.get_namespaced_custom_object(*where)
            except refused as error:
                if getattr(error, "status", None) == 404:
                    return ()
                raise HTCDaskError(
                    f"Kubernetes did not show what workers of pool {pool!r} of cluster {cluster} printed: "
                    f"{_said(error)}"
                ) from error
        return WorkerLogs.model_validate(found).workers

    async def missing_rights(self, namespace: str) -> tuple[str, ...]:
        """What `create` and `list` may not do in this namespace, as `create htcworkerpools.htcdask.org`.

        HTCDaskError where the Kubernetes API does not say.
        """
        missing: tuple[str, ...] = ()
        async with _custom_objects() as (api, refused):
            for verb, group, plural in _RIGHTS:
                asked = {"namespace": namespace, "verb": verb, "group": group, "resource": plural}
                review = {**_REVIEW, "spec": {"resourceAttributes": asked}}
                try:
                    answer = await api.create_cluster_custom_object(*_REVIEWS, review)
                except refused as error:
                    raise HTCDaskError(f"Kubernetes does not say what you may do: {_said(error)}") from error
                if answer.get("status", {}).get("allowed") is not True:
                    missing += (f"{verb} {plural}.{group}",)
        return missing


@asynccontextmanager
async def _custom_objects() -> AsyncIterator[tuple[Any, type[Exception]]]:
    """The API, and the error with which it refuses."""
    try:
        from kubernetes.aio import client, config
    except ImportError as error:
        raise HTCDaskError(
            "htcdask.pool-api is 'kubernetes', and the Kubernetes client is not installed: "
            "pip install 'htcdask[kubernetes]', or set htcdask.pool-api to 'gateway'"
        ) from error
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)
    except config.ConfigException:
        try:
            await config.load_kube_config(client_configuration=configuration)
        except config.ConfigException as error:
            raise HTCDaskError(
                "htcdask.pool-api is 'kubernetes', and there is neither a service account nor a kubeconfig "
                f"here ({error}); set htcdask.pool-api to 'gateway' to need none"
            ) from error
    async with client.ApiClient(configuration) as connection:
        yield client.CustomObjectsApi(connection), client.ApiException


async def _uid(api: Any, refused: type[Exception], namespace: str, name: str) -> str:
    until = asyncio.get_running_loop().time() + _CLUSTER_SECONDS
    ask: Callable[..., Any] = api.get_namespaced_custom_object
    while True:
        try:
            cluster = await ask(
                names.GATEWAY_GROUP, names.GATEWAY_VERSION, namespace, names.DASKCLUSTER_PLURAL, name
            )
        except refused as error:
            if getattr(error, "status", None) != 404 or asyncio.get_running_loop().time() > until:
                raise
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return str(cluster["metadata"]["uid"])


def _said(error: Any) -> str:
    """The API server's own sentence, which names the field and the rule, or the missing right."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError, AttributeError):
        return f"{error.status} {error.reason}"
