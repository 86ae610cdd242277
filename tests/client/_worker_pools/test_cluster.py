"""The cluster object shows its pools: what the operator wrote into their status, in words."""

import json
import re
import time
from typing import Any

import pytest
from dask_gateway.auth import BasicAuth
from dask_gateway.client import ClusterReport
from distributed.versions import get_versions

from htcdaskgateway import HTCGatewayCluster, _versions
from htcdaskgateway._errors import PoolsNotThereError
from htcdaskgateway._worker_pools import explanation
from htcdaskgateway._worker_pools.gateway_route import RoutePools
from tests.client.gateway_site import IMAGE, PASSWORD, Site


def test_what_the_operator_says_is_told(site: Site) -> None:
    with site.gateway("told") as gateway, gateway.new_cluster(container_image=IMAGE) as cluster:
        failure = {
            "time": "2026-01-01T00:00:00Z",
            "worker": "w-1",
            "reason": "Exited",
            "exitCode": 1,
            "logTail": "boom\n",
        }
        site.tell(cluster.name, desiredReplicas=2, connected=1, idle=1, failed=1, recentFailures=[failure])
        assert cluster.logs()["w-1"] == "boom\n"
        text = str(cluster.explain())
        assert "pool default: 1 of 2 workers connected (1 idle, 1 failed)" in text
        assert "worker w-1 at 2026-01-01T00:00:00Z: Exited (exit code 1)" in text
        assert re.search(r"workers=0; at \d\d:\d\d:\d\d 1 of 2 workers connected, 1 idle>$", repr(cluster))
        assert "1 of 2 workers connected" in cluster._repr_html_()
        assert "<summary>1 worker failed lately</summary>" in cluster._repr_html_()
        told = json.loads(json.dumps(cluster.explain().to_dict()))
        [pool] = told["pools"]
        assert (told["cluster"], told["situation"], pool["name"]) == (cluster.name, None, "default")
        assert pool["spec"]["template"] == {"containerImage": IMAGE}
        assert (pool["status"]["connected"], pool["status"]["recentFailures"][0]["worker"]) == (1, "w-1")


def test_a_cluster_with_kubernetes_workers_says_so(site: Site) -> None:
    with site.gateway("explained") as gateway, gateway.new_cluster(worker_backend="kubernetes") as cluster:
        assert cluster.explain().to_dict() == {
            "cluster": cluster.name,
            "situation": explanation.KUBERNETES,
            "versions": {"differ": [], "workers": 0},
            "pools": [],
        }
        assert explanation.NO_POOL not in str(cluster.explain())


def test_versions_that_differ_are_told_with_their_place(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with site.gateway("explained") as gateway, gateway.new_cluster() as cluster:
        cluster.scale(1)
        client = cluster.get_client()
        client.wait_for_workers(1, timeout=30)
        while not cluster.scheduler_info["workers"]:
            time.sleep(0.05)
        [worker] = cluster.scheduler_info["workers"].values()
        assert cluster.explain().to_dict()["versions"] == {"differ": [], "workers": 1}
        assert "versions" not in str(cluster.explain())
        theirs = _versions.own()["dask"]
        monkeypatch.setattr(_versions, "own", lambda: {**get_versions()["packages"], "dask": "1.0"})
        said = (
            f"versions differ: dask is 1.0 here, {theirs} on scheduler, {theirs} on worker {worker['name']}"
        )
        assert said in str(cluster.explain())
        assert said in cluster.explain()._repr_html_()
        cluster.shutdown()
        assert cluster.explain().versions is None


def test_a_gateway_without_the_extension_says_so(plain_site: Site) -> None:
    with (
        plain_site.gateway("explained") as gateway,
        gateway.new_cluster(worker_backend="kubernetes") as cluster,
    ):
        assert cluster.explain().situation == explanation.NO_EXTENSION


@pytest.mark.parametrize(
    "odd", [{"status": "RESTARTING"}, {"start_time": 10**18}, {"options": None, "status": []}]
)
def test_an_odd_report_is_no_word_of_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch, odd: dict[str, Any]
) -> None:
    original = ClusterReport._from_json.__func__

    def oddly(cls: type, public: str, proxy: str, said: dict[str, Any]) -> Any:
        return original(cls, public, proxy, {**said, **odd})

    with site.gateway("odd-report") as gateway, gateway.new_cluster() as cluster:
        with monkeypatch.context() as patch:
            patch.setattr(ClusterReport, "_from_json", classmethod(oddly))
            with pytest.raises(Exception, match=r".") as failed:
                cluster.explain()
        assert "has ended" not in str(failed.value)
        assert "status=running" in repr(cluster)
        assert cluster.explain().situation is None


def test_pools_that_the_gateway_does_not_show_are_no_word_of_its_end(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(self: RoutePools, cluster: str) -> Any:
        raise PoolsNotThereError("404")

    with site.gateway("no-route") as gateway, gateway.new_cluster() as cluster:
        monkeypatch.setattr(RoutePools, "list", gone)
        assert "does not show its pools" in str(cluster.explain().situation)
        assert "status=running" in repr(cluster)
        monkeypatch.undo()


def test_an_ended_cluster_says_so(site: Site) -> None:
    with site.gateway("explained") as gateway:
        cluster = gateway.new_cluster()
        gateway.stop_cluster(cluster.name)
        assert "the cluster has ended (STOP" in str(cluster.explain())
        assert "the cluster has ended (STOP" in cluster.explain()._repr_html_()
        assert repr(cluster).startswith(f"HTCGatewayCluster<{cluster.name}, status=stop")
        assert "the cluster has ended (STOP" in cluster._repr_html_()
        cluster.shutdown()
        assert cluster.explain().situation == explanation.SHUT_DOWN
    auth = BasicAuth("explained", PASSWORD)
    with HTCGatewayCluster(address=site.address, auth=auth, shutdown_on_close=False) as alone:
        pass
    assert alone.explain().situation == explanation.CLOSED
    with site.gateway("explained") as gateway:
        gateway.stop_cluster(alone.name)


async def test_an_asynchronous_ended_cluster_says_so(site: Site) -> None:
    async with site.gateway("explained-too", asynchronous=True) as gateway:
        cluster = await gateway.new_cluster()
        await cluster.shutdown()
        assert "has ended" in str(await cluster.explain())
        await cluster.gateway.close()
