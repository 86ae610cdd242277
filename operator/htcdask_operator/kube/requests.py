"""One request to the API server, and what may come of it. Used by `api`, for all that it asks.

A busy API server (429) is asked again when it says so; every other failure is a KubeError, and whoever asked
knows when to ask again: a cycle backs off, a service has its interval.

An API server takes what one account asks in turn, by what it costs. A hundred clusters that wake together
would stand before the renewal of the leader's lease: so what waits, waits here, and a lease for nobody.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

import aiohttp
from kubernetes.aio.client.api_client import ApiClient

from htcdask_operator import descriptors, metrics
from htcdask_operator.kube import bodies
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.progress import Line

_TOO_MANY: Final = 429
_TRIES: Final = 5  # of a request that the API server is too busy for
_LONGEST_PAUSE: Final = 5.0
_MAX_TEXT: Final = 2048
_ABOUT_ONE: Final = ("NotFound", "Conflict", "Invalid")  # reasons whose details name the object


class Lane(enum.Enum):
    """How many requests of a kind are on their way at a time."""

    LIST = 2  # each costs the API server as much as tens of others
    OBJECT = 8
    LEASE = None  # at once


class Requests:
    """By one client; `deadline`: seconds for one answer, once it is its turn."""

    def __init__(self, client: ApiClient, deadline: float) -> None:
        self._client = client
        self._deadline = deadline
        self._lanes = {
            lane: (Line(), asyncio.Semaphore(lane.value)) for lane in Lane if lane.value is not None
        }

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | list[Mapping[str, Any]] | bytes | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        lane: Lane = Lane.OBJECT,
    ) -> Mapping[str, Any]:
        """The API server's answer; KubeError when there is none, or it is an error."""
        what = f"{method} {path}"
        request = {
            "query_params": list((query or {}).items()),
            "header_params": {"Accept": "application/json", "Content-Type": content_type},
            "body": body,
        }
        for attempt in range(1, _TRIES + 1):
            async with self._turn(lane):
                status, headers, content = await self._exchange(method, path, request)
            if status != _TOO_MANY or attempt == _TRIES:
                break
            await asyncio.sleep(_retry_after(headers))
        answer = bodies.parsed(content)
        # A Status that says Success: the object that was to be deleted is gone, so there is none to show.
        gone = method == "DELETE" and answer.get("kind") == "Status" and answer.get("status") == "Success"
        if 200 <= status <= 299 and (gone or bodies.text(answer.get("kind")) not in ("", "Status")):
            return answer
        # What a proxy says instead of the API server has no status: nobody shall take its 404 for "gone".
        if answer.get("kind") == "Status" and answer.get("apiVersion") == "v1" and status >= 300:
            named = answer.get("reason") in _ABOUT_ONE and bodies.is_about(answer, path)
            raise KubeError(what, bodies.text(answer.get("message"))[:_MAX_TEXT], status, named=named)
        why = f"{status}, and not in the API server's words ({len(content)} bytes)"
        raise KubeError(what, why, unserved=status == 404)

    def _turn(self, lane: Lane) -> AbstractAsyncContextManager[None]:
        if lane not in self._lanes:
            return nullcontext()
        line, places = self._lanes[lane]
        return line.turn(places)

    async def _exchange(
        self, method: str, path: str, request: Mapping[str, Any]
    ) -> tuple[int, Mapping[str, str], bytes]:
        what = f"{method} {path}"
        metrics.KUBE_REQUESTS.labels(method, _resource(path)).inc()
        try:
            signed = await self._client.param_serialize(
                method, path, **request, auth_settings=["BearerToken"]
            )
            response = await self._client.call_api(*signed, _request_timeout=self._deadline)
            return response.status, response.headers, await response.read()
        except TimeoutError as error:
            raise KubeError(what, f"no answer from the API server in {self._deadline:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            ours = descriptors.exhausted(error)
            raise KubeError(what, ours or f"the API server cannot be reached: {error}") from error


def _resource(path: str) -> str:
    """`htcworkerpools`, `leases`, …: for people who count requests."""
    _, _, namespaced = path.partition("/namespaces/")
    if not namespaced:
        return "none"
    return namespaced.split("/")[1] if "/" in namespaced else "namespaces"


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds, as the API server asks; a date or nonsense counts as one."""
    text = headers.get("Retry-After", "")
    return min(float(text) if text.isascii() and text.isdigit() else 1.0, _LONGEST_PAUSE)
