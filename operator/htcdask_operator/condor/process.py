"""The agent's process as its parent sees it: requests with a deadline, one at a time. Used by `client`.

A process that does not answer in time, dies, or says what is no answer is killed, what it left behind is
wiped, and the next request starts a new one. Whoever waited for their turn meanwhile has waited long enough:
they are told that nothing was sent for them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from htcdask_operator import descriptors
from htcdask_operator.condor import wire
from htcdask_operator.condor.errors import CondorError, CondorNotAsked, CondorTimeout, CondorUnreachable
from htcdask_operator.progress import Line

_GRACE: Final = 2.0  # the process ends itself this long after the parent has given up
_QUICK: Final = 256 * 1024  # bytes that are read in less time than a thread takes to matter
_PROGRAM: Final = (sys.executable, "-m", "htcdask_operator.condor.agent")
_WHY: Final = (
    "the schedd is overloaded, or something between takes connections and drops what they carry. Does "
    "condor_q answer on the access point?"
)


class AgentProcess:
    """Started when first asked, with a folder of its own that is empty then."""

    def __init__(
        self,
        access_point: tuple[str, str],
        scratch: Path,
        environment: dict[str, str],
        deadline: float,
        valid_until: Callable[[], float],
        turn_seconds: float | None = None,
    ) -> None:
        """`turn_seconds`: seconds that one waits for their turn; None: as long as it takes."""
        self.command = [*_PROGRAM, *access_point, str(scratch), str(os.getpid())]
        self._scratch = scratch
        self._environment = environment
        self._deadline = deadline
        self._valid_until = valid_until
        self._turn_seconds = turn_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.line: Final = Line()
        self._silences = 0  # how often the deadline has passed
        self._asked = 0
        self.asking = asyncio.Event()  # set while an answer is awaited

    @property
    def pid(self) -> int | None:
        """The process that serves now, if any."""
        return self._process.pid if self._process else None

    async def ask(self, method: str, *arguments: Any) -> Any:
        """What the process answers; CondorError as it says, CondorTimeout when it is too late.

        CondorNotAsked when it never was its turn: the process has heard nothing of it.
        """
        silences = self._silences
        try:
            async with self.line.turn(self._turn, self._turn_seconds):
                if self._silences != silences:
                    # Else everybody in the queue would wait for a deadline of their own, one after the other.
                    raise _not_asked(method, self._deadline)
                return await self._ask_now(method, arguments)
        except TimeoutError as error:
            assert self._turn_seconds is not None
            raise _not_asked(method, self._turn_seconds) from error

    async def stop(self) -> None:
        """End the process, after the request that it is working on."""
        async with self.line.turn(self._turn):
            await self._kill()

    def abandon(self) -> None:
        """End the process now; whoever waits for its answer is told that there is none."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _ask_now(self, method: str, arguments: tuple[Any, ...]) -> Any:
        try:
            async with asyncio.timeout(self._deadline):
                return await self._exchange(method, arguments)
        except CondorError:
            raise
        except TimeoutError as error:
            self._silences += 1
            await self._kill()
            raise CondorTimeout(
                f"HTCondor has not answered for {self._deadline:g} s ({method}): {_WHY}"
            ) from error
        except (wire.Garbage, ValueError, OSError) as error:  # ValueError: a line longer than any answer
            await self._kill()
            why = descriptors.exhausted(error) or error or type(error).__name__
            raise CondorUnreachable(
                f"the HTCondor agent did not answer {method} ({why}); it is "
                "started again with the next question"
            ) from error
        except BaseException:
            # Cancelled or broken in the middle: the next answer would be the wrong one.
            await self._kill()
            raise

    async def _exchange(self, method: str, arguments: tuple[Any, ...]) -> Any:
        process = await self._started()
        assert process.stdin is not None and process.stdout is not None
        self._asked += 1
        request = [self._asked, method, arguments, self._deadline + _GRACE, self._valid_until()]
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
            self.asking.set()
            line = await process.stdout.readline()
        except (BrokenPipeError, ConnectionResetError):
            line = b""
        finally:
            self.asking.clear()
        if not line:
            await self._kill()
            raise CondorUnreachable(
                f"the HTCondor agent ended during {method}; it is started again with the next question"
            )
        if len(line) < _QUICK:
            return wire.value(line, self._asked, method)
        return await asyncio.to_thread(wire.value, line, self._asked, method)  # ten thousand jobs: 0.25 s

    async def _started(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            await asyncio.to_thread(self._wipe)
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=self._environment,
                cwd="/",
                limit=wire.LARGEST,
                start_new_session=True,  # a Ctrl-C for the operator is not for this process
            )
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        try:
            await process.wait()
        finally:
            with suppress(OSError):  # else the next start says what is wrong with the folder
                # Beside the loop, as a worker may have sent any number of files; to its end, whoever cancels.
                await asyncio.shield(asyncio.to_thread(self._wipe))

    def _wipe(self) -> None:
        """A process that was killed could not clear up after itself."""
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir(mode=0o700, exist_ok=True)


def _not_asked(method: str, seconds: float) -> CondorNotAsked:
    return CondorNotAsked(
        f"HTCondor was not asked ({method}), as what was asked before had no answer for {seconds:g} s: {_WHY}"
    )
