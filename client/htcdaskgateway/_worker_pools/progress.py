"""One line that says what is waited for, where the person who waits looks.

Called by `waiting`. A terminal has it rewritten, a notebook has it in an output that is updated. Where
neither is, such as in a batch job, each new sentence is logged, and nothing is printed.
"""

import logging
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

_log = logging.getLogger(__name__)

_LONGEST: Final = 600

Show = Callable[[str], None]


@contextmanager
def line() -> Iterator[Show]:
    """A function that shows a text in the place of the one before; at the end there is none."""
    shown = _Notebook() if _in_a_notebook() else _Terminal() if _is_a_terminal(sys.stderr) else _Log()
    try:
        yield lambda text: _try(shown, plain(text))
    finally:
        _try(shown, "")


def is_unseen() -> bool:
    """Whether nobody sees that line: there is neither a notebook nor a terminal."""
    return not (_in_a_notebook() or _is_a_terminal(sys.stderr))


def plain(text: str, longest: int = _LONGEST) -> str:
    """On one line, and without what a terminal would obey: parts of it come from other machines."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 2 * longest]).split())[:longest]


def _try(shown: "_Terminal | _Notebook | _Log", text: str) -> None:
    try:
        shown.show(text)
    except Exception:  # a terminal that was closed is no reason to end what somebody waits for
        _log.debug("What is waited for could not be shown", exc_info=True)


def _in_a_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


def _is_a_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none (pythonw), or it is closed
        return False


class _Terminal:
    def __init__(self) -> None:
        self._length = 0

    def show(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        if text or self._length:
            end = "" if text else "\r"
            sys.stderr.write(f"\r{text.ljust(self._length)}{end}")
            sys.stderr.flush()
        self._length = len(text)


class _Notebook:
    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, text: str) -> None:
        from IPython.display import display

        data = {"text/plain": text}
        if self._handle is not None:
            self._handle.update(data, raw=True)
        elif text:
            self._handle = display(data, raw=True, display_id=True)


class _Log:
    def show(self, text: str) -> None:
        if text:
            _log.info("%s", text)
