"""HTCondor worker pools for dask-gateway, inside an unmodified dask-gateway API server.

The gateway's configuration calls `configure(c)`, which adds this to whatever backend class the site has
(`scripts/render_gateway_values.py` writes it and its neighbours into values for the gateway's chart):
- a cluster option `worker_backend`, kept in `DaskCluster.spec.options`; the number that the scheduler of a
  cluster with htcondor asks for goes to `spec.htcondorReplicas`, so that the controller makes no worker pods,
  and what its user asked for last to `spec.htcondorAsked`;
- routes for the pools of one's own clusters and what their workers printed; bounds for all requests' bodies.
"""

import asyncio
import contextlib
import logging
import re
from typing import Any
from weakref import WeakValueDictionary

from aiohttp import web
from dask_gateway_server.backends.kubernetes.backend import KubeBackend
from dask_gateway_server.models import Cluster, ClusterStatus
from dask_gateway_server.routes import api_handler
from kubernetes_asyncio.client.rest import ApiException
from traitlets import Enum, Instance, Integer, default
from traitlets.utils.importstring import import_item

from htcdask_bodies import Bodies
from htcdask_config import fill, later_entries
from htcdask_errors import error, from_kubernetes
from htcdask_groups import WithGroups
from htcdask_heartbeats import WANTED_FIELD, DaskClusters, Heartbeats
from htcdask_logs import answer as logs
from htcdask_mark import mark
from htcdask_offer import answer as offer
from htcdask_options import HTCONDOR, KUBERNETES, WORKER_BACKEND_OPTION, WORKER_BACKENDS, WithWorkerBackend

# htcdask_api.names has these too, but is not installed where this runs; a test compares them.
GROUP, VERSION, KIND, PLURAL = "htcdask.org", "v1alpha1", "HTCWorkerPool", "htcworkerpools"
GATEWAY_GROUP, DASKCLUSTER_KIND, DASKCLUSTER_PLURAL = "gateway.dask.org", "DaskCluster", "daskclusters"
CLUSTER_LABEL = "htcdask.org/cluster"
START_SECONDS = 30.0  # at most, for reading all clusters; the rest is read when somebody asks
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LOG = logging.getLogger("DaskGateway")  # the server's own
Json = dict[str, Any]


def configure(c: Any, file: str | None = None) -> None:
    """Put the pools on top of the backend class that the configuration `c`, of this file, names so far."""
    if later := later_entries(file):
        LOG.warning(
            "gateway.extraConfig: %s come after zz-htcdask, which does not find what they set, and may be "
            "replaced by it: give them keys that sort before",
            ", ".join(later),
        )
    base = c.DaskGateway.get("backend_class", KubeBackend)
    base = import_item(base) if isinstance(base, str) else base
    if not issubclass(base, KubeBackend):
        raise ValueError(f"htcdask needs a Kubernetes backend, and c.DaskGateway.backend_class is {base}")
    where = {"__module__": __name__, "later_entries": later}  # the first for the server's log
    c.DaskGateway.backend_class = type(f"HTCDask{base.__name__}", (HTCDaskBackend, base), where)


class HTCDaskBackend(WithGroups):
    """What is added to the site's backend class; its settings are `c.HTCDaskBackend.<name>`."""

    default_worker_backend = Enum(WORKER_BACKENDS, KUBERNETES, help="If a user does not choose.", config=True)
    max_pools_per_cluster = Integer(8, min=1, help="The most HTCWorkerPools of one cluster.", config=True)
    heartbeats = Instance(Heartbeats)

    async def setup(self, app: web.Application) -> None:
        self._forgers: set[str] = set()
        self.pool_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        Bodies().install(app)
        for path, view in ROUTES.items():
            app.router.add_route("*", path, api_handler(user_authenticated=True)(view.answer))
        await super().setup(app)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._read_clusters(), START_SECONDS)

    async def cleanup(self) -> None:
        await self.heartbeats.flush()
        await super().cleanup()

    async def _read_clusters(self) -> None:
        """Before anybody asks: the stock server answers a DELETE of what it has not read yet as done."""
        for name in list(self.informer.cache):
            try:
                await self.get_cluster(name)
            except Exception as exc:  # whoever asks for this one gets the error, too
                self.log.warning("Cluster %s could not be read: %.500r", name, exc)

    async def get_cluster(self, cluster_name: str, wait: bool = False) -> Any:
        cluster = await super().get_cluster(cluster_name, wait=wait)
        if cluster is None and self.informer.get(cluster_name) is not None:
            await self.sync_cluster(cluster_name)
            cluster = self.clusters.get(cluster_name)
        return cluster

    async def get_cluster_options(self, user: Any) -> Any:
        return WithWorkerBackend(await super().get_cluster_options(user), self.default_worker_backend)

    async def on_cluster_heartbeat(self, cluster_name: str, msg: Any) -> None:
        cluster = self.clusters.get(cluster_name)
        if cluster is None or cluster.options.get(WORKER_BACKEND_OPTION) != HTCONDOR:
            await super().on_cluster_heartbeat(cluster_name, msg)
            return
        # User code in the scheduler can read the cluster's token, so the message is the user's to forge.
        count = msg.get("count") if isinstance(msg, dict) else None
        if type(count) is not int or not 0 <= count < 2**31:  # a bool is an int
            if cluster_name not in self._forgers:
                self._forgers = (self._forgers & self.clusters.keys()) | {cluster_name}
                text = "Cluster %s of user %s asked for %.40r workers: ignored, and not logged again"
                self.log.warning(text, cluster_name, cluster.username, count)
            return
        limit = cluster.config.get("cluster_max_workers")
        count = count if limit is None else min(count, limit)
        msg.clear()  # the server keeps it for as long as we hold the answer, and it may be large
        await self.heartbeats.heard(cluster_name, count, self.clusters)

    async def forward_message_to_scheduler(self, cluster: Any, msg: Json) -> None:
        if cluster.options.get(WORKER_BACKEND_OPTION) != HTCONDOR or cluster.status != ClusterStatus.RUNNING:
            await super().forward_message_to_scheduler(cluster, msg)  # it refuses all before it runs
            return
        count, asks = msg.get("count"), bool(msg.get("active", True))  # adapt(active=False) only ends adapt()
        number = count if msg.get("op") == "scale" and type(count) is int and 0 <= count < 2**31 else None
        async with self.heartbeats.asked(cluster.name, number, self.clusters, asks=asks):
            await super().forward_message_to_scheduler(cluster, msg)

    @default("heartbeats")  # type: ignore[untyped-decorator]
    def _heartbeats(self) -> Heartbeats:
        return Heartbeats(DaskClusters(self, (GATEWAY_GROUP, DASKCLUSTER_PLURAL)))


def shown(name: str, pool: Json) -> Json:
    told = {"name": name, "spec": pool["spec"], "status": pool.get("status") or {}}
    return {**told, "creationTimestamp": pool["metadata"]["creationTimestamp"]}


class View(web.View):
    """Tells that the pools are here, and what the site offers; and what the views of the pools share.

    They ask the Kubernetes API, not this server's cache: another replica may just have made the cluster.
    """

    def __init__(self, request: web.Request) -> None:
        super().__init__(request)
        self.backend = request.app["backend"]
        self.full_name = request.match_info.get("cluster_name", "")
        namespace, _, self.cluster_name = self.full_name.partition(".")
        self.clusters_path = (GATEWAY_GROUP, self.backend.crd_version, namespace, DASKCLUSTER_PLURAL)
        self.pools_path = (GROUP, VERSION, namespace, PLURAL)

    @classmethod
    async def answer(cls, request: web.Request) -> web.StreamResponse:
        try:
            return await cls(request)
        except ApiException as exc:
            raise from_kubernetes(exc) from exc

    async def get(self) -> web.Response:
        told = {"version": 1, "defaultWorkerBackend": self.backend.default_worker_backend}
        told |= await offer(self.backend, self.request["user"])
        return web.json_response({**told, "laterEntries": getattr(self.backend, "later_entries", [])})

    async def cluster(self, for_change: bool = False) -> Json:
        """The DaskCluster; 404 if it is not this gateway's and the user's, 409 to change a stopped one."""
        found: Json = {"items": []}
        if all(DNS_LABEL.fullmatch(part) for part in self.full_name.split(".", 1)) and self.cluster_name:
            found = await self.backend.custom_client.list_namespaced_custom_object(
                *self.clusters_path,
                field_selector=f"metadata.name={self.cluster_name}",
                label_selector=self.backend.label_selector,  # not a cluster of another gateway's users
            )
        for cluster in found["items"]:
            spec, status = cluster["spec"], cluster.get("status") or {}
            phase = ClusterStatus.from_name(status.get("phase", "Pending"))
            told = {field: spec.get(field) or {} for field in ("options", "config")}
            record = Cluster(self.full_name, spec.get("username", ""), token="", status=phase, **told)
            if not self.request["user"].has_permissions(record):
                continue
            ended = spec.get("active") is False or phase >= ClusterStatus.STOPPING
            if for_change and (ended or "deletionTimestamp" in cluster["metadata"]):
                raise error(409, f"Cluster {self.full_name} is stopped: start a new one")
            return cluster  # type: ignore[no-any-return]
        raise error(404, f"Cluster {self.full_name} not found")

    async def pools(self) -> dict[str, Json]:
        """The cluster's pools by their short names, oldest first."""
        found = await self.backend.custom_client.list_namespaced_custom_object(
            *self.pools_path, field_selector=f"spec.clusterRef.name={self.cluster_name}"
        )
        ours = [pool for pool in found["items"] if pool["spec"]["clusterRef"]["name"] == self.cluster_name]
        ours.sort(key=lambda pool: (pool["metadata"]["creationTimestamp"], pool["metadata"]["name"]))
        return {pool["metadata"]["name"].removesuffix(f"-{self.cluster_name}"): pool for pool in ours}

    async def pool(self, for_change: bool = False) -> tuple[str, Json]:
        """Its short name and the pool, if the cluster is the user's and the pool the cluster's."""
        await self.cluster(for_change)
        pools, name = await self.pools(), self.request.match_info["pool_name"]
        if name not in pools:
            raise error(404, f"Cluster {self.full_name} has no pool {name!r}; its pools: {list(pools)}")
        return name, pools[name]

    async def body(self, *fields: str) -> Json:
        """The request's JSON object, with exactly these fields and a `spec` that names no other cluster."""
        try:
            body = await self.request.json()
        except (ValueError, LookupError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise error(422, f"the body of the request must be a JSON object with {' and '.join(fields)}")
        for field in sorted(body.keys() ^ set(fields)):
            problem = "is missing" if field in fields else "is not for you to set: the gateway writes it"
            raise error(422, f"{field}: {problem}")
        if not isinstance(body["spec"], dict):
            raise error(422, "spec: must be an object")
        if body["spec"].setdefault("clusterRef", {"name": self.cluster_name}) != {"name": self.cluster_name}:
            raise error(422, "spec.clusterRef: must be the cluster in the address, or be left out")
        return body


class PoolsView(View):
    """All pools of one cluster."""

    async def get(self) -> web.Response:
        told = {"wanted": (await self.cluster())["spec"].get(WANTED_FIELD)}
        return web.json_response({**told, "pools": [shown(*item) for item in (await self.pools()).items()]})

    async def post(self) -> web.Response:
        cluster = await self.cluster(for_change=True)
        # One after the other from the body on: those that wait would fill the memory of everybody's server.
        async with self.backend.pool_locks.setdefault(self.full_name, asyncio.Lock()):
            return await self.make(cluster, await self.body("name", "spec"))

    async def make(self, cluster: Json, body: Json) -> web.Response:
        if (cluster["spec"].get("options") or {}).get(WORKER_BACKEND_OPTION) != HTCONDOR:
            raise error(409, f"Cluster {self.full_name} was not made with worker_backend={HTCONDOR!r}")
        short, name = body["name"], f"{body['name']}-{self.cluster_name}"
        if not isinstance(short, str) or not DNS_LABEL.fullmatch(short) or not DNS_LABEL.fullmatch(name):
            rule = f"1 to {62 - len(self.cluster_name)} of a-z, 0-9 and '-', a letter or digit at both ends"
            raise error(422, f"name: must be {rule}")
        owner: Json = {"apiVersion": f"{GATEWAY_GROUP}/{self.backend.crd_version}", "kind": DASKCLUSTER_KIND}
        owner |= {"name": self.cluster_name, "uid": cluster["metadata"]["uid"]}
        owner["blockOwnerDeletion"] = False  # true would need a right on the DaskCluster's finalizers
        lacking = fill(body["spec"].get("template"), cluster["spec"].get("config"), self.backend)
        metadata = {"name": name, "labels": {CLUSTER_LABEL: self.cluster_name}, "ownerReferences": [owner]}
        pool = {"apiVersion": f"{GROUP}/{VERSION}", "kind": KIND, "metadata": metadata, "spec": body["spec"]}
        others = await self.pools()
        if short in others or len(others) >= self.backend.max_pools_per_cluster:
            mine = f"a pool {short!r}: take another name, or delete that one"
            has = mine if short in others else f"{len(others)} pools, which is the most"
            raise error(409, f"Cluster {self.full_name} already has {has}")
        pool = await self.backend.custom_client.create_namespaced_custom_object(
            *self.pools_path, pool, field_validation="Strict"
        )
        if body["spec"].get("scaling") != "Manual":
            await mark(self.backend.custom_client, self.clusters_path, cluster["metadata"])
        return web.json_response({**shown(short, pool), "lacking": lacking}, status=201)


class PoolView(View):
    """One pool."""

    async def get(self) -> web.Response:
        return web.json_response(shown(*await self.pool()))

    async def patch(self) -> web.Response:
        name, pool = await self.pool(for_change=True)
        if "deletionTimestamp" in pool["metadata"]:
            raise error(409, f"Pool {name!r} of cluster {self.full_name} is being deleted")
        change = {"metadata": {"uid": pool["metadata"]["uid"]}}  # this one, no namesake
        options = {"field_validation": "Strict", "_content_type": "application/merge-patch+json"}
        async with self.backend.pool_locks.setdefault(self.full_name, asyncio.Lock()):
            pool = await self.backend.custom_client.patch_namespaced_custom_object(
                *self.pools_path, pool["metadata"]["name"], change | await self.body("spec"), **options
            )
        return web.json_response(shown(name, pool))

    async def delete(self) -> web.Response:
        pool = (await self.pool())[1]["metadata"]
        await self.backend.custom_client.delete_namespaced_custom_object(
            *self.pools_path, pool["name"], body={"preconditions": {"uid": pool["uid"]}}
        )
        return web.Response(status=204)


class LogsView(View):
    """What workers of one pool printed, once they had ended."""

    async def get(self) -> web.Response:
        _, pool = await self.pool()
        client, worker = self.backend.custom_client, self.request.query.get("worker")
        return web.json_response(await logs(client, self.pools_path[:3], pool, worker))


ROUTES = {
    "/api/v1/htcondor": View,
    "/api/v1/clusters/{cluster_name}/htcondor/pools": PoolsView,
    "/api/v1/clusters/{cluster_name}/htcondor/pools/{pool_name}": PoolView,
    "/api/v1/clusters/{cluster_name}/htcondor/pools/{pool_name}/logs": LogsView,
}
