"""What a person sees of long steps: one line each, on a terminal and in a log."""

from __future__ import annotations

import io
import re
import threading
import time

import pytest

from playground.build import progress


class Terminal(io.StringIO):
    """A stderr that says it is one, and what is on it at the end."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines that are left after all that was taken back."""
        lines: list[str] = []
        for part in re.split(r"(\033\[\d+A\r\033\[J)", self.getvalue()):
            back = re.match(r"\033\[(\d+)A", part)
            lines = lines[: -int(back[1])] if back else lines + part.splitlines()
        return lines


def _terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """In place of stderr until the test ends. No fixture: pytest sets stderr anew before the test."""
    monkeypatch.setattr(progress, "_HEARTBEAT_TTY", 0.01)
    made = Terminal()
    monkeypatch.setattr("sys.stderr", made)
    return made


def _took(what: str, least: float, most: float) -> list[list[str]]:
    """The screens that say that it took so many seconds, to a tenth."""
    return [[f"{what} ({tenths / 10:.1f} s)"] for tenths in range(round(least * 10), round(most * 10) + 1)]


def test_on_a_terminal_a_step_leaves_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    began = time.monotonic()
    with progress.step("one"):
        time.sleep(0.1)
    took = time.monotonic() - began
    assert terminal.getvalue().count("... one") > 3  # its time went on
    assert terminal.screen() in _took("    ok one", 0.1, took)


def test_steps_of_several_threads_have_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    both = threading.Barrier(2)

    def run(name: str) -> None:
        with progress.step(name):
            both.wait()
            time.sleep(0.05)

    threads = [threading.Thread(target=run, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.say("between")
    left = sorted(line.partition(" (")[0] for line in terminal.screen())
    assert left == ["    ok one", "    ok two", "between"]


def test_a_failure_is_shown_and_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    began = time.monotonic()
    with pytest.raises(ValueError, match="no"), progress.step("it"):
        raise ValueError("no")
    took = time.monotonic() - began
    assert terminal.screen() in _took("failed it", 0.0, took)


def test_in_a_log_there_are_few_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_HEARTBEAT_TTY", 0.01)
    monkeypatch.setattr(progress, "_HEARTBEAT_LOG", 0.06)
    with progress.step("one"), progress.step("two"):
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    beats = [line for line in lines if re.fullmatch(r"   \.\.\. (one \d\.\d s)?(, )?(two \d\.\d s)?", line)]
    assert beats
    rest = [line.partition(" (")[0] for line in lines if line not in beats]
    assert rest == ["   ... one", "   ... two", "    ok two", "    ok one"]
