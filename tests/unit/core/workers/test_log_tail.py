"""What is shown of a worker's words. The texts in `outputs` are what real workers printed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_api.status import MAX_LOG_TAIL
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.workers import failures, log_tail
from tests.builders import NOW

OUTPUTS = Path(__file__).parent / "outputs"
CAUSES = {
    "configuration_file": (
        "ValueError: A dask config file at '/opt/conda/etc/dask/x.yaml' is malformed, original error message:"
    ),
    "configuration_value": "ValueError: invalid literal for int() with base 10: 'lots'",
    "configuration_unit": "KeyError: 'Invalid time unit: soon. Valid units are: s, ms, us, ns,",
    "missing_module": "`dask worker` cannot be loaded: No module named 'not_in_this_image'.",
    "missing_library": "`dask worker` cannot be loaded: libcudart.so.12: cannot open shared object file",
    "missing_preload": "ModuleNotFoundError: No module named 'no_such_module'",
    "python_home": (
        "Fatal Python error: init_fs_encoding: failed to get the Python codec of the filesystem encoding "
        "(is PYTHONHOME or PYTHONPATH of the pool's environment another Python's?)"
    ),
    "old_distributed": (
        "Error: Unknown argument specified: %r Was click-configurable --preload target provided? "
        "(this image's distributed is older than 2022.12, or takes other options)"
    ),
    "closed_connection": "ssl.SSLEOFError: [SSL: UNEXPECTED_EOF_WHILE_READING] EOF occurred in violation of",
    "memory": "distributed.nanny.memory - WARNING - Worker tls://127.0.0.1:",
    "not_taken": "Timed out starting worker (the scheduler was reached, but did not take it: busy,",
    "other_version": (
        "TypeError: Scheduler.add_nanny() missing 1 required positional argument: 'address' "
        "(this image's distributed is of another version than the scheduler's)"
    ),
    "other_version_without_nanny": "Timed out starting worker (the scheduler was reached, but did not take",
}


@pytest.mark.parametrize(("name", "cause"), CAUSES.items(), ids=CAUSES)
def test_the_cause_of_real_outputs_is_found_and_shown(name: str, cause: str) -> None:
    text = (OUTPUTS / f"{name}.txt").read_text()
    told = log_tail.of(text)
    assert cause in told.cause
    assert bool(cause) == bool(told.cause)
    assert len(told.tail) <= MAX_LOG_TAIL
    assert text.splitlines()[-1] == told.tail.splitlines()[-1] or len(text) > MAX_LOG_TAIL
    what = told.cause.partition(" (")[0].removeprefix("`dask worker` cannot be loaded: ")
    assert what[:100] in told.tail


def test_all_outputs_are_looked_at() -> None:
    assert {path.stem for path in OUTPUTS.glob("*.txt")} == set(CAUSES)


def test_a_worker_of_too_much_memory_says_so() -> None:
    told = log_tail.of((OUTPUTS / "memory.txt").read_text())
    assert told.cause.endswith(
        "exceeded 95% memory budget. Restarting... (it needs more memory, or smaller tasks)"
    )


def test_of_a_traceback_the_place_and_the_exception_are_shown() -> None:
    tail = log_tail.of((OUTPUTS / "configuration_value.txt").read_text()).tail
    assert 'worker_memory.py", line 146, in __init__\nValueError: invalid literal' in tail
    assert "INFO" not in tail and "^^^" not in tail


CHAIN = """Traceback (most recent call last):
  File "a.py", line 1, in f
KeyError: 'first'

{link}

Traceback (most recent call last):
  File "b.py", line 2, in g
ValueError: second
"""
CAUSED = "The above exception was the direct cause of the following exception:"
MEANWHILE = "During handling of the above exception, another exception occurred:"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("", ""),
        ("\n \n", ""),
        ("htcdask: worker w1 on n ended with 137; its last lines:\n", ""),
        ("one\ntwo\n\n", "two"),
        (CHAIN.format(link=CAUSED), "KeyError: 'first'"),
        (CHAIN.format(link=MEANWHILE), "ValueError: second"),
        (CHAIN.format(link="later"), "ValueError: second"),
        (
            "Traceback (most recent call last):\n  x\nasyncio.exceptions.TimeoutError\n",
            "asyncio.exceptions.TimeoutError",
        ),
        (
            "2026 - distributed.x - ERROR - no luck\nTraceback (most recent call last):\n  x\nTimeoutError\n",
            "2026 - distributed.x - ERROR - no luck",
        ),
        (
            "/bin/bash: error while loading shared libraries: libtinfo.so.6: no\n"
            "Traceback (most recent call last):\nE: x\n",
            "/bin/bash: error while loading shared libraries: libtinfo.so.6: no",
        ),
        ("Fatal Python error: Segmentation fault\n\nThread 1\n", "Fatal Python error: Segmentation fault"),
        (
            "x - INFO - Worker process 7 was killed by signal 9\ny - INFO - End\n",
            "x - INFO - Worker process 7 was killed by signal 9 (signal 9: often a lack of memory)",
        ),
        ("x - INFO - Worker process 7 was killed by signal 15\n", ""),
        ("Traceback (most recent call last):\n  x\nfoo.BarError\n", "foo.BarError"),
    ],
)
def test_which_line_is_the_cause(text: str, cause: str) -> None:
    assert log_tail.of(text).cause == cause


def test_a_cause_far_above_the_end_is_shown_first() -> None:
    text = CHAIN.format(link=CAUSED) + "chatter\n" * 5000
    told = log_tail.of(text)
    assert told.cause == "KeyError: 'first'"
    assert told.tail.startswith("KeyError: 'first'\n[...]\n") and len(told.tail) == MAX_LOG_TAIL


HOSTILE = {
    "one-line": "x" * 2**20,
    "lines": "\n" * 2**20,
    "tracebacks": "Traceback (most recent call last):\nE\n" * 30_000,
    "frames": '  File "' * 200_000,
    "patterns": "While registering the command with name 'worker', an exception occurred; " * 20_000,
    "numbers": "Worker process " + "1" * 2**20,
    "braces": "Fatal Python error: {0.__class__} {} {x}\n" * 10_000,
    "controls": "Traceback (most recent call last):\nE: \x1b[2J\u202e\ud800\x00\n" * 10_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_a_worker_prints_is_bounded_in_size_and_time(text: str) -> None:
    began = time.process_time()
    told = log_tail.of(text)
    assert time.process_time() - began < 0.5
    assert len(told.tail) <= MAX_LOG_TAIL and len(told.cause) <= log_tail.MAX_CAUSE
    before = Failure(
        time=timestamps.written(NOW),
        worker="w1",
        reason=reasons.WORKER_FAILED,
        message="It died.",
        exit_code=1,
    )
    status = PoolStatus(recent_failures=(before,))
    logs = {"w1": f"htcdask: worker w1 on n ended with 1; its last lines:\n{text}"}
    (failure,) = failures.record(failures.remembered(status), (), (), logs, NOW)[0].recent
    shown = f"{failure.message}{failure.log_tail}"
    assert "\x1b" not in shown and "\u202e" not in shown and "\n" not in failure.message


def test_an_exception_that_was_dealt_with_long_ago_is_no_cause() -> None:
    handled = 'Traceback (most recent call last):\n  File "a.py", line 1\nFileNotFoundError: /cache/a\n'
    hours = "2026-11-26 10:00:00,000 - distributed.worker - INFO - a heartbeat\n" * 400
    end = "2026-11-26 15:00:00,000 - distributed.nanny - ERROR - Worker process died unexpectedly\n"
    assert "died unexpectedly" in log_tail.of(handled + hours + end).cause
    assert "FileNotFoundError" in log_tail.of(handled + end).cause


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("", ""),
        ("Fatal Python error: Segmentation fault\n", "Fatal Python error: Segmentation fault"),
        ("Traceback (most recent call last):\nMemoryError\n", "MemoryError"),
    ],
)
def test_an_exception_does_not_kill_by_a_signal(last: str, cause: str) -> None:
    dealt_with = "Traceback (most recent call last):\nValueError: old task\nx - ERROR - one task failed\n"
    text = dealt_with + "distributed.worker - INFO - going on\n" * 100 + last
    assert log_tail.of(text, killed=True).cause == cause
    assert log_tail.of(text).cause == (cause or "ValueError: old task")


VERDICT = "cannot reach the scheduler at gw:443: the connection was refused"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"htcdask: worker w1 on node7 ended: {VERDICT}\n", f"It died. It said: {VERDICT}"),
        (f"noise\nhtcdask: worker w1 on node7 ended: {VERDICT}\n", f"It died. It said: {VERDICT}"),
        ("htcdask: worker w1 on node7 ended with 1; its last lines:\nodd\n", "It died. It said: odd"),
        (f"htcdask: worker w2 on node7 ended: {VERDICT}\n", "It died."),
        ("secret\n", "It died."),
        ("", "It died."),
    ],
)
def test_the_cause_is_in_the_failure_s_message_once(text: str, message: str) -> None:
    before = Failure(
        time=timestamps.written(NOW),
        worker="w1",
        reason=reasons.WORKER_FAILED,
        message="It died.",
        exit_code=1,
    )
    record = failures.remembered(PoolStatus(recent_failures=(before,)))
    for _ in range(2):
        record = failures.record(record, (), (), {"w1": text}, NOW)[0]
        assert record.recent[0].message == message


def test_lines_that_never_come_are_waited_for_and_then_no_more() -> None:
    before = Failure(time=timestamps.written(NOW), worker="w1", reason=reasons.WORKER_FAILED)
    record = failures.remembered(PoolStatus(recent_failures=(before,)))
    waiting = failures.record(record, (), (), {}, NOW + 119)[0]
    assert waiting.recent[0].log_tail is None
    assert failures.missing_logs(waiting.recent, NOW + 119) == ("w1",)
    assert failures.logs_until(waiting.recent) == NOW + 120
    over = failures.record(record, (), (), {}, NOW + 120)[0]
    assert (over.recent[0].log_tail, failures.logs_until(over.recent)) == ("", None)
