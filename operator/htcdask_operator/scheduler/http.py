"""The scheduler's own HTTP interface, through the Service that dask-gateway's controller makes for it.

Made by `__main__` for the operator's life. Every answer is user code's word. It is bounded in bytes and in
time, read in a thread, and whatever goes wrong with it is a `SchedulerError` about this one scheduler.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from urllib.parse import urlsplit

from htcdask_operator import descriptors
from htcdask_operator.core.model import SchedulerWorkers, Unnamed, WorkerName
from htcdask_operator.scheduler import answer, listing, page
from htcdask_operator.scheduler.exchange import TooLongError, exchange
from htcdask_operator.scheduler.port import SchedulerError

T = TypeVar("T")

DEADLINE: Final = 3.0
"""Seconds for all of it: name, connection, answer and reading."""
_OFFERS: Final = (
    ("/info/main/workers.html", page.most_bytes, page.read),
    ("/api/v1/get_workers", listing.most_bytes, listing.read),
    ("/json/counts.json", listing.most_bytes, listing.nobody),
)
"""Where a scheduler tells of its workers, the best first: what its `distributed.scheduler.http.routes` has.

Not `/metrics`, which has numbers alone, and forgets some whenever it is asked: they are the site's own.
"""
_COMM_BYTES: Final = 64 * 2**10
_LONGEST_REASON: Final = 200


class _NotThereError(SchedulerError):
    """The scheduler answers, and does not offer this."""


class SchedulerHttp:
    """The port `Scheduler`, on real schedulers. Tests say where else one listens."""

    def __init__(
        self,
        dashboard: str = "http://dask-{cluster}.{namespace}:8787",
        api: str = "http://dask-{cluster}.{namespace}:8788",
    ) -> None:
        self._dashboard = dashboard
        self._api = api
        self._resolver = ThreadPoolExecutor(8, "scheduler names")
        self._readers = ThreadPoolExecutor(2, "scheduler pages")

    def close(self) -> None:
        """Nobody is asked any more."""
        self._resolver.shutdown(wait=False, cancel_futures=True)
        self._readers.shutdown(wait=False, cancel_futures=True)

    async def workers(
        self, namespace: str, cluster: str, ours: Collection[WorkerName]
    ) -> SchedulerWorkers | Unnamed:
        url = self._dashboard.format(namespace=namespace, cluster=cluster)
        until = asyncio.get_running_loop().time() + DEADLINE
        for path, most_bytes, understand in _OFFERS:

            def read(
                wire: bytearray, understand: Callable[..., SchedulerWorkers | Unnamed] = understand
            ) -> SchedulerWorkers | Unnamed:
                return understand(wire, ours, answer.body(wire))

            try:
                return await self._ask(url + path, "GET", b"", "", most_bytes(len(ours)), read, until)
            except _NotThereError:
                continue
        return Unnamed()

    async def scale(self, namespace: str, cluster: str, count: int, api_token: str) -> None:
        url = self._api.format(namespace=namespace, cluster=cluster) + "/api/comm"
        if not (api_token.isascii() and api_token.isprintable()):
            raise SchedulerError(f"{url}: the cluster's api-token is not one printable line")
        body = json.dumps({"op": "scale", "count": count}).encode()
        # Without its type, the scheduler's service does not read the body.
        headers = f"Authorization: token {api_token}\r\nContent-Type: application/json\r\n"
        await self._ask(url, "POST", body, headers, _COMM_BYTES, answer.body)

    async def _ask(
        self,
        url: str,
        method: str,
        body: bytes,
        headers: str,
        most: int,
        read: Callable[[bytearray], T],
        until: float | None = None,
    ) -> T:
        """One request, and what `read` makes of all that came back, by the loop's time `until`."""
        where = urlsplit(url)
        host, port = where.hostname or "", where.port or 80
        # HTTP/1.0: the answer ends with the connection, and knows no chunks.
        head = (
            f"{method} {where.path} HTTP/1.0\r\nHost: {host}:{port}\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n"
        )
        try:
            async with asyncio.timeout_at(until or asyncio.get_running_loop().time() + DEADLINE):
                wire = await exchange(host, port, head.encode("ascii") + body, most, self._resolver)
                return await asyncio.get_running_loop().run_in_executor(self._readers, read, wire)
        except Exception as error:  # whatever it is, it concerns this scheduler alone
            kind = _NotThereError if isinstance(error, answer.NotThereError) else SchedulerError
            raise kind(f"{url}: {_reason(error, most)}") from error


def _reason(error: Exception, most: int) -> str:
    """What went wrong, in one short printable line; never the server's own words."""
    match error:
        case TimeoutError():
            return f"no answer in {DEADLINE:g} s; the scheduler may be busy"
        case TooLongError():
            return f"the answer is larger than {most} bytes"
        case page.NotAPageError():
            return f"this is not the answer of a Dask scheduler: {error}"
        case answer.NotAnAnswerError() | OSError():
            said = descriptors.exhausted(error) or str(error)
            reason = "".join(letter if letter.isprintable() else " " for letter in said)
            return reason[:_LONGEST_REASON] or type(error).__name__
        case _:
            return f"its answer could not be read ({type(error).__name__})"
