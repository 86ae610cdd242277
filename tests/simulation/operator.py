"""One life of the operator: the real shell and core, on lines that may fail, with kopf's part played.

kopf is played because its own client needs a real API server; the handlers are the real ones.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import kopf

from htcdask_operator.assemble import assemble
from htcdask_operator.core.policy import Policy
from htcdask_operator.ports import Ports
from htcdask_operator.reconcile.cycle import Planner
from htcdask_operator.watch.resync import WatchSilent
from tests.fakes.condor import FakeCondor
from tests.simulation.dask import Schedulers
from tests.simulation.gateway import NAMESPACE
from tests.simulation.line import CondorLine, KubeLine, Line, Lines, SchedulerLine, System
from tests.simulation.promises import WatchedKube

MISTAKE = "a mistake of the operator"
WATCHING = 0.5  # seconds until a change is heard of


class Operator:
    """A fresh process: it knows nothing but its settings."""

    def __init__(
        self,
        lines: Lines,
        condor: FakeCondor,
        kube: WatchedKube,
        schedulers: Schedulers,
        policy: Policy,
        planner: Planner,
        died: Callable[[], None],
    ) -> None:
        self._died = died
        self._tasks: list[asyncio.Task[None]] = []
        self._others = asyncio.all_tasks()
        self.line = Line(lines, self.die)
        ports = Ports(
            CondorLine(
                self.line,
                condor,
                lambda description, names: _unspooled(condor, description, names),
            ),
            KubeLine(self.line, kube),
            SchedulerLine(self.line, schedulers),
        )
        parts = assemble(
            ports, policy, (NAMESPACE,), lines.clock, lease=(NAMESPACE, "operator"), planner=planner
        )
        self.known = parts.known
        self.watch = Watch(self.line, lines, kube, parts.registry)
        runs = (parts.poller, parts.resync, parts.announcer, self.watch)
        for service in (*(part.run() for part in runs), parts.reconcile()):
            self._start(service)

    def _start(self, service: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(service))

    def die(self) -> None:
        """As by SIGKILL: nothing that it does any more is heard."""
        if not self.line.dead:
            self.line.dead = True
            for task in asyncio.all_tasks() - self._others:
                task.cancel()
            self._died()

    def ended(self) -> str | None:
        """Why a task that never ends has ended, if one has."""
        for task in self._tasks:
            if task.done() and not self.line.dead:
                error = None if task.cancelled() else task.exception()
                if not isinstance(error, WatchSilent):
                    return repr(error)
                self.die()  # as it should: the next one watches anew
        return None


def _unspooled(condor: FakeCondor, description: Any, workers: Sequence[str]) -> None:
    if workers:
        condor.schedd.add_spooled(condor.operator_id, condor.identity, description, workers, None)
    else:
        condor.schedd.add_anchor(condor.operator_id, condor.identity, description, None)


class Watch:
    """kopf: it tells the handlers what it hears."""

    def __init__(self, line: Line, lines: Lines, kube: WatchedKube, registry: kopf.OperatorRegistry) -> None:
        known = registry._watching.get_all_handlers()
        self._handlers: dict[str, Any] = {str(handler.id): handler.fn for handler in known}
        self._line, self._lines, self._kube = line, lines, kube
        self._heard: dict[str, tuple[str, str, dict[str, Any]]] = {}  # by uid: handler, version, object
        self._version = -1
        self.lost = True  # at first everything is listed

    async def run(self) -> None:
        """Until the process ends."""
        while True:
            if self._lines.is_down(System.KUBE) is not None:
                self.lost = True
            elif self.lost or self._kube.version != self._version:
                self._version = self._kube.version
                await self._listen()
            await asyncio.sleep(WATCHING)

    async def _listen(self) -> None:
        first, self.lost = self.lost, False
        if first:
            self._heard = {}  # a new list says what is there, and nothing of what has gone meanwhile
        there = set()
        for handler, bodies in (
            ("pool_seen", self._kube.pool_bodies),
            ("cluster_seen", self._kube.cluster_bodies),
        ):
            for body in list(bodies.values()):
                metadata = body["metadata"]
                uid, version = metadata["uid"], metadata["resourceVersion"]
                there.add(uid)
                if (heard := self._heard.get(uid)) is None or heard[1] != version:
                    kind = None if first else ("ADDED" if heard is None else "MODIFIED")
                    self._heard[uid] = (handler, version, body)
                    await self._handlers[handler](type=kind, body=body)
        for uid, (handler, _, body) in list(self._heard.items()):
            if uid not in there:
                del self._heard[uid]
                await self._handlers[handler](type="DELETED", body=body)


class Complaints(logging.Handler):
    """A mistake of ours that the core or the shell caught and logged: the last one."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if MISTAKE in record.getMessage():
            self.last = record.getMessage()
