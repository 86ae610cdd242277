"""Long steps say what they do and for how long. Everything in the playground that takes seconds uses it.

On a terminal each step that runs has one line, whose time goes on; it stays there, with its outcome, when
the step ends. In a log there is a line at the start and one at the end, and every two minutes one for all
that still runs. Steps may be nested and may run in several threads at once.
"""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_HEARTBEAT_LOG = 120.0
_HEARTBEAT_TTY = 1.0
_lock = threading.RLock()
_running: dict[int, tuple[str, float]] = {}  # what each step does, and when it began
_last = 0  # the number of the last step
_drawn = 0  # how many lines at the terminal's end are those of running steps
_idle: threading.Event | None = None  # set when no step runs any more


def say(text: str) -> None:
    """One line for the reader, on stderr, so that stdout stays free for answers."""
    with _lock:
        _print(text)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show `what` while the body runs, then how long it took; a failure is shown and passes through."""
    global _idle
    number = _begin(what)
    mark = "failed"
    try:
        yield
        mark = "ok"
    finally:
        with _lock:
            _, began = _running.pop(number)
            _print(f"{mark:>6} {what} ({duration(time.monotonic() - began)})")
            if not _running and _idle is not None:
                _idle.set()
                _idle = None


def duration(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60:02d} s"


def _begin(what: str) -> int:
    global _last, _idle
    with _lock:
        _last += 1
        _running[_last] = (what, time.monotonic())
        _print(None if sys.stderr.isatty() else f"   ... {what}")
        if _idle is None:
            _idle = threading.Event()
            threading.Thread(target=_tick, args=(_idle,), daemon=True, name="progress").start()
        return _last


def _tick(idle: threading.Event) -> None:
    began = time.monotonic()
    while not idle.wait(_HEARTBEAT_TTY):
        with _lock:
            if idle.is_set():
                return
            if sys.stderr.isatty():
                _print(None)
            elif time.monotonic() - began >= _HEARTBEAT_LOG:
                began = time.monotonic()
                _print("   ... " + ", ".join(_still()))


def _still() -> list[str]:
    now = time.monotonic()
    return [f"{what} {duration(now - began)}" for what, began in _running.values()]


def _print(text: str | None) -> None:
    """Put a line above those of the running steps, and draw these anew."""
    global _drawn
    lines = [] if text is None else [text]
    if sys.stderr.isatty():
        if _drawn:
            sys.stderr.write(f"\033[{_drawn}A\r\033[J")
        width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be taken back
        live = [f"   ... {still}"[:width] for still in _still()]
        _drawn = len(live)
        lines += live
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
