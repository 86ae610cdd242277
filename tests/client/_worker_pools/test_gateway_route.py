"""Answers about pools that make no sense, or too much of it: in words, and bounded."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from htcdask_api import Template
from htcdaskgateway import HTCDaskError, PoolRefusedError
from htcdaskgateway._worker_pools.gateway_route import RoutePools

POOL: dict[str, Any] = {"name": "default", "spec": {"clusterRef": {"name": "a"}, "template": {}}}


class Answer:
    def __init__(self, text: str) -> None:
        self.text = text

    async def json(self) -> Any:
        return json.loads(self.text)


class Page(Answer):
    async def json(self) -> Any:
        raise aiohttp.ContentTypeError(None, (), message="unexpected mimetype: text/html")  # type: ignore[arg-type]


class FakeGateway:
    """All that the route asks of it."""

    address = "https://gateway.example"

    def __init__(self, answer: Answer | Exception) -> None:
        self._answer = answer

    async def _request(self, method: str, url: str, json: Any = None) -> Answer:
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def pools(answer: Answer | Exception) -> RoutePools:
    return RoutePools(FakeGateway(answer))


ODD: dict[str, Answer] = {
    "no pools": Answer("{}"),
    "a list": Answer("[]"),
    "a number for a pool": Answer('{"pools": [1]}'),
    "null": Answer("null"),
    "a pool without a name": Answer(json.dumps({"pools": [{**POOL, "name": None}, {"spec": {}}]})),
    "a word of a newer operator": Answer(
        json.dumps({"pools": [{**POOL, "spec": {**POOL["spec"], "scaling": "Elastic"}}]})
    ),
    "too long a message": Answer(
        json.dumps(
            {"pools": [{**POOL, "status": {"explanation": [{"reason": "R", "message": "x" * 10**6}]}}]}
        )
    ),
    "a page": Page(""),
    "half an answer": Answer('{"pools": ['),
}
ASK: dict[str, Callable[[RoutePools], Awaitable[Any]]] = {
    "list": lambda route: route.list("gateway.a"),
    "create": lambda route: route.create("gateway.a", "more", Template(), 1),
}


@pytest.mark.parametrize("ask", ASK)
@pytest.mark.parametrize("odd", ODD)
async def test_what_makes_no_sense_is_said_to_make_none(ask: str, odd: str) -> None:
    with pytest.raises(HTCDaskError, match="worker pools is not understood; it may be newer than") as refused:
        await ASK[ask](pools(ODD[odd]))
    assert len(str(refused.value)) < 200


async def test_a_refusal_without_end_has_one() -> None:
    with pytest.raises(PoolRefusedError) as refused:
        await ASK["create"](pools(ValueError("no " * 10**6)))
    assert len(str(refused.value)) < 4300
