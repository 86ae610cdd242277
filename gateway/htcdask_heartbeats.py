"""How the number that a scheduler asks for gets into its DaskCluster: in order, and not too often.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. User code in a scheduler
can send heartbeats without end, and each write goes to the store of the whole Kubernetes cluster and wakes
the operator. So some are written at once, the next ones at a steady rate, and none that changes nothing.

A scheduler that is told another number while its heartbeat is on its way does not say that one, perhaps for
an hour (its waiter has no memory). So each heartbeat is answered within a second: adapt() moves every 3 s and
finds none on its way; what is not written by then, this server goes on writing by itself. What a user tells
a scheduler goes through this server, so it is written too; and a heartbeat that may be older is answered with
an error, after which the scheduler sends another one half a second later. Of several replicas of this server
each knows what it heard itself: the last of two numbers that follow each other in moments may be lost there.

The operator tells a scheduler numbers, too, for pools that people size. So what its user asked for last is
written beside its number: {"replicas": n, "at": when, "wanted": the number}, without n after adapt(), which
finds it by itself. A server of before knows nothing of that, and leaves another number beside it.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from aiohttp import ClientError, web
from kubernetes_asyncio.client.rest import ApiException

from htcdask_errors import is_gone

WANTED_FIELD, ASKED_FIELD = "htcondorReplicas", "htcondorAsked"  # of a DaskCluster's spec
BURST, SECONDS = 8, 3.0  # so many requests at once, and one more in so many seconds: adapt() moves every 3 s
DEADLINE = 15.0  # of one of them
ANSWER = 1.0  # until a heartbeat is answered; and so long after a word of its user it may be older
TRIES = 4  # while others write beside it
TAKEN = 5.0  # until a user's word counts as taken, written or not
FLUSH = 5.0  # seconds for all that is on its way when the server ends
PATIENCE = 600.0  # with an API server that does not take a number
HELD = 4  # heartbeats of one cluster at a time: its scheduler's, and some that it gave up
LOG = logging.getLogger("DaskGateway")  # the server's own


class DaskClusters:
    """The specs in the API server, and as this server's watch shows them."""

    def __init__(self, backend: Any, kind: tuple[str, str]) -> None:
        self._backend, self._kind = backend, kind

    def shown(self, cluster_name: str) -> Mapping[str, Any]:
        """The spec as the watch shows it: it may be behind."""
        return _spec(self._backend.informer.get(cluster_name))

    async def read(self, cluster_name: str) -> tuple[Mapping[str, Any], str | None]:
        """The spec as it is now, and which version of the object that is."""
        found = await self._ask(self._backend.custom_client.get_namespaced_custom_object, cluster_name)
        return _spec(found), ((found or {}).get("metadata") or {}).get("resourceVersion")

    async def write(self, cluster_name: str, change: Mapping[str, Any], version: str | None = None) -> None:
        """Merged into the spec: None takes a field away. Of a `version`: 409 if it is another one now."""
        patch = self._backend.custom_client.patch_namespaced_custom_object
        body = {"spec": change} | ({} if version is None else {"metadata": {"resourceVersion": version}})
        await self._ask(patch, cluster_name, body, _content_type="application/merge-patch+json")

    async def _ask(
        self, question: Callable[..., Awaitable[Any]], cluster_name: str, *more: Any, **how: Any
    ) -> Any:
        namespace, name = cluster_name.split(".")
        group, plural = self._kind
        try:
            return await question(group, self._backend.crd_version, namespace, plural, name, *more, **how)
        except ApiException as exc:
            if not is_gone(exc, name):
                raise
            return None


class _Word:
    """What a user told the scheduler: a number, or (None) to find one by itself, whatever it was before."""

    def __init__(self, number: int | None, before: int, at: float) -> None:
        self.number, self.before, self.at = number, before, at


class _Number:
    """One cluster's number on its way."""

    def __init__(self, spec: Mapping[str, Any]) -> None:
        # Of an earlier server's number the store tells.
        shown = spec.get(WANTED_FIELD)
        self.heard, self.heard_at = shown if type(shown) is int else 0, 0.0
        self.number: int | None = None  # what the store may not have yet
        self.asked: Mapping[str, Any] | None = None  # likewise
        self.at = ""  # of the last word that this server heard
        self.is_heard = False  # the number is a heartbeat's, and not a word's
        self.held = 0
        self.write: asyncio.Future[None] | None = None
        self.word: _Word | None = None
        self.spent, self.spent_at = 0.0, 0.0

    def change(self) -> dict[str, Any]:
        """What is to be merged into the spec."""
        if self.number is None:
            return {} if self.asked is None else {ASKED_FIELD: self.asked}
        return {WANTED_FIELD: self.number, ASKED_FIELD: {**(self.asked or {}), "wanted": self.number}}

    def pause(self, now: float) -> float:
        """How long the next request has to wait."""
        self.spent = max(0.0, self.spent - (now - self.spent_at) / SECONDS)
        self.spent_at = now
        return max(0.0, self.spent + 1 - BURST) * SECONDS

    def may_be_old(self, number: int, began: float) -> bool:
        """Whether the scheduler may have been told another number since it sent this one, about then."""
        if self.word is None or self.word.at <= began - ANSWER:
            return False
        return number == self.word.before if self.word.number is None else number != self.word.number


class Heartbeats:
    """The numbers of all `clusters`."""

    def __init__(
        self,
        clusters: DaskClusters,
        clock: Callable[[], float] = time.monotonic,
        date: Callable[[], float] = time.time,
    ) -> None:
        self._clusters, self._clock, self._date = clusters, clock, date
        self._numbers: dict[str, _Number] = {}

    async def heard(self, cluster: str, number: int, known: Collection[str]) -> None:
        """The scheduler asks for so many; return when that is written, or goes on being written.

        HTTPTooManyRequests when too many heartbeats wait already; the number is written all the same.
        HTTPServiceUnavailable when the scheduler may have another one by now.
        `known` are all clusters there are.
        """
        began, line = self._clock(), self._line(cluster, known)
        if line.may_be_old(number, began):
            raise _say_it_again()
        line.number, line.heard, line.is_heard = number, number, True
        write = self._write_soon(cluster, line)
        if line.held >= HELD:
            raise web.HTTPTooManyRequests(reason=f"{HELD} heartbeats of this cluster are not answered yet")
        line.held += 1
        try:
            await asyncio.wait({write}, timeout=ANSWER)  # whoever goes away, the number is written
        finally:
            line.held -= 1
        if write.done():
            write.result()
        if line.may_be_old(number, began):
            raise _say_it_again()

    @contextlib.asynccontextmanager
    async def asked(
        self, cluster: str, number: int | None, known: Collection[str], *, asks: bool = True
    ) -> AsyncIterator[None]:
        """Within, the scheduler is told this number by its user, who may; None: to find one by itself.

        Not `asks`: it keeps the number that it has.
        """
        line = self._line(cluster, known)
        word = line.word = _Word(number, line.heard, self._clock())
        if asks:
            line.at = _later(max(line.at, _at(self._clusters.shown(cluster))), self._date())
            line.asked = {"replicas": number, "at": line.at}
        try:
            yield
        except BaseException:
            if line.word is word:
                line.word = None  # who knows
            raise
        else:
            word.at = self._clock()
            if number is not None and line.word is word:
                line.number, line.heard, line.is_heard = number, number, False
        finally:  # what was asked for, also if the scheduler does not hear it now
            write = self._write_soon(cluster, line)
        await asyncio.wait({write}, timeout=TAKEN)

    def _line(self, cluster: str, known: Collection[str]) -> _Number:
        if cluster not in self._numbers:
            self._numbers = {name: kept for name, kept in self._numbers.items() if name in known}
            self._numbers[cluster] = _Number(self._clusters.shown(cluster))
        return self._numbers[cluster]

    def _write_soon(self, cluster: str, line: _Number) -> asyncio.Future[None]:
        line.heard_at = self._clock()
        if line.write is None or line.write.done():
            line.write = asyncio.ensure_future(self._write(cluster, line))
            line.write.add_done_callback(_told)
        return line.write

    async def _write(self, cluster: str, line: _Number) -> None:
        """Until what was heard last is there."""
        while line.change():
            await asyncio.sleep(line.pause(self._clock()))
            line.spent += 1
            number, asked = line.number, line.asked
            try:
                await asyncio.wait_for(self._settle(cluster, line), DEADLINE)
            except Exception as exc:
                if not _passes(exc) or self._clock() - line.heard_at > PATIENCE:
                    asks = "Cluster %s asks for %d workers, not written: %.500r"
                    LOG.warning(asks, cluster, line.heard, exc)
                    raise
                await asyncio.sleep(SECONDS)
            else:
                # What is there is not written again: the next word may be another server's.
                line.number = None if line.number == number else line.number
                line.asked = None if line.asked is asked else line.asked

    async def flush(self) -> None:
        """Write at once what is on its way: this server ends."""
        due = [self._settle(cluster, line) for cluster, line in self._numbers.items() if line.change()]
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*due, return_exceptions=True), FLUSH)

    async def _settle(self, cluster: str, line: _Number) -> None:
        """Write what is due, unless it is there: another server may have heard more."""
        for tries in range(TRIES):
            there, version = await self._clusters.read(cluster)
            change = _fitting(line.change(), there, is_heard=line.is_heard)
            if _has(there, change):
                return
            try:
                await self._clusters.write(cluster, change, version)
                return
            except ApiException as exc:
                if exc.status != 409 or tries == TRIES - 1:
                    raise


def _fitting(change: dict[str, Any], there: Mapping[str, Any], *, is_heard: bool) -> dict[str, Any]:
    """What of `change` is news to the spec that is `there`."""
    number = change.get(WANTED_FIELD)
    alone = {} if number is None else {WANTED_FIELD: number, ASKED_FIELD: {"wanted": number}}
    if _at(change):
        if _at(change) >= _at(there):
            return change
        return alone if is_heard else {}  # another server has heard a later word, and its number
    if alone and _is_of_before(there):  # who knows what was asked for since
        alone[ASKED_FIELD] |= {"replicas": None, "at": _later(_at(there), 0)}
    elif alone and WANTED_FIELD not in there and not _at(there):  # no user has asked for anything
        alone[ASKED_FIELD] |= {"replicas": 0, "at": _later("", 0)}
    return alone


def _told(write: asyncio.Future[None]) -> None:
    """Perhaps nobody waits for it any more, and the log has it."""
    if not write.cancelled():
        write.exception()


def _passes(exc: Exception) -> bool:
    """Whether it may go another time: the API server is away, or busy, or somebody else wrote just now.

    A 404 that does not name the cluster is a proxy's, in the API server's place.
    """
    if isinstance(exc, ApiException):
        return exc.status in (404, 409, 429) or not 400 <= (exc.status or 0) < 500
    return isinstance(exc, (OSError, ClientError, asyncio.TimeoutError))


def _say_it_again() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(reason="Another number may have been asked for meanwhile: say it again")


def _spec(cluster: Any) -> Mapping[str, Any]:
    return (cluster or {}).get("spec") or {}


def _at(spec: Mapping[str, Any]) -> str:
    """When its user asked for what they asked for last; as text, the later is the larger."""
    asked = spec.get(ASKED_FIELD)
    at = asked.get("at") if isinstance(asked, Mapping) else None
    return at if isinstance(at, str) else ""


def _later(at: str, seconds: float) -> str:
    """This time, or right after `at`: clocks differ, and are set."""
    time = datetime.fromtimestamp(seconds, timezone.utc)  # noqa: UP017 (as before Python 3.11)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        time = max(time, datetime.fromisoformat(at) + timedelta(microseconds=1))
    return time.isoformat(timespec="microseconds")


def _is_of_before(spec: Mapping[str, Any]) -> bool:
    """Whether the number is that of a server which knows nothing of what is asked for."""
    asked = spec.get(ASKED_FIELD)
    return isinstance(asked, Mapping) and not _has(spec.get(WANTED_FIELD), asked.get("wanted"))


def _has(there: Any, change: Any) -> bool:
    """Not what only equals it: to the operator, True and 4.0 are no numbers."""
    if isinstance(change, Mapping):
        return isinstance(there, Mapping) and all(_has(there.get(key), part) for key, part in change.items())
    return type(there) is type(change) and bool(there == change)
