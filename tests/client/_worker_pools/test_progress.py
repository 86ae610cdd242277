"""Where the line about what is waited for appears: a terminal, a notebook, or a log."""

import io
import logging
import sys
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from htcdaskgateway._worker_pools import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line_that_is_rewritten_and_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("COLUMNS", "12")
    with progress.line() as show:
        show("one of three workers")
        show("two")
    assert terminal.getvalue() == "\rone of thre\rtwo        \r   \r"


def test_what_a_terminal_would_obey_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.line() as show:
        show("a\x1b]0;title\x07\nb\u202ec\x9b2J" + "x" * 10_000)
    assert not set(terminal.getvalue()) & set("\x1b\x07\n\u202e\x9b")
    assert len(progress.plain("x" * 10_000)) == 600


def test_a_terminal_that_was_closed_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.line() as show:
        terminal.close()
        show("1 idle")


def test_a_batch_job_gets_a_log_line_and_no_output(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.INFO, logger="htcdaskgateway"), progress.line() as show:
        show("1 idle")
        show("1 running")
    assert [record.getMessage() for record in caplog.records] == ["1 idle", "1 running"]
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_one_output_that_is_updated(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = InteractiveShell.instance()
    try:
        # What IPython's kernel has, and its terminal has not.
        monkeypatch.setattr(shell, "kernel", object(), raising=False)
        seen: list[tuple[Any, bool]] = []
        with capture_output() as captured, progress.line() as show:
            monkeypatch.setattr(
                shell.display_pub,
                "publish",
                lambda data, metadata=None, *, transient=None, update=False, **_: seen.append(
                    ((data["text/plain"], transient["display_id"]), update)
                ),
            )
            show("1 idle")
            show("1 running")
        assert captured.outputs == []
    finally:
        InteractiveShell.clear_instance()
    (first, once), (second, again), (last, ended) = seen
    assert [first[0], second[0], last[0]] == ["1 idle", "1 running", ""]
    assert [once, again, ended] == [False, True, True]
    assert first[1] == second[1] == last[1]
