"""Notebooks for the two older clients: positional arguments, modules, and attributes that they read."""

import inspect
from pathlib import Path
from typing import Any

import dask
import pytest
from dask_gateway import GatewayCluster
from dask_gateway.auth import BasicAuth

import htcdaskgateway.cluster
import htcdaskgateway.gateway
import htcdaskgateway.options
from htcdaskgateway import GatewayWarning, HTCGateway, HTCGatewayCluster, Options
from htcdaskgateway._worker_pools.older import accepts_older_arguments
from tests.client.gateway_site import IMAGE, PASSWORD, Site


def called(*args: Any, **kwargs: Any) -> dict[str, Any]:
    """What the constructor gets."""
    got: dict[str, Any] = {}

    class Cluster:
        @accepts_older_arguments
        def __init__(self, address: Any = None, proxy_address: Any = None, **rest: Any) -> None:
            got.update(address=address, proxy_address=proxy_address, **rest)

    Cluster(*args, **kwargs)
    return {name: value for name, value in got.items() if value is not None}


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), {}),
        ((None, 8786), {"proxy_address": 8786}),
        (("https://gateway.example", 8786), {"address": "https://gateway.example", "proxy_address": 8786}),
        (("gateway.example/api",), {"address": "gateway.example/api"}),
        (("/u/x.sif",), {"container_image": "/u/x.sif"}),
        ((Path("/u/x.sif"), "32GB", 4), {"container_image": Path("/u/x.sif"), "memory": "32GB", "cpus": 4}),
        (("docker://org/x:1", "8GB"), {"container_image": "docker://org/x:1", "memory": "8GB"}),
        (
            ("registry.hub.docker.com", "org/x:1", "rank = 1"),
            {
                "image_registry": "registry.hub.docker.com",
                "apptainer_image": "org/x:1",
                "node_match_expr": "rank = 1",
            },
        ),
    ],
)
def test_positional_arguments_are_told_apart(args: tuple[Any, ...], expected: dict[str, Any]) -> None:
    assert called(*args) == expected


def test_too_many_or_twice_is_an_error() -> None:
    with pytest.raises(TypeError, match="4 positional arguments; after an image come memory, cpus"):
        called("/u/x.sif", "32GB", 4, 5)
    with pytest.raises(TypeError, match="got memory twice"):
        called("/u/x.sif", "32GB", memory="8GB")


def test_their_modules_have_the_classes() -> None:
    assert htcdaskgateway.cluster.HTCGatewayCluster is HTCGatewayCluster
    assert htcdaskgateway.gateway.HTCGateway is HTCGateway
    assert htcdaskgateway.options.Options is Options
    assert inspect.signature(HTCGatewayCluster) == inspect.signature(GatewayCluster)


def test_ncsas_class_makes_a_cluster_by_its_image(site: Site) -> None:
    auth = BasicAuth("positional", PASSWORD)
    with HTCGatewayCluster(IMAGE, "1GB", 2, address=site.address, auth=auth) as cluster:
        [pool] = site.pools_of(cluster.name)
        assert pool["spec"]["template"] == {"containerImage": IMAGE, "memory": "1024Mi", "cores": 2}
        assert (cluster.container_image, cluster.memory, cluster.cpus) == (IMAGE, "1GB", 2)


def test_fermilabs_class_makes_a_cluster_and_has_its_attributes(site: Site) -> None:
    settings = {
        "gateway.address": site.address,
        "gateway.auth.kwargs": {"username": "fermi", "password": PASSWORD},
    }
    with dask.config.set(settings):
        cluster = HTCGatewayCluster("quay.example", "org/x:1", "rank = (isDaskNode == True)", worker_memory=2)
    [pool] = site.pools_of(cluster.name)
    assert pool["spec"]["template"] == {
        "containerImage": "/cvmfs/unpacked.cern.ch/quay.example/org/x:1",
        "memory": "2048Mi",
        "rank": "(isDaskNode == True)",
    }
    assert (cluster.image_registry, cluster.apptainer_image) == ("quay.example", "org/x:1")
    assert cluster.node_match_expr == "rank = (isDaskNode == True)"
    assert (cluster.worker_memory, cluster.worker_cores, cluster.cluster_options) == (2, None, None)
    assert cluster.scheduler_proxy_ip == "127.0.0.1"
    assert cluster.is_shutdown is False
    cluster.shutdown()
    assert cluster.is_shutdown is True


def test_what_means_nothing_any_more_says_what_replaces_it(site: Site) -> None:
    with site.gateway("older") as gateway, gateway.new_cluster() as cluster:
        assert {"batchWorkerJobs", "condor_bin_dir"}.isdisjoint(dir(cluster)) and "add_pool" in dir(cluster)
        with pytest.warns(GatewayWarning, match=r"cluster\.pools"):
            assert cluster.batchWorkerJobs == []
        site.tell(cluster.name, desiredReplicas=3, idle=1, running=2, failed=4)
        with pytest.warns(GatewayWarning) as seen:
            assert cluster.batchWorkerJobs == [{"n_jobs": 3}]
            assert cluster.condor_bin_dir is None
            cluster.scale_batch_workers(3)
            cluster.scale_kube_workers(3)
            cluster.destroy_batch_cluster_id("12")
        assert {Path(warning.filename) for warning in seen} == {Path(__file__)}
        cluster.scale(1)
        client = cluster.get_client()
        client.wait_for_workers(1, timeout=30)
        with pytest.warns(GatewayWarning, match=r"cluster\.scale\(0\)"):
            cluster.destroy_all_batch_clusters()
        cluster.close(shutdown=False)
        assert cluster.is_shutdown is False
        gateway.stop_cluster(cluster.name)
