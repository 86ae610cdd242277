"""The agent's process: `python -m htcdask_operator.condor.agent.__main__ COLLECTOR SCHEDD SCRATCH PARENT`.

Reads one question a line from standard input and answers each with one line (`wire`). From the uptime
`valid_until` on nothing is submitted. Ends with its input, and with its parent whatever it is doing. It is
started with an environment of its own (HTCondor is configured by it) and imports next to nothing, to stay
small.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, Final

from htcdask_operator.condor import wire
from htcdask_operator.condor.agent.schedd import Schedd
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.uptime import uptime

SUBMITS = frozenset({"submit", "spool", "spool_each"})
_PR_SET_PDEATHSIG: Final = 1


def main(collector: str, schedd: str, scratch: str, parent: str) -> None:
    """Serve until the input ends."""
    _end_with(int(parent))
    # A core file would hold the token, and the key of whichever cluster was last.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What HTCondor's library may print must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    access_point = Schedd(collector, schedd, Path(scratch), uptime)
    for line in sys.stdin:
        number, method, arguments, seconds, valid_until = json.loads(line)
        if method in SUBMITS:
            arguments.append(valid_until)
        # A call that hangs holds the GIL; the kernel still ends this process.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = _answer(access_point, number, method, arguments)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(answer)
        answers.flush()


def _end_with(parent: int) -> None:
    """Have the kernel end this process when the operator ends, even in the middle of a call that hangs."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it had ended before
        sys.exit(1)


def _answer(access_point: Schedd, number: int, method: str, arguments: list[Any]) -> bytes:
    if method not in wire.METHODS:
        return wire.failure(number, CondorError(f"the agent knows no {method!r}"))
    try:
        return wire.answer(number, getattr(access_point, method)(*arguments))
    except CondorError as error:
        return wire.failure(number, error)
    except Exception as error:  # the parent decides what becomes of a mistake of ours
        return wire.failure(
            number, CondorError(f"{method} failed in the agent: {type(error).__name__}: {error}")
        )


if __name__ == "__main__":
    main(*sys.argv[1:5])
