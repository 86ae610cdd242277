"""`HTCGateway` and `HTCGatewayCluster`: clusters of a real gateway (beside dask-gateway: `test_drop_in`)."""

import contextlib
import gc
import inspect
import operator
import socket
import time
import weakref
from pathlib import Path
from typing import Any

import aiohttp
import dask
import dask.distributed
import pytest
from dask_gateway import Gateway, GatewayCluster, GatewayClusterError, GatewayWarning
from dask_gateway.auth import BasicAuth

import htcdaskgateway
from htcdaskgateway import HTCGateway, HTCGatewayCluster, PoolStalledError, _client
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._worker_pools.access import pool_access
from htcdaskgateway._worker_pools.keywords import KEYWORDS
from tests.client.gateway_site import IMAGE, PASSWORD, Site


def test_new_cluster_lists_every_keyword() -> None:
    parameters = inspect.signature(htcdaskgateway.HTCGateway.new_cluster).parameters
    names = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    assert names[:6] == [
        *["self", "cluster_options", "shutdown_on_close", "container_image", "memory", "cpus"]
    ]  # NCSA's
    assert set(names[3:]) == KEYWORDS


def test_a_new_cluster_has_a_pool_and_workers_and_its_shutdown_leaves_nothing(site: Site) -> None:
    with site.gateway() as gateway:
        cluster = gateway.new_cluster(container_image=IMAGE, worker_cores=2, worker_memory=1.5)
        assert type(cluster) is HTCGatewayCluster
        assert type(cluster.gateway) is HTCGateway
        [pool] = site.pools_of(cluster.name)
        bare = cluster.name.removeprefix("gateway.")
        assert pool["metadata"]["name"] == f"default-{bare}"
        assert pool["spec"] == {
            "clusterRef": {"name": bare},
            "template": {"containerImage": IMAGE, "cores": 2, "memory": "1536Mi"},
        }
        cluster.scale(2)
        client = cluster.get_client()
        client.wait_for_workers(2, timeout=30)
        assert client.submit(operator.add, 1, 2).result(timeout=30) == 3
        cluster.adapt(0, 3)
        cluster.shutdown()
        assert gateway.list_clusters() == []


def test_a_submitted_cluster_has_a_pool_and_is_connected_to_by_name(site: Site) -> None:
    with site.gateway("grace") as gateway:
        name = gateway.submit(container_image=IMAGE)
        assert [pool["spec"]["template"] for pool in site.pools_of(name)] == [{"containerImage": IMAGE}]
        with gateway.connect(name, shutdown_on_close=True) as cluster:
            assert cluster.status == "running"
        assert gateway.list_clusters() == []


def test_the_cluster_class_alone_makes_a_cluster_and_its_pool(site: Site) -> None:
    auth = BasicAuth("linus", PASSWORD)
    with HTCGatewayCluster(address=site.address, auth=auth, container_image=IMAGE) as cluster:
        assert len(site.pools_of(cluster.name)) == 1
        assert [pool.name for pool in cluster.pools] == ["default"]


async def test_an_asynchronous_gateway_is_awaited_for_the_same(site: Site) -> None:
    async with site.gateway("async", asynchronous=True) as gateway:
        async with gateway.new_cluster(container_image=IMAGE) as cluster:
            await cluster.scale(1)
            async with cluster.get_client() as client:
                await client.wait_for_workers(1, timeout=30)
                assert await client.submit(operator.add, 1, 2) == 3
            [pool] = await cluster.pools
            assert pool.spec.template.container_image == IMAGE
            await site.set_status(cluster.name, {"desiredReplicas": 1, "connected": 1})
            assert "1 of 1 workers connected" in str(await cluster.explain())
            assert "1 of 1 workers connected" in repr(cluster)
            told = await cluster.logs()
            assert "scheduler" in told and len(told) == 2, "and its worker, by the name that it has"
            with pytest.raises(ValueError, match="-1"):
                await cluster.scale(-1)
        assert await gateway.list_clusters() == []


def test_cluster_options_choose_htcondor_and_give_sizes(site: Site) -> None:
    with site.gateway("sizes") as gateway:
        options = gateway.cluster_options()
        assert options.worker_backend == "htcondor"
        options.worker_cores = 2
        name = gateway.submit(options, environment={"A": "1"}, worker_memory="4Gi")
        assert gateway.get_cluster(name).options == {
            "worker_backend": "htcondor",
            "worker_cores": 2,
            "worker_memory": 4.0,
            "environment": {"A": "1"},
        }
        assert [pool["spec"]["template"] for pool in site.pools_of(name)] == [
            {"cores": 2, "memory": "4Gi", "environment": {"A": "1"}}
        ]
        gateway.stop_cluster(name)


async def test_plain_dask_gateway_makes_clusters_without_pools_beside_it(site: Site) -> None:
    auth = BasicAuth("plain", PASSWORD)
    async with (
        Gateway(site.address, auth=auth, asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
    ):
        assert type(cluster) is GatewayCluster
        bare = cluster.name.partition(".")[2]
        assert all(pool["spec"]["clusterRef"]["name"] != bare for pool in await site.pools())


def test_a_failed_cluster_lets_go_of_its_loop(site: Site) -> None:
    with site.gateway("loop") as gateway:
        with pytest.raises(ValueError, match="worker_cores") as refused:
            gateway.new_cluster(worker_cores=0)
        [frame] = [
            f for f in refused.traceback if f.name == "_init_internal" and Path(f.path).name == "_client.py"
        ]
        assert not frame.locals["self"].gateway._loop_runner.is_started()


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (
            lambda g, name: g.scale_cluster(name, -1),
            ValueError,
            "n must be a number of workers from 0, got -1",
        ),
        (lambda g, name: g.scale_cluster(name, 1.5), ValueError, "whole number"),
        (lambda g, name: g.adapt_cluster(name, minimum=-1), ValueError, "minimum must be"),
        (
            lambda g, name: g.adapt_cluster(name, min=0),
            TypeError,
            r"adapt\(\) has no keyword 'min': did you mean minimum\?",
        ),
        (lambda g, name: g.scale_cluster(name, 1, wait=True), TypeError, r"'wait': it takes n"),
        (lambda g, name: g.scale_cluster("gateway.nobody", 1), ValueError, "not found"),
        (lambda g, name: g.connect("gateway.nobody"), ValueError, "not found"),
    ],
)
def test_a_wrong_number_or_cluster_name_is_refused_in_words(
    site: Site, call: Any, kind: type[Exception], said: str
) -> None:
    with site.gateway("numbers") as gateway, pytest.raises(kind, match=said):
        call(gateway, "gateway.any")


def test_a_cluster_that_never_was_is_not_waited_for(site: Site) -> None:
    with site.gateway("nobody") as gateway:
        called = time.monotonic()
        with pytest.raises(ValueError, match=r"Cluster gateway\.nope not found"):
            gateway.connect("gateway.nope")
        assert time.monotonic() - called < 10, "the gateway itself would look for it for 20 s"


def test_a_gateway_that_failed_is_not_left_to_the_garbage_collector(site: Site) -> None:
    """Which may collect it, and close it, in the middle of the start of another one's loop: for ever."""
    gateway = site.gateway("collected")
    collected = weakref.ref(gateway)
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(ValueError):
            gateway.scale_cluster("gateway.nope", 1)
        del gateway
        assert collected() is None
    finally:
        gc.enable()


def test_what_is_no_name_of_a_cluster_is_refused_with_what_to_give(site: Site) -> None:
    with site.gateway("names") as gateway, gateway.new_cluster() as cluster:
        with pytest.raises(
            TypeError, match=f"name of a cluster.*: '{cluster.name}'; got a HTCGatewayCluster"
        ):
            gateway.connect(cluster)
        with pytest.raises(TypeError, match="got a int"):
            gateway.connect(3)


@pytest.mark.parametrize("end", ["stop_cluster", "shutdown"])
def test_a_cluster_that_has_ended_gives_no_client(site: Site, end: str) -> None:
    with site.gateway("ended-client") as gateway:
        cluster = gateway.new_cluster()
        cluster.shutdown() if end == "shutdown" else gateway.stop_cluster(cluster.name)
        called = time.monotonic()
        with pytest.raises(
            GatewayClusterError, match=f"{cluster.name}(: this cluster was shut down here| is not running: )"
        ):
            cluster.get_client()
        assert time.monotonic() - called < 10
        cluster.close()


def test_an_object_that_is_closed_here_says_so(site: Site) -> None:
    with site.gateway("closed-here") as gateway, gateway.new_cluster() as cluster:
        again = gateway.connect(cluster.name)
        again.close()
        for call in (again.get_client, lambda: again.wait_for_workers(1)):
            with pytest.raises(
                GatewayClusterError, match=r"is closed here: gateway\.connect\(name\) opens it"
            ):
                call()
        cluster.shutdown()
        for call in (cluster.get_client, lambda: cluster.wait_for_workers(1)):
            with pytest.raises(
                PoolStalledError, match=f"to cluster {cluster.name}: this cluster was shut down"
            ):
                call()


def test_an_object_that_is_closed_and_whose_cluster_has_ended_says_both(site: Site) -> None:
    with site.gateway("ended-and-closed") as gateway:
        cluster = gateway.connect(gateway.submit())
        gateway.stop_cluster(cluster.name)
        assert "has ended" in str(cluster.explain())
        cluster.close()
        with pytest.raises(PoolStalledError, match=r"No worker will come .*: the cluster has ended"):
            cluster.wait_for_workers(1)
        assert "the cluster has ended" in str(cluster.explain())
        with pytest.raises(ValueError, match="lines must be a whole number above 0"):
            cluster.logs(lines=-1)


def test_who_connected_last_takes_nobodys_news_away(site: Site) -> None:
    """Dask tells changes to one object alone: the others ask."""
    with (
        site.gateway("two-objects") as gateway,
        gateway.new_cluster() as mine,
        gateway.connect(mine.name) as second,
    ):
        mine.scale(1)
        with mine.get_client() as client:
            client.wait_for_workers(1, timeout=60)
            [(address, worker)] = client.scheduler_info()["workers"].items()
        name = worker["name"]
        assert "workers=1" in repr(mine)
        assert mine.logs().keys() == second.logs().keys() == {"scheduler", name}
        assert mine.logs(worker=address).keys() == mine.logs(worker=name).keys() == {name}


async def test_a_cluster_that_was_closed_before_it_started_is_not_asked_for(site: Site) -> None:
    async with site.gateway("closed-early", asynchronous=True) as gateway:
        cluster = gateway.new_cluster()
        await cluster.close()
        assert await cluster is cluster
        assert await gateway.list_clusters() == []


def test_a_scheduler_that_cannot_be_reached_is_told_as_such_and_not_waited_for(site: Site) -> None:
    with (
        dask.config.set({"distributed.comm.timeouts.connect": "8s"}),
        socket.create_server(("127.0.0.1", 0)) as silent,
        site.gateway("no-proxy", proxy_address=silent.getsockname()[1]) as gateway,
    ):
        with pytest.warns(GatewayWarning, match=r"does not answer from here at gateway://.*proxy_address"):
            cluster = gateway.new_cluster()
        called = time.monotonic()
        with pytest.raises(
            dask.distributed.TimeoutError, match=f"scheduler of cluster {cluster.name} did not"
        ):
            cluster.wait_for_workers(1, timeout=1)
        assert time.monotonic() - called < 8
        cluster.shutdown()


def test_who_connects_to_a_cluster_that_just_ends_is_told_so(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with site.gateway("ends-now") as gateway, gateway.new_cluster() as cluster:
        report = gateway.sync(gateway._cluster_report, cluster.name)
        cluster.shutdown()

        async def runs(*_: Any) -> Any:
            return report

        monkeypatch.setattr(Gateway, "_wait_for_start", runs)
        monkeypatch.setattr(_client, "refuse_unknown", runs)
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(GatewayClusterError, match=f"Cluster {cluster.name} is not running: .* ended"),
        ):
            gateway.connect(cluster.name)


def test_the_third_argument_of_scale_cluster_means_nothing(site: Site) -> None:
    with site.gateway("third") as gateway, gateway.new_cluster() as cluster:
        gateway.scale_cluster(cluster.name, 1, "htcondor")
        cluster.get_client().wait_for_workers(1, timeout=30)


def test_somebody_elses_cluster_is_neither_listed_nor_connected_to(site: Site) -> None:
    with site.gateway("owner") as owner, owner.new_cluster() as cluster, site.gateway("stranger") as stranger:
        assert stranger.list_clusters() == []
        with pytest.raises(aiohttp.ClientResponseError, match="does not allow this to user 'stranger'"):
            stranger.connect(cluster.name)
        with pytest.raises(ValueError, match="not found"):
            stranger.sync(pool_access(stranger, ClientConfig.read()).list, cluster.name)
        assert cluster.status == "running"


def test_a_wrong_password_is_refused_with_the_user_s_name(site: Site) -> None:
    with site.gateway(auth=BasicAuth("ada", "wrong")) as gateway:
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            gateway.new_cluster(container_image=IMAGE)
        assert refused.value.status == 401
        assert "did not accept the password or token of user 'ada' (BasicAuth)" in str(refused.value)


def test_an_address_is_taken_as_it_was_copied(site: Site) -> None:
    auth = BasicAuth("copied", PASSWORD)
    with HTCGateway(f" {site.address}\n", auth=auth) as gateway:
        assert gateway.address == site.address
        assert gateway.list_clusters() == []
    public = {"gateway.address": f"{site.address} ", "gateway.public-address": "/services/dask-gateway\n"}
    with dask.config.set(public), HTCGateway(auth=auth, proxy_address=f" {site.address} ") as gateway:
        assert gateway.address == site.address
        assert gateway._public_address == "/services/dask-gateway"
        assert gateway.proxy_address == f"gateway://{site.address.partition('//')[2]}"
        assert gateway.list_clusters() == []
    with HTCGatewayCluster(f"{site.address} ", auth=auth) as cluster:
        assert cluster.gateway.address == site.address
