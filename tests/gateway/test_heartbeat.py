"""How many workers the scheduler asks for: where the number goes, and what is not believed."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from dask_gateway.scheduler_preload import GatewaySchedulerService, make_gateway_client
from dask_gateway_server.app import DaskGateway
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import Cluster, ClusterStatus
from kubernetes_asyncio import client, config
from tornado.httpclient import HTTPClientError

from htcdask_heartbeats import BURST, SECONDS
from htcdask_operator.core.scaling import heartbeat
from htcdask_operator.core.submit import worker_names
from tests.gateway.conftest import LIMIT
from tests.gateway.servers import OURS, Site, configuration, extra_config, heard


def test_goes_to_a_field_that_the_stock_controller_does_not_know(site: Site) -> None:
    cluster = site.cluster()
    for count in (4, 0, 8):
        assert site.heartbeat(cluster, heard(count)) == 200
        assert "replicas" not in site.wants(cluster, count)["spec"]


def test_is_clamped_to_the_gateways_limit(site: Site) -> None:
    cluster = site.cluster()
    assert site.heartbeat(cluster, heard(LIMIT + 7)) == 200
    site.wants(cluster, LIMIT)


def test_of_a_cluster_with_kubernetes_workers_stays_the_gateways_own(site: Site) -> None:
    cluster = site.cluster(worker_backend="kubernetes")
    assert site.heartbeat(cluster, heard(3)) == 200
    spec = site.dask_cluster(cluster)["spec"]
    assert spec["replicas"] == 3
    assert "htcondorReplicas" not in spec


@pytest.fixture(scope="module")
def scaled(site: Site) -> str:
    """A cluster that has asked for two workers."""
    cluster = site.cluster()
    assert site.heartbeat(cluster, heard(2)) == 200
    site.wants(cluster, 2)
    site.wait(cluster, ".status.schedulerPod")  # the controller has nothing more to write
    return cluster


@pytest.mark.parametrize(
    "message",
    [*map(heard, (-3, "x", "4", 1.5, 4.0, True, None, 10**12, [4], {})), {}, [], 4],
    ids=lambda message: json.dumps(message)[:40],
)
def test_forged_changes_nothing(site: Site, scaled: str, message: object) -> None:
    before = site.dask_cluster(scaled)
    assert before["spec"]["htcondorReplicas"] == 2
    assert site.heartbeat(scaled, message) == 200
    assert site.dask_cluster(scaled) == before


def test_forged_is_logged_once_per_cluster(site: Site) -> None:
    first, second = site.cluster("eve"), site.cluster("eve")
    for cluster in (first, first, second, first, second):
        assert site.heartbeat(cluster, heard(-77)) == 200
    warnings = [line for line in site.api.log.read_text().splitlines() if "asked for -77 workers" in line]
    assert [
        cluster in line and "eve" in line for cluster, line in zip((first, second), warnings, strict=True)
    ]


@contextlib.asynccontextmanager
async def a_backend(site: Site, folder: Path) -> AsyncIterator[Any]:
    """Another server's, in this process, that knows no cluster."""
    path = folder / "dask_gateway_config.py"
    path.write_text(configuration(extra_config(OURS)))
    gateway = DaskGateway()
    gateway.initialize(["--config", str(path)])
    settings = client.Configuration()
    await config.load_kube_config(str(site.kubeconfig), client_configuration=settings)
    async with client.ApiClient(settings) as api_client:
        gateway.backend.custom_client = client.CustomObjectsApi(api_client)
        gateway.backend.clusters = {}
        gateway.backend.informer = SimpleNamespace(get={}.get)
        yield gateway.backend


async def test_for_a_cluster_that_has_just_gone_is_no_error(site: Site, tmp_path: Path) -> None:
    async with a_backend(site, tmp_path) as backend:
        for kind in ("htcondor", "kubernetes"):
            name, options = f"gateway.gone-{kind}", {"worker_backend": kind}
            backend.clusters[name] = Cluster(name, "ada", "", options, {}, ClusterStatus.RUNNING)
            await backend.on_cluster_heartbeat(name, heard(1))


@pytest.mark.parametrize("kind", ["htcondor", "kubernetes"])
async def test_what_a_user_scales_to_is_written_also_where_the_scheduler_does_not_say_it(
    site: Site, tmp_path: Path, kind: str
) -> None:
    name = site.cluster(worker_backend=kind)
    told = []

    class Session:
        async def post(self, url: str, **request: Any) -> None:
            told.append((url, request["json"]))

    async with a_backend(site, tmp_path) as backend:
        backend.session = Session()
        cluster = Cluster(name, "ada", "", {"worker_backend": kind}, {}, ClusterStatus.RUNNING)
        cluster.api_address = "http://scheduler"
        backend.clusters[name] = cluster
        scale = {"op": "scale", "count": 3}
        cluster.status = ClusterStatus.PENDING
        with pytest.raises(PublicException, match="not running"):
            await backend.forward_message_to_scheduler(cluster, {"op": "scale", "count": 7})
        cluster.status = ClusterStatus.RUNNING
        await backend.forward_message_to_scheduler(cluster, scale)
        await backend.forward_message_to_scheduler(cluster, {"op": "adapt", "active": False})
        assert told[0] == ("http://scheduler/api/comm", scale)
        await asyncio.sleep(0.5)
        spec = site.dask_cluster(name)["spec"]
        assert (spec.get("htcondorReplicas"), len(told)) == (3 if kind == "htcondor" else None, 2)
        asked = spec.get("htcondorAsked", {})
        assert (asked.get("replicas"), asked.get("wanted")) == (2 * (spec.get("htcondorReplicas"),))
        await backend.forward_message_to_scheduler(cluster, {"op": "adapt", "minimum": 1})
        await asyncio.sleep(0.5)
        asked = site.dask_cluster(name)["spec"].get("htcondorAsked", {})
        assert "replicas" not in asked and asked.get("wanted") == spec.get("htcondorReplicas")


def test_a_number_that_is_there_is_not_written_and_the_last_one_stays_whichever_replica_hears_it(
    site: Site,
) -> None:
    cluster = site.cluster()
    assert site.heartbeat(cluster, heard(1)) == 200
    site.wait(cluster, ".status.schedulerPod")
    before = site.dask_cluster(cluster)["metadata"]["generation"]
    for _ in range(3):
        assert site.heartbeat(cluster, heard(1)) == 200
    assert site.dask_cluster(cluster)["metadata"]["generation"] == before
    replica = replace(site, api=site.replica)
    for server, count in ((replica, 5), (site, 1), (replica, 1), (site, 5), (replica, 5), (site, 7)):
        assert server.heartbeat(cluster, heard(count)) == 200
        site.wants(cluster, count)


def test_a_flood_is_slowed_down_and_its_last_number_stays(site: Site) -> None:
    cluster = site.cluster()
    assert site.heartbeat(cluster, heard(1)) == 200
    before, began = site.dask_cluster(cluster)["metadata"]["generation"], time.monotonic()
    token, path = site.token(cluster), f"/api/v1/clusters/{cluster}/heartbeat"

    def beat(number: int) -> int:
        return site.api(None, "POST", path, heard(number % 2), token=token)[0]

    with ThreadPoolExecutor(20) as threads:
        answers = set(threads.map(beat, range(200)))
    assert {200, 429} <= answers <= {200, 429, 503}, "some are turned away at once, or to say it again"
    while site.heartbeat(cluster, heard(3)) == 503:
        time.sleep(0.5)
    cluster_now, took = site.wants(cluster, 3), time.monotonic() - began
    assert cluster_now["metadata"]["generation"] - before <= BURST + took / SECONDS + 1


async def test_a_heartbeat_has_room_for_so_many_names_and_what_is_larger_is_not_heard(site: Site) -> None:
    """What `heartbeat.NAMES` says, by dask-gateway's own part of a scheduler, with names of ours."""
    cluster = site.cluster()
    gateway = make_gateway_client(cluster, f"{site.api.url}/api", site.token(cluster))
    scheduler = Mock(address="tls://100.100.100.100:8786", workers_to_close=Mock(return_value=[]))
    service = GatewaySchedulerService(scheduler, io_loop=Mock(), gateway=gateway)
    service._dashboard_address = "http://100.100.100.100:8787"
    service.api_address = "http://100.100.100.100:8788"
    names = [
        name
        for second in range(7)
        for name in worker_names.new_names("pool-uid", worker_names.LARGEST_BATCH, (), 2e9 + second)
    ]
    assert all(len(name) == 12 for name in names)
    service.count, service.active_workers = 5, set(names[:1000])
    service.closed_workers = set(names[1000 : heartbeat.NAMES])
    await service.heartbeat()
    await asyncio.to_thread(site.wants, cluster, 5)
    service.count, service.closed_workers = 6, set(names[1000 : heartbeat.NAMES + 100])
    with pytest.raises(HTTPClientError) as refused:
        await service.heartbeat()
    assert refused.value.code == 413
    assert site.dask_cluster(cluster)["spec"]["htcondorReplicas"] == 5
