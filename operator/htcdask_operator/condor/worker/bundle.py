"""Everything that a worker needs but its name, as one text that `bash -s NAME` reads as standard input.

Called by `perform` when a pool's anchor is submitted. It holds the cluster's key: it goes into the anchor's
private directory and nowhere else. The only place that quotes for the shell.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib.resources import files
from typing import Final

from htcdask_operator.core.actions import Bundle
from htcdask_operator.core.workers import lifetime

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def render(bundle: Bundle, certificate: str, key: str) -> bytes:
    """The text. ValueError if the name of an environment variable is none."""
    worker_preload = _preload("worker_preload.py", bundle, WORKER_PRELOADS=list(bundle.worker_preload))
    nanny_preload = ""
    if bundle.nanny:
        nanny_preload = _preload("nanny_preload.py", bundle, NANNY_PRELOADS=list(bundle.nanny_preload))
    return "\n".join(
        (
            _resource("shell.sh"),
            _text("scheduler", bundle.scheduler),
            _list("environment", _environment(bundle)),
            _text("user_path", dict(bundle.environment).get("PATH", "")),
            _text("lifetime", "" if bundle.lifetime is None else str(bundle.lifetime)),
            _text("stagger", str(lifetime.stagger(bundle.lifetime or 0))),
            _text("scheduler_check", _scheduler_check(bundle)),
            _text("worker_preload", worker_preload),
            _text("nanny_preload", nanny_preload),
            # The wrapper adds to the options, and forgets the key once it is a file.
            _list("options", _options(bundle), keyword=""),
            _text("certificate", certificate, keyword=""),
            _text("key", key, keyword=""),
            _resource("worker.sh"),
        )
    ).encode()


def _options(bundle: Bundle) -> list[str]:
    """Options of `dask worker`, but for what is only known on the execute node."""
    options = [
        *("--scheduler-sni", bundle.sni),
        *("--nthreads", str(bundle.threads)),
        *("--memory-limit", str(bundle.memory_limit)),
        *("--death-timeout", str(bundle.death_timeout)),
        "--nanny" if bundle.nanny else "--no-nanny",
        "--no-dashboard",
    ]
    if bundle.worker_ports is not None:
        options += ["--worker-port", bundle.worker_ports]
    if bundle.nanny_ports is not None and bundle.nanny:
        options += ["--nanny-port", bundle.nanny_ports]
    if bundle.resources:
        # repr() is the shortest text that is read as the very same number.
        pairs = (f"{name}={float(amount)!r}" for name, amount in bundle.resources)
        options += ["--resources", " ".join(pairs)]
    return options


def _environment(bundle: Bundle) -> list[str]:
    for name, _ in bundle.environment:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name[:40]!r} cannot be the name of an environment variable")
    pairs = [f"{name}={value}" for name, value in bundle.environment]
    # The last one wins. For programs that a task starts: the preloads depend on no variable.
    return [*pairs, f"HTCDASK_SCHEDULER_SNI={bundle.sni}"]


def _preload(name: str, bundle: Bundle, **preloads: list[str]) -> str:
    return _program(
        name,
        SERVER_NAME=bundle.sni,
        RETIRE_SECONDS=bundle.retire_seconds,
        CLOSE_SECONDS=bundle.close_seconds,
        **preloads,
    )


def _scheduler_check(bundle: Bundle) -> str:
    host, _, port = bundle.scheduler.removeprefix("tls://").rpartition(":")
    program = _program(
        "scheduler_check.py",
        HOST=host.strip("[]"),  # of an IPv6 address
        PORT=int(port),
        SERVER_NAME=bundle.sni,
        SECONDS=bundle.death_timeout,
    )
    return f"{program}\nsys.exit(main(*sys.argv[1:]))"


def _program(name: str, **constants: object) -> str:
    """Python, and what it has to know as constants at its end: no variable of a user replaces them."""
    lines = (f"{constant} = {value!r}" for constant, value in constants.items())
    return "\n".join((_resource(name), *lines))


def _text(name: str, value: str, keyword: str = "readonly ") -> str:
    return f"{keyword}htcdask_{name}={shlex.quote(value.strip())}"


def _list(name: str, values: list[str], keyword: str = "readonly ") -> str:
    return f"{keyword}htcdask_{name}=({' '.join(shlex.quote(value) for value in values)})"


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
