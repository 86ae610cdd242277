"""Whatever it is that is tried apart: the process goes on, and in time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from htcdask_operator.condor.agent import apart
from htcdask_operator.condor.errors import CondorError


def burn() -> None:
    while True:
        pass


DEADLY: dict[str, Callable[[], object]] = {
    "a crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "an exception": lambda: 1 / 0,
    "no time": burn,
    "a rest": lambda: time.sleep(60),
    "memory": lambda: len(b"x" * 2**30),
    "what is no JSON": lambda: float("nan"),
    "an exit": lambda: os._exit(3),
    "more than anybody reads": lambda: "x" * 2**23,
}


def test_the_answer_comes_back() -> None:
    assert apart.apart("it", lambda: {"a": [1, 2.5, "x", None]}) == {"a": [1, 2.5, "x", None]}


@pytest.mark.parametrize("what", DEADLY)
def test_what_does_not_come_to_an_end_is_told(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[int] = []
    fork = os.fork

    def watched() -> int:
        child = fork()
        children.extend([child] if child else [])
        return child

    monkeypatch.setattr(os, "fork", watched)
    began = time.monotonic()
    with pytest.raises(CondorError, match=r"^it takes too much time or memory"):
        apart.apart("it", DEADLY[what], 0.5, 3.0)
    assert time.monotonic() - began < 10
    (child,) = children
    with pytest.raises(ChildProcessError):  # it was waited for
        os.waitpid(child, os.WNOHANG)
