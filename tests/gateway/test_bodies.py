"""What one user sends costs the memory of a server that is everybody's: little of it is there at a time."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import Mock
from weakref import WeakValueDictionary

import pytest
from aiohttp import StreamReader, web
from aiohttp.test_utils import make_mocked_request
from dask_gateway_server.models import Cluster, ClusterStatus

from htcdask_gateway import HTCDaskBackend, PoolsView, View


class _Backend:
    crd_version = "v1alpha1"
    pool_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


class _Slow(PoolsView):
    """Whose bodies come slowly."""

    here = most = 0

    async def cluster(self, for_change: bool = False) -> dict[str, Any]:
        return {}

    async def body(self, *fields: str) -> dict[str, Any]:
        _Slow.here += 1
        _Slow.most = max(_Slow.most, _Slow.here)
        await asyncio.sleep(0.01)
        return {}

    async def make(self, cluster: dict[str, Any], body: dict[str, Any]) -> web.Response:
        await asyncio.sleep(0.01)
        _Slow.here -= 1
        return web.Response()


def _request(**more: Any) -> Any:
    app: Any = {"backend": _Backend()}
    return make_mocked_request("POST", "/", match_info={"cluster_name": "gateway.c1"}, app=app, **more)


async def test_one_cluster_has_one_body_at_a_time() -> None:
    await asyncio.gather(*(_Slow(_request()).post() for _ in range(10)))
    assert _Slow.most == 1


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
