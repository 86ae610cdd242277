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

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STAGGER_SHARE: Final = 20  # workers that started together end within a tenth of their lifetime
_STAGGER_LIMIT: Final = 300


def render(bundle: Bundle, certificate: str, key: str) -> bytes:
    """The text. ValueError if the name of an environment variable is none."""
    variables = (
        _text("scheduler", bundle.scheduler),
        _list("options", _options(bundle)),
        _list("environment", _environment(bundle)),
        _text("worker_preload", _resource("worker_preload.py")),
        _text("nanny_preload", _resource("nanny_preload.py") if bundle.nanny else ""),
        _text("certificate", certificate),
        _text("key", key),
    )
    return "\n".join((*variables, _resource("worker.sh"))).encode()


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
    if bundle.lifetime is not None:
        stagger = min(bundle.lifetime // _STAGGER_SHARE, _STAGGER_LIMIT)
        options += ["--lifetime", f"{bundle.lifetime}s", "--lifetime-stagger", f"{stagger}s"]
    if bundle.worker_ports is not None:
        options += ["--worker-port", bundle.worker_ports]
    if bundle.nanny_ports is not None and bundle.nanny:
        options += ["--nanny-port", bundle.nanny_ports]
    if bundle.contact_address is not None:
        options += ["--contact-address", bundle.contact_address]
    if bundle.resources:
        options += ["--resources", " ".join(f"{name}={amount:g}" for name, amount in bundle.resources)]
    return options


def _environment(bundle: Bundle) -> list[str]:
    for name, _ in bundle.environment:
        if not _VARIABLE.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of an environment variable")
    pairs = [f"{name}={value}" for name, value in bundle.environment]
    return [*pairs, f"HTCDASK_SCHEDULER_SNI={bundle.sni}"]


def _text(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value.strip())}"


def _list(name: str, values: list[str]) -> str:
    return f"{name}=({' '.join(shlex.quote(value) for value in values)})"


@cache
def _resource(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
