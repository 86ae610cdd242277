"""Whose pools the hook before an uninstallation ends: never those of a release that is at work."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_api import names
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.requests import Requests
from htcdask_operator.kube.spared import SparedPools

POOL = {"metadata": {"name": "p", "uid": "u", "resourceVersion": "1"}}


class ApiServer(Requests):
    """With one pool, and this claim."""

    def __init__(self, holder: str = "", seconds: int | None = 15) -> None:
        self.holder, self.seconds, self.renewed = holder, seconds, 0
        self.failing: KubeError | None = None
        self.freed: list[Any] = []

    async def send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        if path.endswith(names.PLURAL):
            return {"kind": f"{names.KIND}List", "items": [POOL]}
        assert path == "/apis/coordination.k8s.io/v1/namespaces/gw/leases/htcdask-worker-pools"
        if self.failing:
            raise self.failing
        if method == "PATCH":
            assert more["content_type"] == "application/merge-patch+json"
            self.freed.append(more["body"])
            self.holder = ""
            return {}
        spec = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "renewTime": str(self.renewed),
        }
        return {"metadata": {"resourceVersion": "v"}, "spec": spec}


class Hook:
    def __init__(self, server: ApiServer) -> None:
        self.now = 0.0
        self.pools = SparedPools(server, "gw", "htcdask/htcdask", lambda: self.now)

    async def found(self) -> int | None:
        """How many pools it may end; None: it does not know yet."""
        self.now += 1
        try:
            return len(await self.pools.every())
        except KubeError:
            return None


@pytest.mark.parametrize("holder", ["", "htcdask/htcdask/pod-1", "pod-1"])
async def test_its_own_and_nobodys_are_ended_at_once(holder: str) -> None:
    assert await Hook(ApiServer(holder)).found() == 1


@pytest.mark.parametrize(
    "holder", ["first/htcdask/pod", "htcdask/htcdask-2/pod", "htcdask/h/htcdask/htcdask"]
)
async def test_a_release_at_work_keeps_its_pools(holder: str) -> None:
    server = ApiServer(holder)
    hook = Hook(server)
    assert await hook.found() is None
    assert await hook.found() is None
    server.renewed += 1
    assert await hook.found() == 0
    assert hook.pools.left_to == holder.rpartition("/")[0]
    for _ in range(100):
        assert await hook.found() == 0
    server.holder = ""
    assert await hook.found() == 1
    assert not hook.pools.left_to


@pytest.mark.parametrize(("seconds", "patience"), [(15, 15), (None, 15), (3, 3), (300, 300), (10**9, 300)])
async def test_a_release_that_is_silent_for_its_time_is_gone(seconds: int | None, patience: int) -> None:
    hook = Hook(ApiServer("first/htcdask/pod", seconds))
    assert [await hook.found() for _ in range(patience + 2)] == [None] * (patience + 1) + [1]


async def test_one_that_has_just_taken_over_is_looked_at_first() -> None:
    server = ApiServer("first/htcdask/pod")
    hook = Hook(server)
    await hook.found()
    server.holder, server.renewed = "third/htcdask/pod", 1
    assert await hook.found() is None
    server.renewed = 2
    assert (await hook.found(), hook.pools.left_to) == (0, "third/htcdask")


@pytest.mark.parametrize(("status", "found"), [(403, 1), (404, 1), (401, None), (500, None), (None, None)])
async def test_a_claim_that_cannot_be_read(status: int | None, found: int | None) -> None:
    server = ApiServer("first/htcdask/pod")
    server.failing = KubeError("GET", "no", status)
    assert await Hook(server).found() == found


FREED = {"metadata": {"resourceVersion": "v"}, "spec": {"holderIdentity": ""}}


async def free(hook: Hook) -> float:
    hook.now += 1
    return await hook.pools.free()


@pytest.mark.parametrize(
    "holder", ["", "first/htcdask/pod", "htcdask/htcdask-2/pod", "htcdask/h/htcdask/htcdask"]
)
async def test_a_claim_that_is_not_ours_is_left_alone(holder: str) -> None:
    server = ApiServer(holder)
    hook = Hook(server)
    assert [await free(hook) for _ in range(400)] == [0.0] * 400
    assert server.freed == []


async def test_our_claim_is_taken_from_an_operator_that_has_been_silent_for_its_time_and_not_before() -> None:
    server = ApiServer("htcdask/htcdask/pod-1", 15)
    hook = Hook(server)
    for _ in range(10):
        assert await hook.found() == 1  # the silence counts from the first look
    server.renewed += 1
    assert [round(await free(hook)) for _ in range(16)] == [15 - second or 0 for second in range(16)]
    assert server.freed == []
    assert await free(hook) == 0
    assert server.freed == [FREED]


async def test_a_claim_that_goes_on_being_renewed_is_never_taken() -> None:
    server = ApiServer("htcdask/htcdask/pod-1", 3)
    hook = Hook(server)
    for _ in range(50):
        server.renewed += 1
        assert await free(hook) == 3
    assert server.freed == []


async def test_a_claim_that_its_operator_gives_back_is_free() -> None:
    server = ApiServer("htcdask/htcdask/pod-1", 300)
    hook = Hook(server)
    assert await free(hook) == 300
    server.holder = ""
    assert await free(hook) == 0
    assert server.freed == []
