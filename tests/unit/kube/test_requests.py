"""How much is asked of the API server at a time: nothing of ours stands before the leader's lease."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from htcdask_operator.kube.requests import Lane, Requests
from htcdask_operator.progress import Progress

POOLS = "/apis/htcdask.org/v1alpha1/namespaces/gateway/htcworkerpools"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/gateway/leases/one"


class Answer:
    status = 200
    headers: dict[str, str] = {}

    async def read(self) -> bytes:
        return b'{"kind": "Thing", "apiVersion": "v1"}'


class SlowServer:
    """It answers what is asked once it may."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.may_answer = asyncio.Event()

    async def param_serialize(self, method: str, path: str, **_: Any) -> tuple[str]:
        return (path,)

    async def call_api(self, path: str, **_: Any) -> Answer:
        self.asked[path] += 1
        self.most[path] = max(self.most[path], self.asked[path])
        if path != LEASE:
            await self.may_answer.wait()
        self.asked[path] -= 1
        return Answer()


async def test_a_hundred_clusters_do_not_stand_before_the_lease() -> None:
    server = SlowServer()
    requests = Requests(server, 5)
    some = [asyncio.create_task(requests.send("GET", POOLS, lane=Lane.LIST)) for _ in range(100)]
    some += [asyncio.create_task(requests.send("GET", f"{POOLS}/a")) for _ in range(100)]
    await asyncio.sleep(0.01)
    assert server.asked == {POOLS: Lane.LIST.value, f"{POOLS}/a": Lane.OBJECT.value}
    await asyncio.wait_for(requests.send("PATCH", LEASE, lane=Lane.LEASE), 1)
    server.may_answer.set()
    await asyncio.wait_for(asyncio.gather(*some), 5)
    assert server.most[POOLS] == Lane.LIST.value, "and the others had their turn"


async def test_whoever_stops_waiting_takes_nobodys_turn() -> None:
    server = SlowServer()
    requests = Requests(server, 5)
    some = [asyncio.create_task(requests.send("GET", POOLS, lane=Lane.LIST)) for _ in range(6)]
    await asyncio.sleep(0.01)
    for task in some[:4]:  # two of them are on their way, two wait
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await some[0]
    server.may_answer.set()
    await asyncio.wait_for(asyncio.gather(*some[4:]), 5)


async def test_who_waits_gets_on_with_each_answer_to_those_before() -> None:
    server, time = SlowServer(), 0.0
    requests = Requests(server, 5)
    before = [asyncio.create_task(requests.send("GET", POOLS, lane=Lane.LIST)) for _ in range(3)]
    await asyncio.sleep(0.01)
    progress = Progress(lambda: time)
    progress.follow()
    waiting = asyncio.create_task(requests.send("GET", POOLS, lane=Lane.LIST))
    await asyncio.sleep(0.01)
    time = 400.0
    assert progress.standstill() == 400
    before[0].cancel()  # whatever came of it
    await asyncio.sleep(0.01)
    assert progress.standstill() == 0 and not waiting.done()
    server.may_answer.set()
    await waiting
