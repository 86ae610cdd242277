"""The agent's process as its parent sees it: requests with a deadline, one at a time. Used by `agent`.

A process that does not answer in time, or dies, is killed and the next request starts a new one. Whoever
waited for their turn meanwhile has waited long enough: they are told the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final

from htcdask_operator.condor.errors import KINDS, CondorError, CondorTimeout, CondorUnreachable

_GRACE: Final = 2.0  # the process ends itself this long after the parent has given up
_LIMIT: Final = 256 * 2**20  # one answer: a queue of 10,000 jobs is about 8 MiB


class AgentProcess:
    """Started when first asked."""

    def __init__(
        self,
        arguments: list[str],
        environment: dict[str, str],
        deadline: float,
        not_after: Callable[[], float],
    ) -> None:
        self._command = [sys.executable, "-m", "htcdask_operator.condor.serve", *arguments]
        self._environment = environment
        self._deadline = deadline
        self._not_after = not_after
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._silences = 0  # how often the deadline has passed
        self.asking = asyncio.Event()  # set while an answer is awaited

    @property
    def pid(self) -> int | None:
        """The process that serves now, if any."""
        return self._process.pid if self._process else None

    async def ask(self, method: str, *arguments: Any) -> Any:
        """What the process answers; CondorError as it says, CondorTimeout when it is too late."""
        silences = self._silences
        async with self._turn:
            if self._silences != silences:
                # Else everybody in the queue would wait for a deadline of their own, one after the other.
                raise self._too_late(method)
            try:
                async with asyncio.timeout(self._deadline):
                    answer = await self._exchange(method, arguments)
            except TimeoutError as error:
                self._silences += 1
                await self._kill()
                raise self._too_late(method) from error
            except BaseException:
                # Cancelled or broken in the middle: the next answer would be the wrong one.
                await self._kill()
                raise
        if "error" in answer:
            raise KINDS.get(answer["error"], CondorError)(answer["text"])
        return answer["value"]

    def _too_late(self, method: str) -> CondorTimeout:
        return CondorTimeout(
            f"HTCondor has not answered for {self._deadline:g} s ({method}): the schedd is overloaded, or "
            "something between takes connections and drops what they carry"
        )

    async def stop(self) -> None:
        """End the process, after the request that it is working on."""
        async with self._turn:
            await self._kill()

    async def _exchange(self, method: str, arguments: tuple[Any, ...]) -> dict[str, Any]:
        process = await self._started()
        assert process.stdin is not None and process.stdout is not None
        request = json.dumps([method, arguments, self._deadline + _GRACE, self._not_after()])
        try:
            process.stdin.write(request.encode() + b"\n")
            await process.stdin.drain()
            self.asking.set()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        finally:
            self.asking.clear()
        if not line:
            raise CondorUnreachable(
                f"the HTCondor agent ended during {method}; it is started again with the next question"
            )
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._environment,
                cwd="/",
                limit=_LIMIT,
                start_new_session=True,  # a Ctrl-C for the operator is not for this process
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        await process.wait()
