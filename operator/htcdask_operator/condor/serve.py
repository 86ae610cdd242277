"""The agent's process: `python -m htcdask_operator.condor.serve COLLECTOR SCHEDD SCRATCH`.

Reads one JSON request a line from standard input, `[method, arguments, seconds, not_after]`, and answers each
with one line, `{"value": …}` or `{"error": kind, "text": …}`. From the uptime `not_after` on nothing is
submitted. Ends with its input. It is started with an environment
of its own (HTCondor is configured by it) and imports next to nothing, to stay small.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from htcdask_operator.condor.errors import CondorError
from htcdask_operator.condor.schedd import AccessPoint
from htcdask_operator.uptime import uptime

METHODS = frozenset({"whoami", "time", "query", "submit", "spool", "act", "edit", "retrieve"})
SUBMITS = frozenset({"submit", "spool"})


def main(collector: str, schedd: str, scratch: str) -> None:
    """Serve until the input ends."""
    # What HTCondor's library may print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    access_point = AccessPoint(collector, schedd, Path(scratch), uptime)
    for line in sys.stdin:
        method, arguments, seconds, not_after = json.loads(line)
        if method in SUBMITS:
            arguments.append(not_after)
        # A call that hangs holds the GIL; the kernel still ends this process, even if the parent is no more.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        answer = _answer(access_point, method, arguments)
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _answer(access_point: AccessPoint, method: str, arguments: list[Any]) -> dict[str, Any]:
    if method not in METHODS:
        return {"error": "CondorError", "text": f"the agent knows no {method!r}"}
    try:
        return {"value": getattr(access_point, method)(*arguments)}
    except CondorError as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # the parent decides what becomes of a mistake of ours
        return {
            "error": "CondorError",
            "text": f"{method} failed in the agent: {type(error).__name__}: {error}",
        }


if __name__ == "__main__":
    main(*sys.argv[1:4])
