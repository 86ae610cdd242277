"""What a conflict means to who makes a default pool: its cluster's own pool, or one that is in the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from htcdask_api import manifest
from htcdask_operator.kube.api import KubeApi
from htcdask_operator.kube.errors import KubeError


class ApiServer:
    """It has one pool of that name, of this cluster; None: it went right after the conflict."""

    def __init__(self, cluster: str | None) -> None:
        self.cluster = cluster
        self.asked: list[str] = []

    async def send(self, method: str, path: str, **_: Any) -> Mapping[str, Any]:
        self.asked.append(f"{method} {path.rpartition('/')[2]}")
        if method == "POST":
            raise KubeError(f"POST {path}", 'htcworkerpools "default-c1" already exists', 409, named=True)
        if self.cluster is None:
            raise KubeError(f"GET {path}", "not found", 404, named=True)
        body = manifest.owned_pool("gateway", "default-c1", self.cluster, "uid-1")
        body["metadata"]["uid"] = "uid-2"
        return body


async def create(server: ApiServer) -> None:
    kube = KubeApi(None, "pod-1")
    kube._request = server.send
    await kube.create_pool("gateway", "default-c1", "c1", "uid-1")


async def test_a_pool_of_the_cluster_that_is_there_already_is_as_good_as_made() -> None:
    server = ApiServer("c1")
    await create(server)
    assert server.asked == ["POST htcworkerpools", "GET default-c1"]


async def test_a_pool_of_another_cluster_is_said_to_be_in_the_way() -> None:
    why = "pool gateway/default-c1: it is of the cluster c2 and in the way of the default pool of c1"
    with pytest.raises(KubeError, match=why) as caught:
        await create(ApiServer("c2"))
    assert caught.value.status == 409


async def test_a_pool_that_has_gone_since_the_conflict_leaves_the_api_servers_words() -> None:
    with pytest.raises(KubeError, match="already exists"):
        await create(ApiServer(None))
