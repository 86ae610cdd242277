"""How the number that a scheduler asks for gets into its DaskCluster: in order, and not too often.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. User code in a scheduler
can send heartbeats without end, and each write goes to the store of the whole Kubernetes cluster and wakes
the operator. So some are written at once, the next ones at a steady rate, and none that changes nothing.

What has to wait is held together with the answer to its heartbeat. A scheduler sends the next heartbeat only
when the last one was answered: so no other replica of this server can be ahead of us, and the last number is
the one that stays. It has to: a scheduler says its number when it changes, and then perhaps not again for an
hour. So more than a few that wait are no scheduler's, and what is held costs memory: they are turned away.

A scheduler that is told another number while its heartbeat is on its way does not say that one. So we write
what a user told it through this server; and a heartbeat that was on its way meanwhile, or for long, is
answered with an error: then the scheduler sends another one half a second later.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any

from aiohttp import web
from kubernetes_asyncio.client.rest import ApiException

BURST, SECONDS = 8, 3.0  # so many requests at once, and one more in so many seconds: adapt() moves every 3 s
DEADLINE = 15.0  # of one of them; the scheduler itself waits 20 s
MEANWHILE = 1.0  # so old may a heartbeat be when its number is believed: adapt() moves three times as slowly
HELD = 4  # heartbeats of one cluster at a time: its scheduler's, and some that it gave up


class DaskClusters:
    """The numbers in the API server, and as this server's watch shows them."""

    def __init__(self, backend: Any, kind: tuple[str, str], field: str) -> None:
        self._backend, self._kind, self._field = backend, kind, field

    def shown(self, cluster_name: str) -> Any:
        """The number as the watch shows it: it may be behind."""
        informer = getattr(self._backend, "informer", None)
        cluster = informer.get(cluster_name) if informer is not None else None
        return (cluster or {}).get("spec", {}).get(self._field)

    async def read(self, cluster_name: str) -> Any:
        """The number as it is now."""
        get = self._backend.custom_client.get_namespaced_custom_object
        cluster = await self._ask(get, cluster_name)
        return (cluster or {}).get("spec", {}).get(self._field)

    async def write(self, cluster_name: str, number: int) -> None:
        patch = self._backend.custom_client.patch_namespaced_custom_object
        change = [{"op": "add", "path": f"/spec/{self._field}", "value": number}]
        await self._ask(patch, cluster_name, change)

    async def _ask(self, question: Callable[..., Awaitable[Any]], cluster_name: str, *more: Any) -> Any:
        namespace, name = cluster_name.split(".")
        group, plural = self._kind
        try:
            return await question(group, self._backend.crd_version, namespace, plural, name, *more)
        except ApiException as exc:
            if exc.status != 404:
                raise
            return None  # the cluster has just gone


class _Number:
    """One cluster's number on its way."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.heard = 0
        self.held = 0
        self.waiting: asyncio.Future[None] | None = None
        self.asked: int | None = None  # by a user, the scheduler was told so
        self.asked_at = 0.0
        self.doubted: int | None = None
        self.spent, self.spent_at = 0.0, 0.0

    def pause(self, now: float) -> float:
        """How long the next request has to wait."""
        self.spent = max(0.0, self.spent - (now - self.spent_at) / SECONDS)
        self.spent_at = now
        return max(0.0, self.spent + 1 - BURST) * SECONDS

    def may_be_old(self, number: int, began: float) -> bool:
        """Whether the scheduler may have been told another number since it sent this one, about then."""
        return self.asked not in (None, number) and self.asked_at > began - MEANWHILE


class Heartbeats:
    """The numbers of all `clusters`."""

    def __init__(self, clusters: DaskClusters, clock: Callable[[], float] = time.monotonic) -> None:
        self._clusters, self._clock = clusters, clock
        self._numbers: dict[str, _Number] = {}

    async def heard(self, cluster: str, number: int, known: Collection[str]) -> None:
        """The scheduler asks for so many; return when that is written. `known` are all clusters there are.

        HTTPTooManyRequests when too many wait for that already; the number is written all the same.
        HTTPServiceUnavailable when the scheduler may have another one by now.
        """
        began, line = self._clock(), self._line(cluster, known)
        if line.may_be_old(number, began):
            raise _say_it_again()
        written = self._write_soon(cluster, line, number)
        if line.held >= HELD:
            raise web.HTTPTooManyRequests(reason=f"{HELD} heartbeats of this cluster are not answered yet")
        line.held += 1
        try:
            await asyncio.shield(written)  # whoever goes away, the others' number is written
        finally:
            line.held -= 1
        late = self._clock() - began > MEANWHILE and line.doubted != number
        line.doubted = number if late else None  # once: where all answers are late, it is believed at last
        if late or line.may_be_old(number, began):
            raise _say_it_again()

    @contextlib.asynccontextmanager
    async def asked(self, cluster: str, number: int | None, known: Collection[str]) -> AsyncIterator[None]:
        """Within, the scheduler is told this number by its user, who may; None: to find one by itself."""
        line = self._line(cluster, known)
        line.asked, line.asked_at = number, self._clock()
        try:
            yield
        except BaseException:
            line.asked = None  # who knows
            raise
        if number is not None and line.asked == number:
            line.asked_at = self._clock()
            self._write_soon(cluster, line, number)

    def _line(self, cluster: str, known: Collection[str]) -> _Number:
        if cluster not in self._numbers:
            self._numbers = {name: kept for name, kept in self._numbers.items() if name in known}
        return self._numbers.setdefault(cluster, _Number())

    def _write_soon(self, cluster: str, line: _Number, number: int) -> asyncio.Future[None]:
        line.heard = number
        if line.waiting is None:
            line.waiting = asyncio.ensure_future(self._write_last(cluster, line))
            line.waiting.add_done_callback(_told)
        return line.waiting

    async def _write_last(self, cluster: str, line: _Number) -> None:
        async with line.lock:
            await asyncio.sleep(line.pause(self._clock()))
            line.spent += 1
            line.waiting = None  # who comes from here on is written after this one
            await asyncio.wait_for(self._settle(cluster, line.heard), DEADLINE)

    async def _settle(self, cluster: str, number: int) -> None:
        """Write the number, unless it is there; the watch alone may be behind another replica's write."""
        if _is(self._clusters.shown(cluster), number) and _is(await self._clusters.read(cluster), number):
            return
        await self._clusters.write(cluster, number)


def _told(write: asyncio.Future[None]) -> None:
    """Perhaps nobody waits for it: then the scheduler's heartbeat writes what this one could not."""
    if not write.cancelled():
        write.exception()


def _say_it_again() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(reason="Another number may have been asked for meanwhile: say it again")


def _is(value: Any, number: int) -> bool:
    """Not what only equals it: to the operator, True and 4.0 are no numbers."""
    return type(value) is int and value == number
