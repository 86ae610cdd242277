"""One call for what a cluster's processes said last, whoever has it."""

import asyncio
import logging
from typing import Any

import pytest

from htcdaskgateway._worker_pools import cluster as clusters
from htcdaskgateway._worker_pools import logs
from tests.client.gateway_site import Site


def say(what: str) -> None:
    """On a worker."""
    logging.getLogger("distributed.worker").error(what)


def test_scheduler_and_workers_are_asked_and_their_lines_are_bounded(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SECONDS", 60.0)  # a busy machine is not what this is about
    with site.gateway("logs") as gateway, gateway.new_cluster() as cluster:
        cluster.scale(1)
        with cluster.get_client() as client:
            client.wait_for_workers(1, timeout=60)
            for number in range(4):
                client.submit(say, f"line {number}", pure=False).result()
            [worker] = {its["name"] for its in client.scheduler_info()["workers"].values()}
        told = cluster.logs(lines=2)
        assert told.keys() == {"scheduler", worker}
        assert [line.rpartition(" - ")[2] for line in told[worker].splitlines()] == ["line 2", "line 3"]
        assert "line 3" in told._repr_html_()
        gateway.stop_cluster(cluster.name)
    assert cluster.logs() == {}, "a closed object asks nobody"


def test_nobody_of_a_cluster_that_has_ended_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> dict[str, str]:
        raise AssertionError("asked")

    monkeypatch.setattr(clusters, "of_running", never)
    with site.gateway("logs-ended") as gateway, gateway.new_cluster() as cluster:
        gateway.stop_cluster(cluster.name)
        assert cluster.logs() == {}


def test_a_cluster_with_kubernetes_workers_has_logs_too(site: Site) -> None:
    with site.gateway("logs") as gateway, gateway.new_cluster(worker_backend="kubernetes") as cluster:
        assert list(cluster.logs()) == ["scheduler"]


class Silent:
    """A scheduler that answers for itself, and whose workers never do."""

    async def get_logs(self, n: int) -> list[tuple[str, str]]:
        return [("INFO", "the last line"), ("INFO", "the first line")][:n]

    async def worker_logs(self, n: int) -> dict[str, object]:
        await asyncio.sleep(60)
        return {}


class Odd(Silent):
    """Workers of another kind."""

    async def worker_logs(self, n: int) -> dict[str, object]:
        return {"tls://a": "OK", "tls://b": [("INFO", "fine")]}


class Refuses(Silent):
    async def worker_logs(self, n: int) -> dict[str, object]:
        raise OSError("Timed out trying to connect to tls://w")


async def test_who_does_not_answer_is_no_reason_to_lose_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SECONDS", 0.05)
    told = await logs.of_running(Silent(), {}, 5)
    assert told["scheduler"] == "the first line\nthe last line"
    assert told["workers"].startswith("(no answer in")
    assert "Timed out trying to connect" in (await logs.of_running(Refuses(), {}, 5))["workers"]
    odd = await logs.of_running(Odd(), {"tls://b": {"name": "<b>"}}, 5)
    assert (odd["tls://a"], odd["<b>"]) == ("(no lines, but 'OK')", "fine")
    assert "<summary style='display:list-item'>&lt;b&gt;" in logs.ClusterLogs(odd)._repr_html_()
