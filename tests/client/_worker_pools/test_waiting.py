"""Who waits for a scheduler or for workers is told for what, and waits no longer than it makes sense."""

import asyncio
import concurrent.futures
import dataclasses
import itertools
import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dask
import pytest
from dask_gateway import GatewayClusterError, GatewayWarning
from distributed import Client
from distributed.comm import CommClosedError

from htcdaskgateway import ClusterStartTimeoutError, HTCGateway, PoolStalledError
from htcdaskgateway._worker_pools import progress, turns, waiting
from htcdaskgateway._worker_pools.pool import Pool
from tests.client.gateway_site import Site
from tests.client.pool_statuses import MANUAL, SINCE, condition, pool

NOT_FOUND = "The scheduler of cluster x is starting (phase Pending): its pod waits: ErrImagePull: nope."
PENDING = {"conditions": [condition("Ready", "False", "ClusterPending", NOT_FOUND)]}
NO_PROFILE = {
    "conditions": [
        condition("Ready", "False", "UnknownProfile", "The site has no profile gpux."),
        condition("Stalled", "True", "UnknownProfile", "The site has\x1b no profile gpux."),
    ]
}
IDLE = {
    "desiredReplicas": 2,
    "idle": 2,
    "explanation": [{"reason": "PoolFull", "message": "all\x1b[2Jtaken"}],
}


async def goes_on() -> None:
    """What the gateway says of a cluster that has not ended."""


ASKED = dataclasses.replace(pool(observedGeneration=1), wanted=1)


@contextmanager
def operator(site: Site, user: str, status: dict[str, Any]) -> Iterator[None]:
    """Says this about the first pool of the user's next cluster."""

    def act() -> None:
        with site.gateway(user) as gateway:
            while not stop.wait(0.05):
                for report in gateway.list_clusters():
                    if site.pools_of(report.name):
                        site.tell(report.name, **status)
                        return

    stop = threading.Event()
    acting = threading.Thread(target=act)
    acting.start()
    try:
        yield
    finally:
        stop.set()
        acting.join()


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == "htcdaskgateway._worker_pools.progress"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (
            {"observedGeneration": 1, "desiredReplicas": 0},
            "none is asked for (adapt() asks only while there is work, and a pool of add_pool() may have "
            "ended it): cluster.scale(5)",
        ),
        ({"desiredReplicas": 1}, "1 asked for: cluster.scale(5)"),
        ({"desiredReplicas": 5}, ""),
        ({}, ""),  # nobody has looked at it
        ({"desiredReplicas": 1, "explanation": [{"reason": "Capped", "message": "so", "count": 4}]}, ""),
    ],
)
def test_who_waits_for_more_than_were_asked_for_is_told(status: dict[str, Any], said: str) -> None:
    told = waiting._too_few([pool(**status)], 5)
    assert told.startswith(said) if said else told == ""
    assert waiting._too_few(None, 5) == waiting._too_few([], 5) == ""


@pytest.mark.parametrize(("wanted", "said"), [(4, "1 asked for: cluster.scale(5)"), (5, "5 asked for, and")])
def test_who_has_just_asked_for_more_is_not_told_to_ask_for_more(wanted: int, said: str) -> None:
    """The operator may be away, or wait for an access point that does not answer."""
    told = waiting._too_few([dataclasses.replace(pool(desiredReplicas=1), wanted=wanted)], 5)
    assert told.startswith(said)


def test_who_waits_where_no_pool_follows_the_cluster_is_told_whom_to_ask() -> None:
    own = dataclasses.replace(pool(desiredReplicas=2), spec=MANUAL)
    told = waiting._too_few([own], 5)
    assert told.startswith(
        "2 asked for, and no pool follows cluster.scale(): scale(n) of one of cluster.pools"
    )


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits looks without a pause, and hears without patience."""
    monkeypatch.setattr(waiting, "_QUIET_SECONDS", 0)
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(waiting, "_PATIENT_SECONDS", 0)
    monkeypatch.setattr(turns, "SECONDS", 0.01)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("is_unseen", [True, False])
async def test_a_script_hears_each_reason_once(
    is_unseen: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "is_unseen", lambda: is_unseen)
    looks = [["Starting"], ["Starting"], ["NoMatchingSlots"], ["Starting", "NoMatchingSlots"], []]
    over = asyncio.Event()

    async def list_pools() -> list[Pool]:
        reasons = looks.pop(0)
        if not looks:
            over.set()
            looks.append([])
        why = [{"reason": r, "message": f"{r}, so", "count": 1} for r in reasons]
        return [pool(observedGeneration=1, desiredReplicas=1, explanation=why)]

    watching = asyncio.create_task(waiting._watch_workers(list_pools, goes_on, "gateway.c1", 1, []))
    await asyncio.wait_for(over.wait(), 30)
    watching.cancel()
    told = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(told) == (2 if is_unseen else 0), told
    for line, reason in zip(told, ("Starting", "NoMatchingSlots"), strict=False):
        assert line.startswith("waiting for 1 worker: ") and f"{reason}, so (cluster gateway.c1)" in line


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "no worker pool: cluster.add_pool() makes one"),
        (RuntimeError("Kubernetes refused"), "cluster.explain() may say why"),
        ([pool(conditions=[condition("Ready", "False", "CondorUnreachable")])], "CondorUnreachable"),
        ([pool()], "the operator has not looked at this pool yet"),
        ([pool(observedGeneration=1)], "cluster.scale(1) asks for more"),
        ([ASKED], "1 asked for, and the operator has not acted on it yet"),
    ],
    ids=["no pool", "nobody tells", "no explanation yet", "no operator", "nobody asks", "nobody acts"],
)
async def test_a_script_hears_of_what_is_no_explanation(
    found: list[Pool] | Exception,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "is_unseen", lambda: True)
    looks, over = iter(range(3)), asyncio.Event()

    async def list_pools() -> list[Pool]:
        if next(looks, None) is None:
            over.set()
        if isinstance(found, Exception):
            raise found
        return found

    watching = asyncio.create_task(waiting._watch_workers(list_pools, goes_on, "gateway.c1", 1, []))
    await asyncio.wait_for(over.wait(), 30)
    watching.cancel()
    [told] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said in told


@pytest.mark.usefixtures("at_once")
async def test_a_worker_that_fails_meanwhile_is_told_and_those_of_before_are_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "is_unseen", lambda: True)
    failed = [
        {"time": SINCE, "worker": f"w-{number}", "reason": "Exited", "message": "No module named 'x'."}
        for number in range(4)
    ]
    looks = [failed[3:], failed[2:], failed[1:], failed]
    seen: list[str] = []
    told: list[str] = []
    over = asyncio.Event()

    async def list_pools() -> list[Pool]:
        told.extend(seen)
        if len(looks) == 1:
            over.set()
        return [pool(desiredReplicas=1, recentFailures=looks[0] if len(looks) == 1 else looks.pop(0))]

    watching = asyncio.create_task(waiting._watch_workers(list_pools, goes_on, "gateway.c1", 1, seen))
    await asyncio.wait_for(over.wait(), 30)
    watching.cancel()
    assert [("failed" in line, "w-2 failed" in line, "w-1 failed" in line) for line in told[:3]] == [
        (False, False, False),
        (True, True, False),
        (True, False, True),
    ]
    [said] = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert "; worker w-2 failed: Exited: No module named 'x'. (cluster gateway.c1)" in said


def test_an_image_that_nobody_can_pull_is_told_and_ends_in_time_and_leaves_nothing(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO),
        dask.config.set({"htcdask.cluster-start-timeout": "4s"}),
        site.gateway("pending-image") as gateway,
        operator(site, "pending-image", PENDING),
    ):
        began = time.monotonic()
        with pytest.raises(ClusterStartTimeoutError, match=r"ErrImagePull: nope") as ended:
            gateway.new_cluster(shutdown_on_close=False)
        assert time.monotonic() - began < 30
        assert isinstance(ended.value, (GatewayClusterError, TimeoutError))
        assert "The cluster was stopped; nothing is left behind." in str(ended.value)
        assert gateway.list_clusters() == []
    told = lines(caplog)
    assert re.fullmatch(
        r"waiting for the scheduler \(\d+ s\): ErrImagePull: nope \(cluster gateway\.\w+\)", told[0]
    )


def test_a_scheduler_that_is_on_its_way_has_all_the_time(site: Site) -> None:
    """Only what Kubernetes says against the pod counts."""
    on_its_way = condition("Ready", "False", "ClusterPending", NOT_FOUND.partition(":")[0] + ".")
    with (
        dask.config.set({"htcdask.cluster-start-timeout": "0s"}),
        site.gateway("pending-slow") as gateway,
        operator(site, "pending-slow", {"conditions": [on_its_way]}),
    ):
        made = asyncio.run_coroutine_threadsafe(_new(site, "pending-slow"), gateway.loop.asyncio_loop)
        with pytest.raises(concurrent.futures.TimeoutError):
            made.result(6)
        [report] = gateway.list_clusters()
        gateway.stop_cluster(report.name)
        with pytest.raises(GatewayClusterError, match="already stopped"):
            made.result(30)


async def _new(site: Site, user: str) -> Any:
    async with site.gateway(user, asynchronous=True) as gateway:
        return await gateway.new_cluster()


async def test_a_pool_that_never_gives_workers_stops_its_new_cluster(site: Site) -> None:
    async with site.gateway("pending-profile", asynchronous=True) as gateway:
        refused = pytest.raises(PoolStalledError, match=r"no profile gpux.*nothing is left behind")
        with operator(site, "pending-profile", NO_PROFILE), refused:
            await gateway.new_cluster(profile="gpux")
        assert await gateway.list_clusters() == []


def test_who_connects_to_a_cluster_in_vain_is_told_and_does_not_end_it(site: Site) -> None:
    with site.gateway("in-vain") as gateway:
        name = gateway.submit()
        site.tell(name, **NO_PROFILE)
        with gateway.connect(name) as cluster:
            with pytest.warns(GatewayWarning, match="UnknownProfile: The site has no profile gpux"):
                client = cluster.get_client()
            with pytest.raises(PoolStalledError, match=r"Pool default: UnknownProfile.*add_pool"):
                client.wait_for_workers(1)
            began = time.monotonic()
            with Client(cluster, set_as_default=False) as other, pytest.raises(PoolStalledError):
                other.wait_for_workers(1, timeout="60s")
            assert time.monotonic() - began < 20
        gateway.stop_cluster(name)


def test_workers_that_wait_say_for_what_and_a_timeout_is_dasks_own(
    site: Site, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    with site.gateway("waits") as gateway, gateway.new_cluster() as cluster:
        client = cluster.get_client()
        site.tell(cluster.name, **IDLE)
        with caplog.at_level(logging.INFO), pytest.raises(asyncio.TimeoutError, match="0/2 workers") as ended:
            client.wait_for_workers(2, timeout=4)
        counts = "0 of 2 workers connected, 2 idle; PoolFull: all [2Jtaken"
        why = f"waiting for 2 workers: {counts} (cluster {cluster.name})"
        assert getattr(ended.value, "__notes__", [why]) == [why], "before Python 3.11 there are no notes"
        assert lines(caplog)[0].replace(" (1 s)", "").replace(" (2 s)", "") == why
        assert not [w for w in recwarn if issubclass(w.category, GatewayWarning)]
        cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        cluster.wait_for_workers(2)


class Busy:
    """A scheduler that takes so long for an answer."""

    def __init__(self, workers: int, seconds: float) -> None:
        its = {"status": "running", "memory_limit": 1, "nthreads": 1}
        self._answer = {"workers": {str(number): its for number in range(workers)}, "n_workers": workers}
        self._seconds = seconds

    async def identity(self, **_: Any) -> dict[str, Any]:
        await asyncio.sleep(self._seconds)
        return self._answer


async def test_a_busy_scheduler_has_some_seconds_for_each_answer() -> None:
    async def nobody_waits() -> list[Pool]:
        return []

    await waiting.for_workers(Busy(3, 0.6), 3, 0.1, "c", nobody_waits, goes_on)
    with pytest.raises(asyncio.TimeoutError, match="1/3 workers"):
        await waiting.for_workers(Busy(1, 0.6), 3, 0.8, "c", nobody_waits, goes_on)
    with pytest.raises(asyncio.TimeoutError, match=r"cluster c did not answer within 0\.1") as ended:
        await waiting.for_workers(Busy(3, 60), 3, 0.1, "c", nobody_waits, goes_on)
    assert "no worker pool: " in getattr(ended.value, "__notes__", ["no worker pool: "])[0]


class Broken:
    """A scheduler whose process has ended."""

    async def identity(self, **_: Any) -> dict[str, Any]:
        raise CommClosedError("the connection broke")


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("after", [0, 2, 5])
async def test_whose_cluster_is_ended_by_somebody_else_hears_that_it_has_ended(after: int) -> None:
    """The connection breaks before its pools say so."""
    looks, ended = itertools.count(), [condition("Ready", "False", "Ended", "The cluster is Stopped.")]

    async def list_pools() -> list[Pool]:
        return [pool(observedGeneration=1, conditions=ended if next(looks) >= after else [])]

    error = PoolStalledError if after < 3 else CommClosedError
    with pytest.raises(error, match="The cluster is Stopped" if after < 3 else "the connection broke"):
        await waiting.for_workers(Broken(), 1, None, "c", list_pools, goes_on)


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("scheduler", [Broken(), Busy(0, 0.1)], ids=["away", "not yet"])
@pytest.mark.parametrize("pools", [[], None], ids=["no pool", "not known"])
async def test_who_waits_for_a_cluster_that_is_gone_with_its_pools_hears_of_its_end(
    scheduler: Any, pools: list[Pool] | None
) -> None:
    async def list_pools() -> list[Pool]:
        if pools is None:
            raise RuntimeError("Kubernetes refused")
        return pools

    async def ended() -> str:
        return "the gateway does not know this cluster"

    with pytest.raises(PoolStalledError, match="cluster c: the gateway does not know this cluster"):
        await waiting.for_workers(scheduler, 1, None, "c", list_pools, ended)


async def test_an_asynchronous_cluster_tells_the_same(site: Site) -> None:
    async with (
        site.gateway("waits-async", asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
        cluster.get_client() as client,
    ):
        await cluster.scale(1)
        await client.wait_for_workers(1, timeout=30)
        await site.set_status(cluster.name, NO_PROFILE)
        with pytest.raises(PoolStalledError, match="no profile gpux"):
            await client.wait_for_workers(2)
        with pytest.warns(GatewayWarning, match="no profile gpux"):
            async with cluster.get_client(set_as_default=False):
                await cluster._telling


def test_a_cluster_without_pools_waits_as_dask_gateways_own(plain_site: Site) -> None:
    with (
        plain_site.gateway("waits") as gateway,
        gateway.new_cluster(worker_backend="kubernetes") as cluster,
    ):
        client = cluster.get_client()
        with pytest.raises(asyncio.TimeoutError):
            client.wait_for_workers(1, timeout=3)


async def test_a_gateway_is_asked_once_a_second_by_all_that_wait_and_once_an_interrupt_ends_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    ask = HTCGateway._request

    async def counted(self: HTCGateway, method: str, url: str, json: Any = None) -> Any:
        if url.endswith("/htcondor/pools") and method == "GET":
            asked.append(time.monotonic())
        return await ask(self, method, url, json=json)

    async with site.gateway("turns", asynchronous=True) as gateway, gateway.new_cluster() as cluster:
        monkeypatch.setattr(HTCGateway, "_request", counted)
        waiting = [asyncio.ensure_future(cluster.wait_for_workers(1)) for _ in range(3)]
        await asyncio.sleep(4.5)
        assert 3 <= len(asked) <= 5
        assert min(after - before for before, after in itertools.pairwise(asked)) > turns.SECONDS * 0.8
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        before = len(asked)
        await asyncio.sleep(2.5)
        assert len(asked) == before
