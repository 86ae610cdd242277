"""Pools of one's own beside the one that follows `scale()`: a real gateway."""

import asyncio
import warnings
from dataclasses import replace
from typing import Any

import pytest
from dask_gateway import GatewayClusterError, GatewayWarning
from dask_gateway.auth import BasicAuth

from htcdaskgateway import HTCDaskError, HTCGateway, PoolRefusedError
from htcdaskgateway._worker_pools.gateway_route import RoutePools
from htcdaskgateway._worker_pools.managed import tell_if_others_leave, template_for
from tests.client.gateway_site import IMAGE, PASSWORD, Site
from tests.client.pool_statuses import MANUAL, pool


def test_a_pool_is_added_sized_and_deleted(site: Site) -> None:
    with site.gateway("adds") as gateway, gateway.new_cluster(container_image=IMAGE) as cluster:
        pool = cluster.add_pool("gpu", 1, worker_gpus=1, worker_threads=2, worker_resources={"GPU": 1})
        stored = site.pools_of(cluster.name)[1]["spec"]
        assert (stored["scaling"], stored["replicas"]) == ("Manual", 1)
        assert stored["template"] == {
            "containerImage": IMAGE,  # as the cluster's other workers
            "gpus": 1,
            "threads": 2,
            "resources": {"gpu": 2, "GPU": 1},
        }
        assert pool.resources == {"gpu": 1}
        ncsa = cluster.add_pool("ncsa", cpus=2, memory="4GB")
        assert (ncsa.spec.template.cores, ncsa.spec.template.memory) == (2, "4096Mi")
        ncsa.delete()
        pool.scale(3)
        default, again = cluster.pools
        assert (again.name, again.spec.replicas) == ("gpu", 3)
        assert default.resources == {}
        with pytest.raises(ValueError, match=r"'default' follows the gateway: use cluster\.scale\(2\)"):
            default.scale(2)
        pool.delete()
        assert [each.name for each in cluster.pools] == ["default"]
        with pytest.raises(PoolRefusedError, match=r"to delete the worker pool.* has no pool 'gpu'"):
            pool.delete()
        with pytest.raises(PoolRefusedError, match=r"a new number.* has no pool 'gpu'"):
            pool.scale(1)


@pytest.mark.parametrize("stays", [False, True])
async def test_a_pool_whose_making_is_interrupted_is_taken_back_or_named(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, stays: bool
) -> None:
    create, posted = RoutePools.create, asyncio.Event()

    async def slow(self: RoutePools, *arguments: Any, **keywords: Any) -> Any:
        made = await create(self, *arguments, **keywords)
        posted.set()
        await asyncio.sleep(0.3)
        return made

    async def refuse(self: RoutePools, cluster: str, pool: str) -> None:
        raise PoolRefusedError("not today")

    gateway = HTCGateway(site.address, auth=BasicAuth("adds-interrupted", PASSWORD), asynchronous=True)
    async with gateway, await gateway.new_cluster() as cluster:
        monkeypatch.setattr(RoutePools, "create", slow)
        if stays:
            monkeypatch.setattr(RoutePools, "delete", refuse)
        adding = asyncio.ensure_future(cluster.add_pool("gpu", 1))
        await posted.wait()
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        assert len(await asyncio.to_thread(site.pools_of, cluster.name)) == 1 + stays
        name = f"pool gpu of cluster {cluster.name} may be there, and stay: look at cluster.pools"
        assert (name in caplog.text) == stays


def test_adapt_says_when_it_would_end_for_such_a_pool(site: Site) -> None:
    with site.gateway("adds-adapt") as gateway, gateway.new_cluster() as cluster:
        cluster.add_pool("gpu", 2)
        with pytest.warns(GatewayWarning, match=r"add_pool\(\) have: 2\. adapt\(minimum=2, \.\.\.\) goes on"):
            cluster.adapt(0, 4)
        assert len(cluster.pools) == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cluster.adapt(2, 4)
            cluster.adapt(active=False)


def test_a_pool_that_would_end_adapt_says_so(site: Site) -> None:
    with site.gateway("adds-after") as gateway, gateway.new_cluster() as cluster:
        cluster.adapt(0, 4)
        with pytest.warns(GatewayWarning, match=r"add_pool\(\) have: 2\. adapt\(minimum=2, \.\.\.\) goes on"):
            cluster.add_pool("gpu", 2)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            cluster.scale(3)
            cluster.add_pool("more", 1)


def test_who_scales_where_no_pool_follows_is_told_whom_to_ask(site: Site) -> None:
    with site.gateway("adds-alone") as gateway, gateway.new_cluster() as cluster:
        cluster.add_pool("gpu", 1)
        cluster.pools[0].delete()
        assert [pool.name for pool in cluster.pools] == ["gpu"]
        with pytest.warns(GatewayWarning, match=r"no pool follows cluster\.scale\(\)"):
            cluster.scale(2)


@pytest.mark.parametrize(
    ("wanted", "there", "leave"),
    [(2, 2, 2), (3, 3, 2), (4, 2, 0), (2, 0, 0), (None, 2, 0), (3, 6, 2)],
    ids=["all", "some", "room for both", "none is there", "nobody tells", "some leave anyway"],
)
def test_who_adds_a_pool_is_told_whose_workers_leave_for_it(
    wanted: int | None, there: int, leave: int, recwarn: pytest.WarningsRecorder
) -> None:
    first = replace(pool(replicas=there, desiredReplicas=there), wanted=wanted)
    tell_if_others_leave([first, replace(pool("gpu"), spec=MANUAL, wanted=wanted)], "gpu")
    tell_if_others_leave([replace(pool("gpu"), spec=MANUAL, wanted=wanted)], "gpu")
    said = [str(warning.message) for warning in recwarn]
    stay = min(there, wanted or 0)
    keeps = f"{leave} of pool 'default' leave for pool 'gpu'. cluster.scale({stay + 2}) keeps them"
    assert said == ([f"cluster.scale() counts the workers of all pools: {keeps}"] if leave else [])


async def test_an_asynchronous_cluster_is_awaited_for_the_same(site: Site) -> None:
    async with site.gateway("adds-async", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        pool = await cluster.add_pool("big", profile="large")
        await pool.scale(2)
        found = (await cluster.pools)[1]
        assert (found.name, found.spec.replicas, found.spec.template.profile) == ("big", 2, "large")
        assert found.spec.template.container_image is None  # the profile may have one
        await found.delete()
        assert [each.name for each in await cluster.pools] == ["default"]


def test_what_is_wrong_is_said_and_changes_nothing(site: Site) -> None:
    with site.gateway("adds-wrong") as gateway, gateway.new_cluster() as cluster:
        for name in ("", "4gpu", "Gpu", "gpu-", "a" * 31, "../x", None):
            with pytest.raises(ValueError, match="a pool's name must be 1 to 30"):
                cluster.add_pool(name)
        with pytest.raises(ValueError, match="replicas must be a number of workers from 0, got -1"):
            cluster.add_pool("gpu", -1)
        for boolean in (True, False):
            with pytest.raises(
                ValueError, match=f"replicas must be a whole number of workers, got {boolean}"
            ):
                cluster.add_pool("gpu", boolean)
        with pytest.raises(ValueError, match="worker_cores"):
            cluster.add_pool("gpu", worker_cores=0)
        for typed, meant in (
            ("cores", "worker_cores"),
            ("worker_memroy", "worker_memory"),
            ("n", "replicas"),
        ):
            with pytest.raises(TypeError, match=f"has no keyword '{typed}': did you mean {meant}"):
                cluster.add_pool("gpu", **{typed: 1})
        with pytest.raises(TypeError, match="no keyword 'colour': it takes name, replicas, profile, "):
            cluster.add_pool("gpu", colour="red")
        with pytest.raises(PoolRefusedError, match="already has a pool 'default'"):
            cluster.add_pool("default")
        with pytest.raises(PoolRefusedError, match="must not exceed maxReplicas"):
            cluster.add_pool("gpu", 5000)
        assert [each.name for each in cluster.pools] == ["default"]
        pool = cluster.add_pool("gpu", 1)
        with pytest.raises(PoolRefusedError, match="must not exceed maxReplicas"):
            pool.scale(5000)
        with pytest.raises(ValueError, match="n must be a whole number of workers, got True"):
            pool.scale(True)


def test_a_cluster_with_kubernetes_workers_gets_no_pool(site: Site) -> None:
    refused = pytest.raises(GatewayClusterError, match="was not made with worker_backend='htcondor'")
    with (
        site.gateway("adds") as gateway,
        gateway.new_cluster(worker_backend="kubernetes") as cluster,
        refused,
    ):
        cluster.add_pool("gpu")


async def test_a_stranger_reaches_no_pool_of_another_s_cluster(site: Site) -> None:
    async with site.gateway("owner", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        await cluster.add_pool("gpu", 1)
        async with site.gateway(asynchronous=True, auth=BasicAuth("stranger", PASSWORD)) as other:
            theirs = RoutePools(other)
            for attempt in (
                theirs.create(cluster.name, "theirs", template_for("theirs", {}), replicas=1),
                theirs.scale(cluster.name, "gpu", 0),
                theirs.delete(cluster.name, "gpu"),
                theirs.list(cluster.name),
            ):
                with pytest.raises(HTCDaskError, match="not found"):
                    await attempt
        assert [(pool.name, pool.spec.replicas) for pool in await cluster.pools] == [
            ("default", 0),
            ("gpu", 1),
        ]
