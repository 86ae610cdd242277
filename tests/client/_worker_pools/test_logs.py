"""One call for what a cluster's processes said last, whoever has it."""

import asyncio
import logging
import time
from typing import Any

import pytest

from htcdask_api import ClusterRef, PoolSpec, PoolStatus, WorkerLogs
from htcdaskgateway import HTCDaskError
from htcdaskgateway._worker_pools import cluster as clusters
from htcdaskgateway._worker_pools import gateway_route, logs
from htcdaskgateway._worker_pools.gateway_route import RoutePools
from htcdaskgateway._worker_pools.pool import Pool
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
    assert cluster.logs() == {}, "nobody of a closed object is asked, and nothing is kept"


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


FAILED = {"time": "2026-01-01T00:01:00Z", "worker": "w-2", "reason": "WorkerFailed", "logTail": "the end\n"}
EARLIER = {**FAILED, "worker": "w-0", "logTail": "long ago\n"}
KEPT = [
    {
        "name": "w-2",
        "endedAt": "2026-01-01T00:01:00Z",
        "outcome": "WorkerFailed",
        "text": "all of it\nthe end\n",
    },
    {"name": "w-1", "endedAt": "2026-01-01T00:00:00Z", "outcome": "Finished", "text": "well\n"},
]


def test_workers_that_ended_tell_all_that_is_kept_of_them(site: Site) -> None:
    with site.gateway("logs-kept") as gateway, gateway.new_cluster() as cluster:
        site.tell(cluster.name, failed=2, recentFailures=[FAILED, EARLIER])
        site.keep(cluster.name, *KEPT)
        told = cluster.logs()
        assert list(told) == ["scheduler", "w-2", "w-1", "w-0"]
        assert [told[name] for name in list(told)[1:]] == ["all of it\nthe end\n", "well\n", "long ago\n"]


def test_what_is_kept_is_there_after_the_cluster_was_shut_down_here(site: Site) -> None:
    with site.gateway("logs-after") as gateway, gateway.new_cluster() as cluster:
        site.tell(cluster.name, failed=1, recentFailures=[EARLIER])
        site.keep(cluster.name, *KEPT)
    assert list(cluster.logs()) == ["w-2", "w-1", "w-0"]
    assert cluster.logs(worker="w-2") == {"w-2": "all of it\nthe end\n"}
    with pytest.raises(
        HTCDaskError, match=r"Nobody has lines of worker 'x' of .*; there is: w-2, w-1, w-0\. "
    ):
        cluster.logs(worker="x")


def test_one_worker_is_asked_for_by_its_name(site: Site) -> None:
    with site.gateway("logs-one") as gateway, gateway.new_cluster() as cluster:
        site.keep(cluster.name, *KEPT)
        assert cluster.logs(worker="w-1") == {"w-1": "well\n"}
        cluster.scale(1)
        with cluster.get_client() as client:
            client.wait_for_workers(1, timeout=60)
            client.submit(say, "from one that runs").result()
            [(address, its)] = client.scheduler_info()["workers"].items()
            worker = its["name"]
        assert "from one that runs" in cluster.logs(worker=worker)[worker]
        assert list(cluster.logs(worker=worker)) == [worker]
        assert list(cluster.logs(worker=address)) == [worker]
        with pytest.raises(
            HTCDaskError, match=rf"worker 'w-9' of cluster .*; there is: {worker}, .*w-2, w-1\. The last"
        ):
            cluster.logs(worker="w-9")
        cluster.scale(0)
        while cluster.scheduler_info["workers"]:
            time.sleep(0.1)
        site.keep(cluster.name, {**KEPT[1], "name": worker, "text": "its last words\n"})
        assert cluster.logs(worker=address) == {worker: "its last words\n"}, "as KilledWorker names it"


async def test_a_worker_that_does_not_answer_is_said_to_be_there() -> None:
    class Silent:
        async def get_logs(self, n: int) -> list[tuple[str, str]]:
            return []

        async def worker_logs(self, n: int, workers: list[str]) -> dict[str, Any]:
            raise OSError("Timed out trying to connect")

    there = {"tls://a": {"name": "w-1"}}
    assert "Timed out" in (await logs.of_running(Silent(), there, 5, "w-1"))["w-1"]
    assert list(await logs.of_running(Silent(), there, 5, "w-2")) == ["scheduler"]


async def test_one_worker_is_asked_for_by_an_asynchronous_cluster(site: Site) -> None:
    async with (
        site.gateway("logs-async", asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
    ):
        site.keep(cluster.name, *KEPT)
        assert await cluster.logs(worker="w-2") == {"w-2": "all of it\nthe end\n"}
        assert {"scheduler", "w-1", "w-2"} <= (await cluster.logs()).keys()


@pytest.mark.parametrize("trouble", ["an older gateway", "no right", "nonsense", "silence"])
async def test_where_nobody_shows_them_the_status_tells_the_end(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of the other pools all is shown."""

    class Access:
        async def logs(self, cluster: str, pool: str) -> Any:
            assert cluster == "gateway.c1"
            if pool == "good":
                return WorkerLogs.model_validate({"workers": KEPT}).workers
            if trouble == "no right":
                raise HTCDaskError("forbidden")
            if trouble == "nonsense":
                raise TypeError
            if trouble == "silence":
                await asyncio.sleep(60)
            return None

    monkeypatch.setattr(logs, "SECONDS", 0.2)
    status = PoolStatus.model_validate({"recentFailures": [FAILED | {"worker": "b-1"}]})
    pools = [Pool(name, PoolSpec(cluster_ref=ClusterRef(name="c1")), status) for name in ("bad", "good")]

    async def list_pools() -> list[Pool]:
        return pools

    told = await logs.of_ended(Access(), "gateway.c1", list_pools)
    why = {"no right": "forbidden", "nonsense": "TypeError", "silence": "no answer in 0.2 s"}.get(trouble)
    unread = told.pop("pool bad", None)
    assert unread == (why and f"(what its workers printed that ended cannot be read: {why})")
    assert told == {"b-1": "the end\n", "w-2": "all of it\nthe end\n", "w-1": "well\n"}
    if unread is not None:
        with pytest.raises(HTCDaskError, match=r"there is: b-1\. .*pool bad: .what its workers"):
            logs.chosen({"b-1": "the end\n", "pool bad": unread}, "w-9", "gateway.c1")


async def test_a_gateway_without_the_route_says_nothing_of_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site.gateway("logs-older", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        monkeypatch.setattr(gateway_route, "pools_path", lambda cluster: "/api/v1/not-there")
        assert await RoutePools(gateway).logs(cluster.name, "default") is None


class Silent:
    """A scheduler that answers for itself, and whose workers never do."""

    async def get_logs(self, n: int) -> list[tuple[str, str]]:
        return [("INFO", "the last line"), ("INFO", "the first line")][:n]

    async def worker_logs(self, n: int, **_: Any) -> dict[str, object]:
        await asyncio.sleep(60)
        return {}


class Odd(Silent):
    """Workers of another kind."""

    async def worker_logs(self, n: int, **_: Any) -> dict[str, object]:
        return {"tls://a": "OK", "tls://b": [("INFO", "fine")]}


class Refuses(Silent):
    async def worker_logs(self, n: int, **_: Any) -> dict[str, object]:
        raise OSError("Timed out trying to connect to tls://w")


async def test_a_nanny_tells_of_the_processes_before() -> None:
    killed = ("INFO", "Worker process 58 was killed by signal 11")

    class Nannied(Silent):
        async def worker_logs(self, n: int, **asked: Any) -> dict[str, object]:
            if "nanny" in asked:
                assert asked == {"workers": ["tls://b"], "nanny": True}, "the others have none"
                return {"tls://b": [killed]}
            return {address: [("INFO", "Start worker")] for address in asked.get("workers", there)}

    there = {"tls://a": {"name": "a", "nanny": None}, "tls://b": {"name": "b", "nanny": "tls://n"}}
    for worker in (None, "b"):
        told = await logs.of_running(Nannied(), there, 5, worker)
        assert told["b"] == "Worker process 58 was killed by signal 11\nStart worker"
    assert (await logs.of_running(Nannied(), there, 5))["a"] == "Start worker"


@pytest.mark.parametrize("silent", ["nannies", "workers"])
async def test_nannies_and_their_workers_answer_apart(silent: str) -> None:
    """A worker that hangs is when its nanny matters, and who does not answer is told."""

    class Half(Silent):
        async def worker_logs(self, n: int, **asked: Any) -> dict[str, object]:
            if ("nanny" in asked) == (silent == "nannies"):
                raise OSError("out of reach")
            said = "killed by signal 11" if "nanny" in asked else "Start worker"
            return {address: [("INFO", said)] for address in asked.get("workers", there)}

    there = {"tls://b": {"name": "b", "nanny": "tls://n"}}
    lines = {"nannies": "Start worker", "workers": "killed by signal 11"}[silent]
    told = await logs.of_running(Half(), there, 5)
    assert told.pop("scheduler")
    assert told == {"b": lines, silent: "(no answer: OSError: out of reach)"}
    told = await logs.of_running(Half(), there, 5, "b")
    assert set(told["b"].splitlines()) == {lines, f"{silent}: (no answer: OSError: out of reach)"}
    assert set(await logs.of_running(Half(), there, 5, "who has ended")) == {"scheduler"}


async def test_who_does_not_answer_is_no_reason_to_lose_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "SECONDS", 0.05)
    told = await logs.of_running(Silent(), {}, 5)
    assert told["scheduler"] == "the first line\nthe last line"
    assert told["workers"].startswith("(no answer in")
    assert "Timed out trying to connect" in (await logs.of_running(Refuses(), {}, 5))["workers"]
    odd = await logs.of_running(Odd(), {"tls://b": {"name": "<b>"}}, 5)
    assert (odd["tls://a"], odd["<b>"]) == ("(no lines, but 'OK')", "fine")
    assert "<summary style='display:list-item'>&lt;b&gt;" in logs.ClusterLogs(odd)._repr_html_()


@pytest.mark.parametrize("lines", [0, -1, True, "all", 1.5])
def test_a_number_of_lines_that_is_none_is_refused(site: Site, lines: Any) -> None:
    with (
        site.gateway("logs-lines") as gateway,
        gateway.new_cluster() as cluster,
        pytest.raises(ValueError, match="lines must be a whole number above 0"),
    ):
        cluster.logs(lines)
