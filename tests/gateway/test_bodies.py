"""What one user sends costs the memory of a server that is everybody's: little of it is there at a time."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock
from weakref import WeakValueDictionary

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request
from dask_gateway_server.models import Cluster, ClusterStatus

from htcdask_bodies import LARGEST, READ, SECONDS, WAITING
from htcdask_gateway import HTCDaskBackend, PoolsView, PoolView, View
from tests.gateway.servers import Site, heard


class _Bodies:
    """They come slowly."""

    def __init__(self) -> None:
        self.here = self.most = 0

    async def one(self, *_: object) -> dict[str, Any]:
        self.here += 1
        self.most = max(self.most, self.here)
        await asyncio.sleep(0.01)
        return {}

    async def done_with(self, *_: object, **__: object) -> Any:
        await asyncio.sleep(0.01)
        self.here -= 1
        return {"spec": {}, "metadata": {"name": "p", "uid": "u", "creationTimestamp": ""}}


class _Backend:
    crd_version = "v1alpha1"

    def __init__(self) -> None:
        self.pool_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.custom_client = Mock()


def _request(**more: Any) -> Any:
    app: Any = {"backend": _Backend()}
    return make_mocked_request("POST", "/", match_info={"cluster_name": "gateway.c1"}, app=app, **more)


@pytest.mark.parametrize("method", ["post", "patch"])
async def test_one_cluster_has_one_body_at_a_time(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies, request = _Bodies(), _request()
    pool = {"metadata": {"name": "p", "uid": "u"}}
    monkeypatch.setattr(View, "cluster", AsyncMock(return_value={}))
    monkeypatch.setattr(View, "body", bodies.one)
    monkeypatch.setattr(PoolsView, "make", bodies.done_with)
    monkeypatch.setattr(PoolView, "pool", AsyncMock(return_value=("p", pool)))
    request.app["backend"].custom_client.patch_namespaced_custom_object = bodies.done_with
    view = PoolsView if method == "post" else PoolView
    await asyncio.gather(*(getattr(view(request), method)() for _ in range(10)))
    assert (bodies.most, bodies.here) == (1, 0)


@pytest.mark.parametrize("charset", ["nothing-that-exists", "rot13", "hex"])
async def test_a_body_in_no_known_letters_is_the_users_mistake(charset: str) -> None:
    stream = StreamReader(Mock(), 2**16)
    stream.feed_data(b"{}")
    stream.feed_eof()
    headers = {"Content-Type": f"application/json; charset={charset}"}
    with pytest.raises(web.HTTPUnprocessableEntity):
        await View(_request(payload=stream, headers=headers)).body("spec")


async def test_a_heartbeat_that_is_held_keeps_nothing_of_its_message() -> None:
    class Heard:
        async def heard(self, *_: object) -> None:
            assert message == {}

    class Backend:
        clusters = {
            "gateway.c1": Cluster(
                "gateway.c1", "ada", "", {"worker_backend": "htcondor"}, {}, ClusterStatus.RUNNING
            )
        }
        heartbeats = Heard()

    message: dict[str, Any] = {"count": 1, "active_workers": [[]] * 1000}
    await HTCDaskBackend.on_cluster_heartbeat(Backend(), "gateway.c1", message)  # type: ignore[arg-type]
    assert message == {}


# Bodies that do not end, sent to the unmodified server


def _resident(site: Site) -> float:
    """MiB that the API server has in memory."""
    config = str(site.api.log.with_suffix(".py")).encode()
    for process in Path("/proc").glob("[0-9]*"):
        if (process / "cmdline").exists() and config in (process / "cmdline").read_bytes().split(b"\0"):
            (line,) = (each for each in (process / "status").read_text().splitlines() if "VmRSS" in each)
            return int(line.split()[1]) / 1024
    raise AssertionError("the API server is not there")


def _unfinished(site: Site, path: str, size: int, authorization: str) -> socket.socket:
    """A POST of `size` bytes whose last byte does not come."""
    host, _, port = site.api.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=SECONDS + 20)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\nContent-Length: {size}\r\n\r\n"
    )
    connection.sendall(head.encode())
    connection.setblocking(False)
    return connection


def _feed(connections: dict[socket.socket, int], seconds: float) -> None:
    """Send zeros to each for as long as it takes any, up to so many bytes."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        moved = 0
        for connection, left in connections.items():
            try:
                sent = connection.send(b"0" * min(left, 2**16)) if left else 0
            except (BlockingIOError, ConnectionError):
                sent = 0
            connections[connection] -= sent
            moved += sent
        if not moved:
            time.sleep(0.05)


def _status(connection: socket.socket) -> int:
    connection.settimeout(SECONDS + 10)
    return int(connection.recv(64).split()[1])


def test_a_hundred_heartbeats_without_their_last_byte_cost_little_and_hold_up_nobody(site: Site) -> None:
    cluster, size = site.cluster(), 900_000
    other = site.cluster("bob")
    token, theirs = site.token(cluster), site.token(other)
    assert site.heartbeat(cluster, heard(1)) == site.heartbeat(other, heard(1)) == 200
    before, began = _resident(site), time.monotonic()
    with ExitStack() as stack:
        path = f"/api/v1/clusters/{cluster}/heartbeat"
        connections = {}
        for _ in range(100):
            one = stack.enter_context(_unfinished(site, path, size, f"token {token}"))
            connections[one] = size - 1
        _feed(connections, 3)
        # Of 90 MiB that were sent: sixteen bodies, and what each other connection may have unread.
        assert _resident(site) - before < 75
        asked, others = time.monotonic(), f"/api/v1/clusters/{other}/heartbeat"
        assert site.api(None, "POST", others, heard(2), token=theirs)[0] == 200
        assert time.monotonic() - asked < 2
        answers = [_status(one) for one in connections]
    assert time.monotonic() - began < SECONDS + 10
    assert answers.count(429) == 100 - READ - WAITING
    assert answers.count(408) == READ + WAITING
    assert site.heartbeat(cluster, heard(3)) == 200


@pytest.mark.parametrize("route", ["/api/v1/clusters/", "/api/v1/clusters/{}/htcondor/pools"])
def test_the_bodies_of_users_are_bounded_too(site: Site, route: str) -> None:
    path = route.format(site.cluster("eve"))
    with ExitStack() as stack:
        ones = [stack.enter_context(_unfinished(site, path, 900_000, "Basic ZXZlOg==")) for _ in range(2)]
        asked = time.monotonic()
        site.cluster("eve")  # her own other requests do not wait either
        assert time.monotonic() - asked < 5
        assert [_status(one) for one in ones] == [408, 408]


@pytest.mark.parametrize("declared", [LARGEST + 1, 10**12])
def test_a_body_that_says_it_is_too_large_is_not_read(site: Site, declared: int) -> None:
    cluster = site.cluster()
    token, path = site.token(cluster), f"/api/v1/clusters/{cluster}/heartbeat"
    assert site.heartbeat(cluster, heard(1)) == 200
    with _unfinished(site, path, declared, f"token {token}") as one:
        asked = time.monotonic()
        assert _status(one) == 413
        assert time.monotonic() - asked < 2


def test_a_large_heartbeat_that_ends_is_heard(site: Site) -> None:
    cluster = site.cluster()
    message = {**heard(2), "active_workers": ["htcdask-default-0123456789abcdef-abc"] * 20_000}
    assert 700_000 < len(json.dumps(message)) < LARGEST
    assert site.heartbeat(cluster, message) == 200
    site.wants(cluster, 2)
