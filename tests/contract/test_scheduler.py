"""The port `Scheduler` on a real Dask scheduler, and what it says when there is none or something else."""

import asyncio
import time
from pathlib import Path

import dask
import pytest
import tornado.web
from aiohttp import web
from dask_gateway.scheduler_preload import CommHandler
from distributed import Client, Scheduler, Worker

from htcdask_operator.core.model import SchedulerWorkers, Unnamed
from htcdask_operator.scheduler.http import DEADLINE, SchedulerHttp
from htcdask_operator.scheduler.port import SchedulerError
from playground.node.controlplane import free_ports

OURS = ("abc-1", "abc-2")


async def served(*routes: web.RouteDef) -> tuple[web.AppRunner, str]:
    application = web.Application()
    application.add_routes(routes)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def test_a_real_scheduler_names_its_workers() -> None:
    (port,) = free_ports(1)
    async with Scheduler(host="127.0.0.1", port=0, dashboard_address=f"127.0.0.1:{port}") as scheduler:
        port_of = SchedulerHttp(dashboard=f"http://127.0.0.1:{port}")
        assert await port_of.workers("gateway", "c1", OURS) == SchedulerWorkers()
        async with (
            Worker(scheduler.address, name="abc-1", nthreads=1, dashboard_address="127.0.0.1:0"),
            Worker(scheduler.address, name="abc-2", nthreads=1, dashboard_address="127.0.0.1:0"),
        ):
            assert await port_of.workers("gateway", "c1", OURS) == SchedulerWorkers(frozenset(OURS))
            assert await port_of.workers("gateway", "c1", OURS[1:]) == SchedulerWorkers(
                frozenset(OURS[1:]), strangers=1
            )
        assert await port_of.workers("gateway", "c1", OURS) == SchedulerWorkers()


async def test_a_real_scheduler_tells_who_is_in_the_middle_of_a_task(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    gate = tmp_path / "gate"

    def task(gate: str) -> None:
        while not Path(gate).exists():
            time.sleep(0.05)

    async with (
        Scheduler(host="127.0.0.1", port=0, dashboard_address=f"127.0.0.1:{port}") as scheduler,
        Worker(scheduler.address, name="abc-1", nthreads=1, dashboard_address="127.0.0.1:0"),
        Worker(scheduler.address, name="abc-2", nthreads=1, dashboard_address="127.0.0.1:0"),
        Client(scheduler.address, asynchronous=True) as client,
    ):
        port_of = SchedulerHttp(dashboard=f"http://127.0.0.1:{port}")
        future = client.submit(task, str(gate), workers=["abc-2"])
        await _until_busy(port_of, frozenset({"abc-2"}))
        gate.touch()
        await future
        await _until_busy(port_of, frozenset())


INFO, API, JSON = (f"distributed.http.scheduler.{name}" for name in ("info", "api", "json"))


@pytest.mark.parametrize(
    ("routes", "nobody", "both"),
    [
        ([INFO, API, JSON], SchedulerWorkers(), SchedulerWorkers(frozenset(OURS))),
        ([API, JSON], SchedulerWorkers(), SchedulerWorkers(frozenset(OURS), frozenset(OURS))),
        ([JSON], SchedulerWorkers(), Unnamed()),
        (["distributed.http.scheduler.prometheus", "distributed.http.health"], Unnamed(), Unnamed()),
        ([], Unnamed(), Unnamed()),
    ],
    ids=["pages", "names", "a number", "other things", "nothing"],
)
async def test_a_real_scheduler_tells_what_its_routes_offer(
    routes: list[str], nobody: SchedulerWorkers | Unnamed, both: SchedulerWorkers | Unnamed
) -> None:
    (port,) = free_ports(1)
    dashboard = f"127.0.0.1:{port}"
    with dask.config.set({"distributed.scheduler.http.routes": routes}):
        async with Scheduler(host="127.0.0.1", port=0, dashboard_address=dashboard) as scheduler:
            port_of = SchedulerHttp(dashboard=f"http://{dashboard}")
            assert await port_of.workers("gateway", "c1", OURS) == nobody
            async with (
                Worker(scheduler.address, name="abc-1", nthreads=1, dashboard_address="127.0.0.1:0"),
                Worker(scheduler.address, name="abc-2", nthreads=1, dashboard_address="127.0.0.1:0"),
            ):
                assert await port_of.workers("gateway", "c1", OURS) == both


async def test_all_questions_together_have_one_deadline() -> None:
    async def slowly(_: web.Request) -> web.Response:
        await asyncio.sleep(0.6 * DEADLINE)
        raise web.HTTPNotFound

    runner, url = await served(web.get("/{path:.*}", slowly))
    began = time.monotonic()
    with pytest.raises(SchedulerError, match="/api/v1/get_workers: no answer in 3 s"):
        await SchedulerHttp(dashboard=url).workers("gateway", "c1", OURS)
    assert time.monotonic() - began < DEADLINE + 1
    await runner.cleanup()


async def _until_busy(port: SchedulerHttp, busy: frozenset[str]) -> None:
    async with asyncio.timeout(30):
        both = SchedulerWorkers(frozenset(OURS), busy)
        while await port.workers("gateway", "c1", OURS) != both:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.1)


async def test_the_service_of_the_gateways_controller_is_asked() -> None:
    with pytest.raises(SchedulerError, match=r"http://dask-c1\.nowhere:8787/info/main/workers\.html: "):
        await SchedulerHttp().workers("nowhere", "c1", OURS)


@pytest.mark.parametrize("text", ["", "[]", "<table><tr><td>w1</td></tr></table>"])
async def test_another_servers_answer_is_not_a_list_of_workers(text: str) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text)

    runner, url = await served(web.get("/info/main/workers.html", answer))
    with pytest.raises(SchedulerError, match="not the answer of a Dask scheduler"):
        await SchedulerHttp(dashboard=url).workers("gateway", "c1", OURS)
    await runner.cleanup()


async def test_an_answer_without_end_is_cut_off() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 2**20)
        except (ConnectionError, asyncio.CancelledError):
            return response

    runner, url = await served(web.get("/info/main/workers.html", answer))
    with pytest.raises(SchedulerError, match="larger than"):
        await SchedulerHttp(dashboard=url).workers("gateway", "c1", OURS)
    await runner.cleanup()


async def test_an_error_says_the_status() -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=503)

    runner, url = await served(web.get("/info/main/workers.html", answer))
    with pytest.raises(SchedulerError, match="HTTP status 503"):
        await SchedulerHttp(dashboard=url).workers("gateway", "c1", OURS)
    await runner.cleanup()


async def test_the_gateways_service_in_the_scheduler_takes_the_count_by_the_clusters_token() -> None:
    """Its own request handler, as `dask_gateway.scheduler_preload` has it."""
    counts: list[int] = []

    class Service:
        async def scale(self, count: int) -> None:
            counts.append(count)

    routes = [("/api/comm", CommHandler)]
    application = tornado.web.Application(routes, gateway_service=Service(), auth_token="secret")
    server = application.listen(0, "127.0.0.1")
    [listening] = server._sockets.values()
    port = SchedulerHttp(api=f"http://127.0.0.1:{listening.getsockname()[1]}")
    await port.scale("gateway", "c1", 4, "secret")
    with pytest.raises(SchedulerError, match="HTTP status 403"):
        await port.scale("gateway", "c1", 5, "wrong")
    assert counts == [4]
    with pytest.raises(SchedulerError, match="not one printable line"):
        await port.scale("gateway", "c1", 6, "secret\r\nX-Other: header")
    server.stop()
