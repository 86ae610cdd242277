"""Long steps say what they do and for how long. Everything in the playground that takes seconds uses it.

On a terminal one line is refreshed; in a log there is a line at the start, every 15 s, and at the end.
Steps may be nested and may run in several threads at once.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_HEARTBEAT_LOG = 15.0
_HEARTBEAT_TTY = 1.0
_lock = threading.Lock()


def say(text: str) -> None:
    """One line for the reader, on stderr, so that stdout stays free for answers."""
    with _lock:
        clear = "\r\033[K" if sys.stderr.isatty() else ""
        print(f"{clear}{text}", file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show `what` while the body runs, then how long it took; a failure is shown and passes through."""
    started = time.monotonic()
    done = threading.Event()
    tty = sys.stderr.isatty()

    def beat() -> None:
        while not done.wait(_HEARTBEAT_TTY if tty else _HEARTBEAT_LOG):
            _refresh(what, started, tty)

    if tty:
        _refresh(what, started, tty)
    else:
        say(f"     {what} ...")
    ticker = threading.Thread(target=beat, daemon=True, name=f"progress: {what}")
    ticker.start()
    mark = "failed"
    try:
        yield
        mark = "ok"
    finally:
        done.set()
        ticker.join()
        say(f"{mark:>6} {what} ({_duration(time.monotonic() - started)})")


def _refresh(what: str, started: float, tty: bool) -> None:
    elapsed = _duration(time.monotonic() - started)
    if not tty:
        say(f"     {what} ... still at it after {elapsed}")
        return
    with _lock:
        print(f"\r\033[K   ... {what} {elapsed}", end="", file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"
