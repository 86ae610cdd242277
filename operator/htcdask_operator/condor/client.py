"""The port `Condor` on a real access point, by way of a process of its own (`process`, `agent`).

Made by `__main__`, once. Here is what HTCondor must not be asked without: every question and every change is
about jobs of this operator's id and of its own identity. A rotated token is noticed before each request.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from htcdask_api import names
from htcdask_operator import metrics
from htcdask_operator.condor import clocks, constraints, token
from htcdask_operator.condor import description as descriptions
from htcdask_operator.condor.access_point import AccessPoint
from htcdask_operator.condor.analyses import analysis
from htcdask_operator.condor.errors import CondorNotAsked, CondorRefused, CondorUnreachable
from htcdask_operator.condor.jobs import ATTRIBUTES, job, server_time
from htcdask_operator.condor.private_folder import PrivateFolder
from htcdask_operator.condor.process import AgentProcess
from htcdask_operator.core.model import Analysis, Job, JobId, PoolUid, WorkerName
from htcdask_operator.core.submit import worker_names

_BUNDLE: Final = "bundle.sh"
_RUNS: Final = 50  # in one constraint, which the schedd evaluates for every job
_LOGS: Final = 20  # in one question: a status remembers five


class CondorClient:
    """One access point as one identity; calls are answered one after the other, courtesies beside them."""

    def __init__(
        self,
        access: AccessPoint,
        valid_until: Callable[[], float] = lambda: math.inf,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`valid_until`: the uptime from which on nothing may be submitted, asked before each request."""
        self._access = access
        self._clock = clock
        self._ahead = 0.0  # so many seconds is the access point's clock ahead of ours
        self._private = PrivateFolder()
        self.folder = self._private.path
        where, environment = (access.collector, access.schedd), self._environment()
        self._process = AgentProcess(
            where, self.folder / "scratch", environment, access.deadline, valid_until
        )
        # What workers printed comes from a disk and over a network, and nothing may wait for it.
        seconds = min(access.deadline, access.log_deadline)
        self._logs = AgentProcess(where, self.folder / "logs", environment, seconds, valid_until, seconds)
        # To look at every slot takes a moment of a whole processor.
        self._analyst = AgentProcess(
            where, self.folder / "analyst", environment, seconds, valid_until, seconds
        )
        self._token = ""
        self._identity = ""  # of that token
        self._turn = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process that talks to HTCondor now, if any."""
        return self._process.pid

    @property
    def asking(self) -> asyncio.Event:
        """Set while HTCondor is being asked."""
        return self._process.asking

    async def close(self) -> None:
        """End the process and leave no file behind."""
        for courtesy in (self._logs, self._analyst):
            courtesy.abandon()
            await courtesy.stop()
        await self._process.stop()
        self._private.close()

    async def whoami(self) -> str:
        return await self._who()

    async def jobs(self, also: Collection[str] = ()) -> tuple[Job, ...]:
        return await self._query(self._of(await self._who(), *also))

    async def jobs_of(self, pool: PoolUid, also: Collection[str] = ()) -> tuple[Job, ...]:
        known = self._of(await self._who(), *also)
        return await self._query(constraints.of_pool(known, pool))

    async def submit_anchor(
        self, description: Mapping[str, str], bundle: bytes, identity: str | None = None
    ) -> JobId:
        descriptions.check(description, self._access.operator_id)
        ready = clocks.sent(description, self._ahead)
        made: JobId = await self._submit(identity, "spool", ready, _BUNDLE, bundle.decode("utf-8"))
        return made

    async def submit_workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName], identity: str | None = None
    ) -> tuple[JobId, ...]:
        ready, items = self._workers(description, names)
        return tuple(await self._submit(identity, "submit", ready, items))

    async def spool_workers(
        self,
        description: Mapping[str, str],
        names: Sequence[WorkerName],
        bundle: bytes,
        identity: str | None = None,
    ) -> tuple[JobId, ...]:
        ready, items = self._workers(description, names)
        spooled = (ready, items, _BUNDLE, bundle.decode("utf-8"))
        return tuple(await self._submit(identity, "spool_each", *spooled))

    async def hold(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._act("Hold", jobs, reason)

    async def remove(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._act("Remove", jobs, reason)

    async def force_remove(self, jobs: Sequence[JobId], reason: str) -> None:
        await self._act("RemoveX", jobs, reason)

    async def renew(self, until: float) -> None:
        ours = await self._ours()
        await self._ask("edit", ours, names.AD_LEASE, clocks.lease(until, self._ahead))

    async def logs(self, keeper: JobId, names: Sequence[WorkerName]) -> Mapping[WorkerName, str]:
        files = {worker: worker_names.output(worker) for worker in names[:_LOGS]}
        found: dict[str, str] = await self._ask(
            "retrieve", constraints.with_files(await self._ours(), keeper), files, of=self._logs
        )
        return {worker: found[worker] for worker in files if worker in found}

    async def analyze(self, job: JobId) -> Analysis | None:
        one = constraints.of_waiting(await self._ours(), job)
        return analysis(await self._ask("analyze", one, of=self._analyst))

    def _workers(
        self, description: Mapping[str, str], names: Sequence[WorkerName]
    ) -> tuple[dict[str, str], list[dict[str, str]]]:
        """As the agent gets them: their common description, and what differs."""
        descriptions.check(description, self._access.operator_id)
        descriptions.check_names(names)
        items = [{"wname": name, "wout": worker_names.output(name)} for name in names]
        return clocks.sent(description, self._ahead), items

    async def _act(self, action: str, jobs: Sequence[JobId], reason: str) -> None:
        """By a constraint: ids alone, which may be somebody else's, never reach the schedd."""
        ours, these = await self._ours(), constraints.rows(jobs)
        for first in range(0, len(these), _RUNS):
            some = " || ".join(these[first : first + _RUNS])
            await self._ask("act", action, f"{ours} && ({some})", reason)

    async def _query(self, constraint: str) -> tuple[Job, ...]:
        asked = self._clock()
        ads = await self._ask("query", constraint, ATTRIBUTES)
        self._look_at_clock(server_time(ads), asked)
        return tuple(job(ad, self._ahead) for ad in ads)

    async def _who(self) -> str:
        """The identity of the token that is there now."""
        await self._take_token()
        if not self._identity:
            asked = self._clock()
            self._look_at_clock(await self._ask("time"), asked)  # before the first lease is written
            self._identity = await self._ask("whoami")
        return self._identity

    def _look_at_clock(self, server_time: float | None, asked: float) -> None:
        self._ahead = clocks.offset(self._ahead, server_time, asked, self._clock())

    async def _ours(self) -> str:
        """The constraint for jobs of this operator; its owner too, as anybody may write our id into a job."""
        return self._of(await self._who())

    def _of(self, *identities: str) -> str:
        return constraints.of_operator(self._access.operator_id, self._access.namespaces, identities)

    async def _submit(self, identity: str | None, *request: Any) -> Any:
        if identity is not None:
            try:
                now = await self._who()
            except CondorUnreachable as error:  # the submit itself was to come after this
                raise CondorNotAsked(str(error)) from error
            if now != identity:
                raise _replaced(identity)
        return await self._ask(*request, identity=identity)

    async def _take_token(self) -> None:
        # Who changes the token waits for the process, so all who wait for that stand in one line.
        async with self._process.line.turn(self._turn):
            current = token.read(self._access.token_file, time.time())
            if current != self._token:
                self._logs.abandon()
                self._analyst.abandon()
                await self._process.stop()
                token.write(self.folder / "tokens", current)
                self._token, self._identity = current, ""

    async def _ask(
        self, method: str, *arguments: Any, identity: str | None = None, of: AgentProcess | None = None
    ) -> Any:
        await self._take_token()
        if identity not in (None, self._identity):
            raise _replaced(identity)
        metrics.CONDOR_QUESTIONS.labels(method).inc()
        try:
            return await (of or self._process).ask(method, *arguments)
        except CondorRefused:
            self._identity = ""  # ask who we are before the next question
            raise

    def _environment(self) -> dict[str, str]:
        """All that the process knows: HTCondor's settings, and nothing of the operator's environment."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CONDOR_CONFIG": "ONLY_ENV",
            "_CONDOR_SEC_TOKEN_DIRECTORY": str(self.folder / "tokens"),
            "_CONDOR_SEC_CLIENT_AUTHENTICATION": "REQUIRED",
            "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS": "IDTOKENS",
            "_CONDOR_SEC_CLIENT_ENCRYPTION": "REQUIRED",
            "_CONDOR_SEC_CLIENT_INTEGRITY": "REQUIRED",
            "_CONDOR_QUERY_TIMEOUT": "10",
        }


def _replaced(identity: str | None) -> CondorRefused:
    return CondorRefused(
        f"nothing was submitted: the jobs were planned for {identity}, and the operator's token has been "
        "replaced since by another identity's"
    )
