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

    async def send(self, method: str, path: str, **_: Any) -> dict[str, Any]:
        if path.endswith(names.PLURAL):
            return {"kind": f"{names.KIND}List", "items": [POOL]}
        assert path == "/apis/coordination.k8s.io/v1/namespaces/gw/leases/htcdask-worker-pools"
        if self.failing:
            raise self.failing
        spec = {
            "holderIdentity": self.holder,
            "leaseDurationSeconds": self.seconds,
            "renewTime": str(self.renewed),
        }
        return {"spec": spec}


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
