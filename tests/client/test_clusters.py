"""Clusters of a real dask-gateway-server with HTCDask's extension: what is made, what is left behind."""

import asyncio
import operator
from typing import Any

import aiohttp
import dask
import pytest
from dask_gateway import Gateway, GatewayCluster, GatewayClusterError
from dask_gateway.auth import BasicAuth

from htcdaskgateway import (
    ExtensionMissingError,
    HTCGateway,
    HTCGatewayCluster,
    PoolRefusedError,
)
from tests.client.gateway_site import PASSWORD, Site

IMAGE = "/cvmfs/unpacked.cern.ch/registry.hub.docker.com/htcdask/worker:latest"


def pools(site: Site, cluster: str) -> list[dict[str, Any]]:
    """The stored pools of a cluster."""
    bare = cluster.partition(".")[2]
    return [p for p in asyncio.run(site.pools()) if p["spec"]["clusterRef"]["name"] == bare]


def tell(site: Site, cluster: str, **status: Any) -> None:
    asyncio.run(site.set_status(cluster, status))


def test_a_cluster_its_pool_its_workers_and_its_end(site: Site) -> None:
    with site.gateway() as gateway:
        cluster = gateway.new_cluster(container_image=IMAGE, worker_cores=2, worker_memory=1.5)
        assert type(cluster) is HTCGatewayCluster
        assert type(cluster.gateway) is HTCGateway
        [pool] = pools(site, cluster.name)
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


def test_submit_and_connect(site: Site) -> None:
    with site.gateway("grace") as gateway:
        name = gateway.submit(container_image=IMAGE)
        assert [pool["spec"]["template"] for pool in pools(site, name)] == [{"containerImage": IMAGE}]
        with gateway.connect(name, shutdown_on_close=True) as cluster:
            assert cluster.status == "running"
        assert gateway.list_clusters() == []


def test_the_cluster_class_alone(site: Site) -> None:
    auth = BasicAuth("linus", PASSWORD)
    with HTCGatewayCluster(address=site.address, auth=auth, container_image=IMAGE) as cluster:
        assert len(pools(site, cluster.name)) == 1
        assert [pool.name for pool in cluster.pools] == ["default"]


async def test_asynchronously(site: Site) -> None:
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
            assert await cluster.logs() == {}
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
        assert [pool["spec"]["template"] for pool in pools(site, name)] == [
            {"cores": 2, "memory": "4Gi", "environment": {"A": "1"}}
        ]
        gateway.stop_cluster(name)


def test_kubernetes_workers_on_request(site: Site) -> None:
    with site.gateway("kube") as gateway:
        name = gateway.submit(worker_backend="kubernetes")
        assert gateway.get_cluster(name).options == {"worker_backend": "kubernetes"}
        assert pools(site, name) == []
        gateway.stop_cluster(name)
        with pytest.raises(ValueError, match="container_image is for HTCondor workers"):
            gateway.submit(worker_backend="kubernetes", container_image=IMAGE)


async def test_plain_dask_gateway_works_beside_it(site: Site) -> None:
    auth = BasicAuth("plain", PASSWORD)
    async with (
        Gateway(site.address, auth=auth, asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
    ):
        assert type(cluster) is GatewayCluster
        bare = cluster.name.partition(".")[2]
        assert all(pool["spec"]["clusterRef"]["name"] != bare for pool in await site.pools())


@pytest.mark.parametrize(
    ("user", "keywords", "kind", "said"),
    [
        ("err", {"container_image": ""}, ValueError, "container_image: must be an absolute path"),
        ("err", {"container_image": "worker.sif"}, ValueError, "container_image: must be an absolute path"),
        ("err", {"worker_cores": 0}, ValueError, "worker_cores: "),
        ("err", {"worker_memory": "8GB"}, ValueError, "worker_memory: must be a Kubernetes quantity"),
        ("err", {"colour": "red"}, ValueError, "does not offer the cluster option 'colour'"),
        ("err", {"image": "a/b:1"}, ValueError, "does not offer the cluster option 'image'"),
        ("err", {"worker_backend": "slurm"}, ValueError, "worker_backend"),
        ("err", {"cluster_options": {"a": 1}}, TypeError, "cluster_options must be an `Options`"),
        ("err", {"container_image": "/refused/by/the/site.sif"}, PoolRefusedError, "not allowed here"),
        ("sizes-err", {"worker_cores": 5}, ValueError, "worker_cores must be <= 4"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing_behind(
    site: Site, user: str, keywords: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with site.gateway(user) as gateway:
        with pytest.raises(kind) as refused:
            gateway.new_cluster(**keywords)
        assert said in str(refused.value)
        assert gateway.list_clusters() == []


def test_a_failed_cluster_lets_go_of_its_loop(site: Site) -> None:
    with site.gateway("loop") as gateway:
        with pytest.raises(ValueError, match="worker_cores") as refused:
            gateway.new_cluster(worker_cores=0)
        [frame] = [f for f in refused.traceback if f.name == "_init_internal" and "_cluster" in str(f.path)]
        assert not frame.locals["self"].gateway._loop_runner.is_started()


def test_a_refused_pool_names_the_field_and_says_that_the_cluster_is_gone(site: Site) -> None:
    with site.gateway("refused") as gateway:
        with pytest.raises(
            PoolRefusedError, match=r"spec\.template\.containerImage: .*not allowed"
        ) as refused:
            gateway.submit(container_image="/refused/by/the/site.sif")
        assert "The cluster was stopped; nothing is left behind." in str(refused.value)
        assert isinstance(refused.value, (GatewayClusterError, ValueError))
        assert gateway.list_clusters() == []


def test_a_cluster_that_cannot_be_stopped_is_named(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.gateway("stuck") as gateway:
        ask = gateway._request

        async def unreachable(method: str, url: str, json: Any = None) -> Any:
            if method == "DELETE":
                raise ConnectionResetError(url)
            return await ask(method, url, json=json)

        with monkeypatch.context() as broken, pytest.raises(PoolRefusedError) as refused:
            broken.setattr(gateway, "_request", unreachable)
            gateway.submit(container_image="/refused/by/the/site.sif")
        [report] = gateway.list_clusters()
        assert f"try gateway.stop_cluster('{report.name}')" in str(refused.value)
        gateway.stop_cluster(report.name)


async def test_an_interrupted_pool_leaves_no_cluster(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.gateway("interrupted", asynchronous=True) as gateway:
        reached = asyncio.Event()
        ask = gateway._request

        async def slow(method: str, url: str, json: Any = None) -> Any:
            if url.endswith("/htcondor/pools"):
                reached.set()
                await asyncio.Event().wait()
            return await ask(method, url, json=json)

        monkeypatch.setattr(gateway, "_request", slow)
        submitting = asyncio.ensure_future(gateway.submit(container_image=IMAGE))
        await reached.wait()
        assert len(await gateway.list_clusters()) == 1
        submitting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await submitting
        assert await gateway.list_clusters() == []


@pytest.mark.parametrize(
    ("call", "kind", "said"),
    [
        (
            lambda g, name: g.scale_cluster(name, -1),
            ValueError,
            "n must be a number of workers from 0, got -1",
        ),
        (lambda g, name: g.scale_cluster(name, 1.5), TypeError, "whole number"),
        (lambda g, name: g.adapt_cluster(name, minimum=-1), ValueError, "minimum must be"),
        (lambda g, name: g.adapt_cluster(name, 4, 2), ValueError, "minimum must not exceed maximum"),
        (lambda g, name: g.scale_cluster("gateway.nobody", 1), ValueError, "not found"),
        (lambda g, name: g.connect("gateway.nobody"), ValueError, "not found"),
    ],
)
def test_wrong_numbers_and_names(site: Site, call: Any, kind: type[Exception], said: str) -> None:
    with site.gateway("numbers") as gateway, pytest.raises(kind, match=said):
        call(gateway, "gateway.any")


def test_the_third_argument_of_scale_cluster_means_nothing(site: Site) -> None:
    with site.gateway("third") as gateway, gateway.new_cluster() as cluster:
        gateway.scale_cluster(cluster.name, 1, "htcondor")
        cluster.get_client().wait_for_workers(1, timeout=30)


def test_somebody_elses_cluster(site: Site) -> None:
    with site.gateway("owner") as owner, owner.new_cluster() as cluster, site.gateway("stranger") as stranger:
        assert stranger.list_clusters() == []
        with pytest.raises(aiohttp.ClientResponseError, match="does not allow this to user 'stranger'"):
            stranger.connect(cluster.name)
        with pytest.raises(ValueError, match="not found"):
            stranger.sync(stranger._pools, cluster.name)
        assert cluster.status == "running"


def test_a_wrong_password(site: Site) -> None:
    with site.gateway(auth=BasicAuth("ada", "wrong")) as gateway:
        with pytest.raises(aiohttp.ClientResponseError) as refused:
            gateway.new_cluster(container_image=IMAGE)
        assert refused.value.status == 401
        assert "did not accept the password or token of user 'ada' (BasicAuth)" in str(refused.value)


def test_a_gateway_without_the_extension_says_what_to_install(plain_site: Site) -> None:
    with plain_site.gateway() as gateway:
        with pytest.raises(ExtensionMissingError, match=r"gateway-values\.yaml"):
            gateway.new_cluster(container_image=IMAGE)
        assert gateway.list_clusters() == []


def test_what_the_operator_says_is_told(site: Site) -> None:
    with site.gateway("told") as gateway, gateway.new_cluster(container_image=IMAGE) as cluster:
        failure = {
            "time": "2026-01-01T00:00:00Z",
            "worker": "w-1",
            "reason": "Exited",
            "exitCode": 1,
            "logTail": "boom\n",
        }
        tell(site, cluster.name, desiredReplicas=2, connected=1, idle=1, failed=1, recentFailures=[failure])
        assert cluster.logs() == {"w-1": "boom\n"}
        text = str(cluster.explain())
        assert "pool default: 1 of 2 workers connected (1 idle, 1 failed)" in text
        assert "worker w-1 at 2026-01-01T00:00:00Z: Exited (exit code 1)" in text
        assert "1 of 2 workers connected, 1 idle" in repr(cluster)
        assert "1 of 2 workers connected, 1 idle" in cluster._repr_html_()


def test_the_widget_keeps_a_line_about_htcondor(site: Site) -> None:
    with (
        dask.config.set({"htcdask.status-interval": "50ms"}),
        site.gateway("widget") as gateway,
        gateway.new_cluster() as cluster,
    ):
        line = cluster._widget().children[-1]
        assert cluster._widget().children[-1] is line
        gateway.sync(becomes, line, "0 of 0 workers connected")
        tell(site, cluster.name, desiredReplicas=3)
        gateway.sync(becomes, line, "0 of 3 workers connected")


async def becomes(widget: Any, text: str) -> None:
    """Wait until the widget shows the text."""
    shown = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(change: Any = None) -> None:
        if text in widget.value:
            loop.call_soon_threadsafe(shown.set)

    widget.observe(look, "value")
    look()
    await asyncio.wait_for(shown.wait(), 20)
