"""The gateway under the client's tests: a real dask-gateway-server with HTCDask's own extension.

Run by `dask-gateway-server --config`. The backend starts schedulers and workers in its own process; what it
lacks of Kubernetes, the few objects that the extension reads and writes, is kept in memory and held to the
models of `htcdask_api`. Which options a user is offered depends on the user's name.
"""

import asyncio
import json
import os
import uuid
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import traitlets
from aiohttp import web
from dask_gateway_server.backends import db_base
from dask_gateway_server.backends.inprocess import InProcessBackend
from dask_gateway_server.backends.local import LocalClusterConfig
from dask_gateway_server.options import Bool, Float, Integer, Mapping, Options, Select, String
from kubernetes_asyncio.client.rest import ApiException
from pydantic import ValidationError
from traitlets import Dict, Unicode

import htcdask_gateway
from htcdask_api import PoolSpec, names

Json = dict[str, Any]

# On Kubernetes, the names of clusters carry their namespace.
db_base.uuid = SimpleNamespace(uuid4=lambda: SimpleNamespace(hex=f"gateway.{uuid.uuid4().hex}"))


class SiteClusterConfig(LocalClusterConfig):  # type: ignore[misc]
    image = Unicode("site/default:1", config=True)
    worker_cores = traitlets.Float(1, min=0, config=True)
    scheduler_extra_pod_config = Dict(config=True)
    worker_extra_pod_config = Dict(config=True)
    namespace = "gateway"


def refusal(status: int, message: str, field: str | None = None) -> ApiException:
    error = ApiException(status=status, reason=message)
    causes = [{"field": field, "message": message}] if field else []
    error.body = json.dumps({"message": message, "details": {"causes": causes}})  # type: ignore[assignment]
    return error


class KubernetesObjects:
    """DaskClusters, as the gateway has them, HTCWorkerPools with their logs, and what an operator says."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.pools: dict[str, Json] = {}
        self.logs: dict[str, list[Json]] = {}  # the workers of a pool's HTCWorkerLog
        self.offer: dict[str, str] | None = None
        self.holder = "operator"  # of the Lease
        self.created = datetime(2026, 1, 1)

    async def read_namespaced_config_map(self, name: str, namespace: str) -> Any:
        if (name, namespace) != (names.OFFER, "gateway") or self.offer is None:
            raise refusal(404, "not found")
        return SimpleNamespace(data=self.offer)

    async def get_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str
    ) -> Json:
        if plural == names.LOG_PLURAL:
            if name not in self.logs:
                raise refusal(404, "not found")
            owner = {"uid": self.pools[name]["metadata"]["uid"]}
            return {"metadata": {"ownerReferences": [owner]}, "workers": self.logs[name]}
        assert (plural, name, namespace) == ("leases", names.CLAIM, "gateway")
        return {"spec": {"holderIdentity": self.holder, "acquireTime": "today"}}

    async def list_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, field_selector: str, **selectors: str
    ) -> Json:
        field, _, name = field_selector.partition("=")
        if plural == names.PLURAL:
            assert field == "spec.clusterRef.name"
            return {"items": [p for p in self.pools.values() if p["spec"]["clusterRef"]["name"] == name]}
        cluster = self.backend.db.get_cluster(f"{namespace}.{name}")
        if cluster is None:
            return {"items": []}
        stopped = cluster.target > db_base.JobStatus.RUNNING
        spec = {"username": cluster.username, "options": cluster.options, "active": not stopped}
        spec["config"] = dict(cluster.config)
        metadata = {"name": name, "namespace": namespace, "uid": f"uid-of-{name}"}
        return {"items": [{"metadata": metadata, "spec": spec}]}

    async def create_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, pool: Json, **settings: str
    ) -> Json:
        try:
            spec = PoolSpec.model_validate(pool["spec"])
        except ValidationError as error:
            first = error.errors()[0]
            raise refusal(422, first["msg"], ".".join(map(str, ("spec", *first["loc"])))) from error
        if spec.template.container_image == "/refused/by/the/site.sif":
            raise refusal(422, "this image is not allowed here", "spec.template.containerImage")
        if pool["metadata"]["name"] in self.pools:
            raise refusal(409, f'{names.PLURAL} "{pool["metadata"]["name"]}" already exists')
        self.created += timedelta(seconds=1)
        created = self.created.isoformat() + "Z"
        stored = {**pool, "metadata": {**pool["metadata"], "creationTimestamp": created}}
        stored["metadata"]["uid"] = uuid.uuid4().hex
        self.pools[pool["metadata"]["name"]] = stored
        return stored

    async def patch_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, patch: Json, **settings: str
    ) -> Json:
        if plural == names.DASKCLUSTER_PLURAL:
            assert patch["metadata"].keys() == {"uid", "annotations"}  # a mark that nobody reads here
            return patch
        pool = self.pools[name]
        if patch["metadata"]["uid"] != pool["metadata"]["uid"]:
            raise refusal(409, "the UID in the precondition does not match")
        spec = {**pool["spec"], **patch["spec"]}
        try:
            PoolSpec.model_validate(spec)
        except ValidationError as error:
            raise refusal(422, error.errors()[0]["msg"], "spec") from error
        pool["spec"] = spec
        return pool

    async def delete_namespaced_custom_object(
        self, group: str, version: str, namespace: str, plural: str, name: str, body: Json
    ) -> None:
        if body["preconditions"]["uid"] != self.pools[name]["metadata"]["uid"]:
            raise refusal(409, "the UID in the precondition does not match")
        del self.pools[name]


class SiteBackend(htcdask_gateway.HTCDaskBackend, InProcessBackend):  # type: ignore[misc]
    crd_version = "v1alpha1"
    label_selector = ""
    informer = SimpleNamespace(cache={}, get={}.get)  # the clusters are in its own database

    async def forward_message_to_scheduler(self, cluster: Any, msg: Json) -> None:
        """Nor does what a user scales to go anywhere else."""
        await InProcessBackend.forward_message_to_scheduler(self, cluster, msg)

    async def on_cluster_heartbeat(self, cluster_name: str, msg: Any) -> None:
        """Workers are the backend's own here: the number goes where it always goes. Some users get none."""
        cluster = self.db.get_cluster(cluster_name)
        if cluster is not None and cluster.username.startswith("workerless"):
            msg = {**msg, "count": 0}
        await InProcessBackend.on_cluster_heartbeat(self, cluster_name, msg)

    async def setup(self, app: web.Application) -> None:
        self.custom_client = self.core_client = KubernetesObjects(self)
        app.router.add_get("/site/pools", self.show_pools)
        app.router.add_put("/site/pools/{name}/status", self.set_status)
        app.router.add_put("/site/pools/{name}/logs", self.set_logs)
        app.router.add_put("/site/offer", self.set_offer)
        app.router.add_put("/site/holder", self.set_holder)
        await super().setup(app)

    async def start_cluster(self, user: Any, cluster_options: Any) -> Any:
        if user.name.startswith("slow"):  # such a user's request is answered only after a while
            await asyncio.sleep(1)
        return await super().start_cluster(user, cluster_options)

    async def set_offer(self, request: web.Request) -> web.Response:
        """What the operator would write."""
        text = (await request.read()).decode()
        said = {"holder": "operator", "acquired": "today", "offer.json": text}
        self.custom_client.offer = said if text else None
        return web.Response()

    async def set_holder(self, request: web.Request) -> web.Response:
        """Whose Lease it is; nobody's once an operator has ended."""
        self.custom_client.holder = (await request.read()).decode()
        return web.Response()

    async def do_start_cluster(self, cluster: Any) -> AsyncIterator[Json]:
        """The schedulers of some users have an image that nobody can pull."""
        is_pending = cluster.username.startswith("pending")
        while is_pending and cluster.target <= db_base.JobStatus.RUNNING:  # noqa: ASYNC110 (it has no event)
            await asyncio.sleep(0.05)
        async for state in super().do_start_cluster(cluster):
            yield state

    async def show_pools(self, request: web.Request) -> web.Response:
        return web.json_response(list(self.custom_client.pools.values()))

    async def set_status(self, request: web.Request) -> web.Response:
        """What the operator would do."""
        self.custom_client.pools[request.match_info["name"]]["status"] = await request.json()
        return web.Response()

    async def set_logs(self, request: web.Request) -> web.Response:
        """Likewise, of what workers printed."""
        self.custom_client.logs[request.match_info["name"]] = await request.json()
        return web.Response()


def option_handler(options: Any) -> Json:
    return {"image": options.image}


def sizes_handler(options: Any) -> Json:
    return {"worker_cores": options.worker_cores, "worker_memory": int(options.worker_memory * 2**30)}


def fractions(user: Any) -> Options:
    """Parts of a core, memory in GiB, and an image among those that the site keeps."""
    return Options(
        Float("worker_cores", default=1, min=0.5, max=4, label="Cores"),
        Float("worker_memory", default=4, min=1, max=16, label="Memory (GiB)"),
        Select("image", ["site/science:2", "site/science:1"]),
        handler=lambda options: {
            "worker_cores": options.worker_cores,
            "worker_memory": int(options.worker_memory * 2**30),
            "image": options.image,
        },
    )


def variables(user: Any) -> Options:
    """Variables for scheduler and workers, beside what the site sets; any image."""
    return Options(
        String("image", default="site/science:2"),
        Mapping("environment", default={"OMP_NUM_THREADS": "1"}),
        handler=lambda options: {
            "image": options.image,
            "environment": {"SCRATCH": "/scratch/" + user.name, **options.environment},
        },
    )


STACKS = {"Base": "site/base:1", "Deep learning": "site/torch:1"}
NODES = {"Small (1 core)": (1, 2, 1), "Medium (2 cores)": (1.9, 6.5, 4)}


def stacks(user: Any) -> Options:
    """Environments and profiles by their names, each of which is a whole set of settings."""

    def handler(options: Any) -> Json:
        cores, memory, threads = options.profile
        sizes = {"worker_cores": cores, "worker_memory": f"{memory} G", "worker_threads": threads}
        return {"image": options.environment, **sizes}

    return Options(
        Select("environment", list(STACKS.items())), Select("profile", list(NODES.items())), handler=handler
    )


def pods(user: Any) -> Options:
    """What only Kubernetes has: where pods may run, and with what."""

    def handler(options: Any) -> Json:
        scheduler = {"scheduler_extra_pod_config": {"nodeSelector": {"pool": "core"}}}
        gpu = {"worker_extra_pod_config": {"nodeSelector": {"pool": "gpu"}}} if options.gpu else {}
        return {**scheduler, **gpu, "worker_cores": float(options.worker_cores)}

    return Options(
        Select("worker_cores", ["1", "2", "0.5"]),
        Select("worker_memory", ["usual", "large"]),
        Bool("gpu", default=False),
        handler=handler,
    )


def groups(user: Any) -> Options:
    """Who you are decides how much you may have."""
    most = 8 if user.name.endswith("-staff") else 2

    def handler(options: Any, user: Any) -> Json:
        return {"worker_cores": options.worker_cores, "cluster_max_cores": 10 * most}

    return Options(Integer("worker_cores", default=most // 2, min=1, max=most), handler=handler)


PUBLIC_SITES = {option.__name__: option for option in (fractions, variables, stacks, pods, groups)}


def cluster_options(user: Any) -> Options:
    if user.name.partition("-")[0] in PUBLIC_SITES:
        return PUBLIC_SITES[user.name.partition("-")[0]](user)
    if user.name.startswith("ncsa"):
        return Options(
            String("image", default="daskgateway/dask-gateway:latest", label="Image"), handler=option_handler
        )
    if user.name.startswith("sizes"):
        return Options(
            Integer("worker_cores", default=3, min=1, max=4),
            Float("worker_memory", default=1.5, min=1, max=8),
            Mapping("environment", default={}),
            handler=sizes_handler,
        )
    if user.name == "words":
        return Options(
            Float("worker_cores", default=0.8, min=0.1, max=4),
            Select("worker_memory", ["8 G", "4 G"]),
            String("environment", default="pytorch"),
            Select("profile", ["Small node", "Large node"]),
            String("cpus", default="1"),
            handler=lambda options: {},
        )
    return Options()


c: Any = globals()["c"]  # given by the loader of configuration files
c.DaskGateway.backend_class = SiteBackend if os.environ["SITE_EXTENSION"] == "yes" else InProcessBackend
c.Backend.cluster_options = cluster_options
c.Backend.cluster_config_class = SiteClusterConfig
c.Proxy.address = os.environ["SITE_ADDRESS"]
c.SimpleAuthenticator.password = "sesame"
c.DBBackendBase.cluster_heartbeat_period = 1
# Who is looked at while being started counts as failed, by a race of the in-process backend.
c.DBBackendBase.cluster_status_period = c.DBBackendBase.worker_status_period = 86400.0
