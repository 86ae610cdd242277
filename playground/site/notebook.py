"""Python in one of the notebook pods, as its user would run it. Only site.py calls it."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

from playground.build import programs
from playground.build.errors import PlaygroundError

# Beyond the time that the code has: for kubectl itself.
_GRACE = 15.0


def run(kubeconfig: Path, pod: str, code: str, timeout: float, echo: bool) -> str:
    """Run `code` in the notebook pod and return what it printed; `echo` also shows it as it comes."""
    command = [str(programs.path("kubectl")), f"--kubeconfig={kubeconfig}", "exec", "--stdin"]
    command += ["--namespace=notebooks", f"deployment/{pod}", "--"]
    # The pod's own `timeout` ends the code there; killing kubectl here would leave it running.
    command += ["timeout", "--kill-after=5", str(timeout), "python", "-u", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    watchdog = threading.Timer(timeout + _GRACE, process.kill)
    watchdog.start()
    try:
        output = _talk(process, code, echo)
        status = process.wait()
    finally:
        process.kill()
        watchdog.cancel()
    if status != 0:
        why = f"took longer than {timeout:g} s" if status in (124, 137, -9) else f"ended with {status}"
        raise PlaygroundError(f"the code in pod {pod} {why}; it printed:\n{output}")
    return output


def _talk(process: subprocess.Popen[str], code: str, echo: bool) -> str:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    with process.stdin as notebook:
        notebook.write(code)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if echo:
            print(line, end="", flush=True)
    return "".join(lines)
