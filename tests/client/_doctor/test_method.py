"""`gateway.doctor()`: sync and async, with what it takes, and its end when it is interrupted."""

import asyncio
import signal
import threading
import time

import pytest
from dask_gateway import Gateway
from dask_gateway.auth import BasicAuth

from htcdaskgateway import HTCGateway
from htcdaskgateway._doctor.method import read_seconds
from tests.client.gateway_site import PASSWORD, Site


class OfASite(HTCGateway):
    """A site's own class, whose constructor is its own."""

    def __init__(self, address: str, badge: str) -> None:
        super().__init__(address, auth=BasicAuth("own-class", PASSWORD))
        self.badge = badge


def test_a_site_s_own_class_is_examined_and_goes_on_afterwards(site: Site) -> None:
    with OfASite(site.address, badge="b") as gateway:
        assert gateway.doctor().good
        assert gateway.list_clusters() == []


async def test_an_asynchronous_gateway_is_awaited(site: Site) -> None:
    async with site.gateway("async", asynchronous=True) as gateway:
        report = await gateway.doctor()
    assert report.good
    assert repr(report) == str(report)
    assert report.to_dict()["checks"][0]["check"] == "installation"


def test_a_running_cluster_of_the_user_s_is_looked_at_and_left(site: Site) -> None:
    with site.gateway("has-one") as gateway, gateway.new_cluster() as cluster:
        report = gateway.doctor()
        said = {finding.check: (finding.state, finding.said) for finding in report.findings}
        assert said["cluster"] == ("ok", f"cluster {cluster.name}, which runs already, is looked at")
        assert said["pools"] == ("ok", f"the gateway's route shows the pools of cluster {cluster.name}: 1")
        assert said["versions"][1].startswith("the same on notebook and scheduler: ")
        assert said["worker"][0] == "not tried"
        assert [each.name for each in gateway.list_clusters()] == [cluster.name]


def test_a_closed_gateway_says_so(site: Site) -> None:
    gateway = site.gateway()
    gateway.close()
    with pytest.raises(ValueError, match="is closed"):
        gateway.doctor()


def test_keywords_of_a_cluster_need_a_probe(site: Site) -> None:
    with site.gateway() as gateway, pytest.raises(ValueError, match="worker_cores is for a probe cluster"):
        gateway.doctor(worker_cores=2)


def test_a_keyword_that_is_wrong_is_a_finding(site: Site) -> None:
    with site.gateway("wrong-word") as gateway:
        report = gateway.doctor(probe=True, worker_cores=0)
        [finding] = [finding for finding in report.findings if finding.state == "fails"]
        assert finding.check == "cluster"
        assert "worker_cores" in finding.said
        assert report.findings[-1].said == "there was none to shut down (ValueError)"
        assert gateway.list_clusters() == []


@pytest.mark.parametrize(("given", "seconds"), [(5, 5), ("90", 90), ("10m", 600), (0.5, 0.5)])
def test_times_are_read_as_dask_reads_them(given: float | str, seconds: float) -> None:
    assert read_seconds(given) == seconds


@pytest.mark.parametrize("given", [0, -1, "soon", float("inf"), float("nan"), "", None])
def test_times_that_are_none_are_refused(given: object) -> None:
    with pytest.raises(ValueError, match="timeout must be a time above 0"):
        read_seconds(given)  # type: ignore[arg-type]


@pytest.mark.parametrize("times", [1, 3])
def test_who_interrupts_waits_until_the_probe_cluster_has_been_shut_down(
    site: Site, times: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who interrupts again, a moment later, while the cluster ends."""
    stop = Gateway._stop_cluster

    async def stop_slowly(self: Gateway, name: str) -> None:
        await asyncio.sleep(2)
        await stop(self, name)

    monkeypatch.setattr(Gateway, "_stop_cluster", stop_slowly)
    with site.gateway("workerless-interrupted") as gateway, site.gateway("workerless-interrupted") as other:
        over = threading.Event()

        def interrupt() -> None:
            while not over.wait(0.05):
                if other.list_clusters(status="running"):
                    main = threading.main_thread().ident
                    assert main is not None
                    for _ in range(times):
                        signal.pthread_kill(main, signal.SIGINT)
                        time.sleep(0.05)
                    return

        thread = threading.Thread(target=interrupt)
        thread.start()
        try:
            with pytest.raises(KeyboardInterrupt):
                gateway.doctor(probe=True, timeout=60)
            assert other.list_clusters(status="running") == []
        finally:
            over.set()
            thread.join()
        assert gateway.list_clusters() == []
        assert capsys.readouterr().err == "the probe cluster is being shut down: a moment\n" * (times - 1)
