"""What one user sends costs the memory of a server that is everybody's: little of it is there at a time."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock, Mock
from weakref import WeakValueDictionary

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request
from dask_gateway_server.models import Cluster, ClusterStatus

from htcdask_gateway import HTCDaskBackend, PoolsView, PoolView, View


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
