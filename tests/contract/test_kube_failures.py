"""What an API server and what stands before it do wrong, and what becomes of it: an error, no answer."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from kubernetes.aio.client.api_client import ApiClient
from kubernetes.aio.client.configuration import Configuration

from htcdask_api import names
from htcdask_operator.core.model import Gone
from htcdask_operator.kube.api import KubeApi
from htcdask_operator.kube.draining import Held, NamespacePools
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(answer: Answer, deadline: float = 5.0) -> AsyncIterator[KubeApi]:
    """An API server that answers so, and the port on it."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    configuration = Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    kube = KubeApi(ApiClient(configuration), "failures", deadline)
    try:
        yield kube
    finally:
        await kube.close()
        await runner.cleanup()


def status(code: int, message: str, reason: str = "", details: object = None, **headers: str) -> web.Response:
    """As the API server says no."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
    body |= {"reason": reason, "details": details}
    return web.json_response(body, status=code, headers=headers)


C1 = {"group": "gateway.dask.org", "kind": "daskclusters", "name": "c1"}
LEASE = {"group": "coordination.k8s.io", "kind": "leases", "name": "htcdask"}
POOLS = {"kind": "HTCWorkerPoolList", "apiVersion": names.API_VERSION, "metadata": {}, "items": []}


def as_json(body: object) -> Answer:
    """A server that always says this."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    return answer


async def failure(kube: KubeApi) -> KubeError:
    with pytest.raises(KubeError) as error:
        await kube.pools("gateway")
    with pytest.raises(KubeError):
        await kube.cluster("gateway", "c1")
    return error.value


async def test_a_busy_server_is_asked_again_when_it_says() -> None:
    asked: list[float] = []

    async def busy(_: web.Request) -> web.Response:
        asked.append(time.monotonic())
        if len(asked) < 3:
            return status(429, "too many requests", **{"Retry-After": "1"})
        return web.json_response(POOLS)

    async with server(busy) as kube:
        assert await kube.pools("gateway") == ()
    assert [round(after - before) for before, after in itertools.pairwise(asked)] == [1, 1]


@pytest.mark.parametrize("after", ["0", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "²", "-1", ""])
async def test_a_server_that_is_busy_for_good_is_an_error_after_a_few_tries(
    after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("htcdask_operator.kube.requests._LONGEST_PAUSE", 0.0)
    asked = 0

    async def busy(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return status(429, "too many requests", **{"Retry-After": after})

    async with server(busy) as kube:
        with pytest.raises(KubeError, match="too many requests") as error:
            await kube.pools("gateway")
    assert (asked, error.value.status) == (5, 429)


async def test_nobody_is_kept_waiting_by_a_long_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("htcdask_operator.kube.requests._LONGEST_PAUSE", 0.01)

    async def busy(_: web.Request) -> web.Response:
        return status(429, "too many requests", **{"Retry-After": "99999999"})

    async with server(busy) as kube, asyncio.timeout(5):
        assert (await failure(kube)).status == 429


@pytest.mark.parametrize("code", [400, 401, 403, 409, 422, 500, 503, 504])
async def test_what_the_server_refuses_is_an_error_in_its_words_and_asked_once(code: int) -> None:
    asked = 0

    async def refuse(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return status(code, "these are the words")

    async with server(refuse) as kube:
        error = await failure(kube)
    assert "these are the words" in str(error)
    assert (error.status, error.gone, asked) == (code, False, 2)


async def test_a_status_that_names_the_object_makes_it_gone() -> None:
    async def not_found(request: web.Request) -> web.Response:
        about = LEASE if "leases" in request.path else C1
        return status(404, "not found", "NotFound", about)

    async with server(not_found) as kube:
        assert await kube.cluster("gateway", "c1") == Gone()
        assert await kube.lease("htcdask", "htcdask") is None


@pytest.mark.parametrize(
    ("reason", "details"),
    [
        ("NotFound", {}),  # "the server could not find the requested resource"
        ("NotFound", None),
        ("NotFound", "c1"),
        ("NotFound", {**C1, "name": "c2"}),
        ("NotFound", {**C1, "kind": "httproutes"}),
        ("NotFound", {**C1, "group": "example.org"}),
        ("NotFound", {"kind": "namespaces", "name": "gateway"}),
        ("NotFound", {"kind": "namespaces", "name": "c1"}),
        ("Expired", C1),
        ("", C1),
    ],
)
async def test_any_other_404_is_an_error(reason: str, details: object) -> None:
    async def not_served(_: web.Request) -> web.Response:
        return status(404, "the server could not find the requested resource", reason, details)

    async with server(not_served) as kube:
        assert not (await failure(kube)).gone
        with pytest.raises(KubeError):
            await kube.lease("htcdask", "htcdask")


@pytest.mark.parametrize("code", [200, 404])
@pytest.mark.parametrize(
    "body",
    [
        "404 page not found",
        json.dumps({"kind": "Status", "reason": "NotFound", "details": C1}),  # and whose API's?
        json.dumps({"kind": ["Status"]}),
        "[" * 100_000,
    ],
)
async def test_what_stands_between_cannot_make_anything_gone(code: int, body: str) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(status=code, text=body)

    async with server(proxy) as kube:
        assert not (await failure(kube)).gone
        with pytest.raises(KubeError):
            await kube.lease("htcdask", "htcdask")


def a_cluster(**metadata: object) -> dict[str, object]:
    return {
        "kind": "DaskCluster",
        "apiVersion": names.GATEWAY_API_VERSION,
        "metadata": {"name": "c1", "namespace": "gateway", "uid": "u1", **metadata},
    }


def a_pool(**metadata: object) -> dict[str, object]:
    return {
        "kind": "HTCWorkerPool",
        "metadata": {"name": "p", "namespace": "gateway", "uid": "u", **metadata},
    }


@pytest.mark.parametrize(
    "body",
    [
        {**POOLS, "kind": "HTCWorkerPool"},
        {**POOLS, "kind": "DaskClusterList"},
        {**POOLS, "apiVersion": "v1"},
        {**POOLS, "items": None},
        {**POOLS, "items": {}},
        {**POOLS, "items": "none"},
        {**POOLS, "metadata": {"continue": "and so on"}},
        {**POOLS, "items": [None]},
        {**POOLS, "items": [a_pool(), a_pool(uid="")]},
        {**POOLS, "items": [a_pool(uid=7)]},
        {**POOLS, "items": [a_pool(name=None)]},
        {**POOLS, "items": [a_pool(namespace="another")]},
        {**POOLS, "items": [{**a_pool(), "kind": "DaskCluster"}]},
        {**POOLS, "items": [{"kind": "HTCWorkerPool"}]},
        {**POOLS, "items": [{"kind": "HTCWorkerPool", "metadata": []}]},
        {"kind": "Status", "apiVersion": "v1", "status": "Success"},
        a_cluster(name="c2"),
        a_cluster(uid=None),
        {**a_cluster(), "apiVersion": "v1"},
        {**a_cluster(), "metadata": None},
        {**a_cluster(), "kind": 1},
    ],
)
async def test_an_answer_to_another_question_is_no_answer(body: object) -> None:
    async with server(as_json(body)) as kube:
        await failure(kube)
        with pytest.raises(KubeError):
            await kube.clusters("gateway")
        with pytest.raises(KubeError):
            await kube.credentials("gateway", "c1")
        with pytest.raises(KubeError):
            await kube.lease("gateway", "c1")


async def test_an_object_that_goes_at_once_is_answered_with_a_status_and_that_is_no_failure() -> None:
    """What had no finalizer is gone with the request: there is no object to answer with."""
    gone = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": C1}
    for body, well in (
        (gone, True),
        ({**gone, "status": "Failure"}, False),
        ({**gone, "status": None}, False),
    ):
        async with server(as_json(body)) as kube:
            pools = NamespacePools(Requests(kube._client, 5), "gateway")
            with contextlib.nullcontext() if well else pytest.raises(KubeError):
                await pools.delete(Held("p", "uid", "1", deleting=False, finalizers=()))
            for method in ("GET", "POST", "PATCH"):
                with pytest.raises(KubeError):
                    await kube._request(method, "/api/v1/namespaces/gateway/secrets/p")


@pytest.mark.parametrize(
    "data", [None, "x", [], {"dask.crt": 1}, {"dask.crt": "ü", "dask.pem": [], "api-token": 3}]
)
async def test_a_secret_of_another_make_is_an_error_that_names_it(data: object) -> None:
    body = {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "s", "uid": "u"}, "data": data}
    async with server(as_json(body)) as kube:
        with pytest.raises(KubeError, match=r"gateway/s.*no dask.crt"):
            await kube.credentials("gateway", "s")


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "APIGroupList", "groups": None},
        {"kind": "APIGroupList", "groups": ["x", {"versions": 3}, {"versions": [None, {"groupVersion": 1}]}]},
    ],
)
async def test_any_account_of_what_is_served_is_read(body: object) -> None:
    async with server(as_json(body)) as kube:
        assert "htcworkerpools.htcdask.org is not installed" in str(await kube._missing_resource())


@pytest.mark.parametrize("text", ["", "<html>Sign in</html>", "null", "[]", "{}", '{"items": []}', '{"kind'])
@pytest.mark.parametrize("code", [200, 404, 502])
async def test_garbage_is_no_answer(text: str, code: int) -> None:
    async def garbage(_: web.Request) -> web.Response:
        return web.Response(status=code, text=text)

    async with server(garbage) as kube:
        error = await failure(kube)
    assert "not in the API server's words" in str(error)
    assert (error.status, error.gone, error.unserved) == (None, False, code == 404)


async def test_garbage_is_never_quoted_for_it_may_hold_a_secret() -> None:
    async def cut_short(_: web.Request) -> web.Response:
        secret = {"kind": "Secret", "data": {"dask.pem": "c2VjcmV0"}}
        return web.Response(text=json.dumps(secret)[:-1])

    async with server(cut_short) as kube:
        with pytest.raises(KubeError) as error:
            await kube.credentials("gateway", "dask-credentials-c1")
    assert "c2Vj" not in str(error.value)


async def test_a_server_that_never_answers_is_an_error_at_the_deadline() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def stops_half_way(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"kind": ')
        await asyncio.sleep(60)
        raise AssertionError

    for answer in (never, stops_half_way):
        async with server(answer, deadline=0.2) as kube:
            assert "no answer from the API server in 0.2 s" in str(await failure(kube))


async def test_a_server_that_hangs_up_is_an_error() -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with server(hang_up) as kube:
        assert "cannot be reached" in str(await failure(kube))


async def test_the_cluster_is_asked_who_it_is_until_it_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("htcdask_operator.kube.api._UNTIL_ASKED_AGAIN", 0.01)
    system = {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "kube-system", "uid": "u-1"}}
    answers = [
        web.Response(status=502, text="<html>"),
        status(403, "namespaces kube-system is forbidden", "Forbidden"),
        web.json_response({**system, "metadata": {"name": "kube-system"}}),
        web.json_response({**system, "metadata": {"name": "default", "uid": "u-2"}}),
        web.json_response(system),
    ]

    async def answer(_: web.Request) -> web.Response:
        return answers.pop(0)

    async with server(answer) as kube, asyncio.timeout(5):
        assert await kube.wait_for_cluster_uid() == "u-1"
    assert "ClusterRole needs get on the namespace kube-system" in caplog.text


async def test_a_namespace_is_ending_when_it_says_so_or_is_not_there() -> None:
    metadata = {"name": "n", "uid": "u"}
    body = {"kind": "Namespace", "apiVersion": "v1", "metadata": metadata}
    async with server(as_json(body)) as kube:
        assert not await kube.ending("n")
    async with server(as_json({**body, "metadata": {**metadata, "deletionTimestamp": "now"}})) as kube:
        assert await kube.ending("n")

    async def gone(_: web.Request) -> web.Response:
        return status(404, "not found", "NotFound", {"kind": "namespaces", "name": "n"})

    async def not_served(_: web.Request) -> web.Response:
        return status(404, "not found", "NotFound", {})

    async with server(gone) as kube:
        assert await kube.ending("n")
    async with server(not_served) as kube:
        with pytest.raises(KubeError):
            await kube.ending("n")
