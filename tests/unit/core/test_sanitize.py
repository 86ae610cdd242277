"""Texts from outside: what the API server refuses or a terminal obeys is replaced, visibly."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from htcdask_api import Condition, Explanation, Failure, PoolStatus
from htcdask_operator.core import sanitize
from htcdask_operator.core.model import JobStatus
from tests.builders import NOW, POOL, make_cluster, make_job, make_observed, make_policy, make_pool, plan_for
from tests.worst import WORST

ANY = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF, categories=None))
WILD = st.one_of(ANY, st.lists(st.sampled_from(WORST), max_size=20).map("".join))
KEPT_JOINERS = "\u200c\u200d"


def harmless(text: str) -> bool:
    """Printable in a terminal, and good YAML and JSON."""
    text.encode()  # no lone surrogate
    for character in text:
        category = unicodedata.category(character)
        if category in ("Cc", "Cs", "Zl", "Zp") or (
            category == "Cf" and character in "\u202e\u2066\ufeff\u200b"
        ):
            return False
        if ord(character) & 0xFFFE == 0xFFFE:
            return False
    return True


@given(WILD)
def test_one_line_is_harmless_bounded_and_stays_as_it_is(text: str) -> None:
    made = sanitize.line(text)
    assert harmless(made)
    assert len(made) == min(len(text), 4096)
    assert sanitize.line(made) == made


@given(WILD)
def test_many_lines_are_harmless_bounded_and_stay_as_they_are(text: str) -> None:
    made = sanitize.lines(text)
    assert harmless(re.sub("[\n\t]", "", made))
    assert len(made) <= 1024
    assert sanitize.lines(made) == made


@given(WILD)
def test_an_events_message_fits_into_what_the_api_server_takes(text: str) -> None:
    made = sanitize.event(text)
    assert harmless(made)
    assert len(made.encode()) <= 1024


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("\x1b[31mred", "␛[31mred"),
        ("a\x00b\x7fc", "a␀b␡c"),
        ("one\r\ntwo\rthree", "one\ntwo␍three"),
        ("\u202egnp.exe", "\N{REPLACEMENT CHARACTER}gnp.exe"),
        ("\udcff \ufeff \uffff", " ".join("\N{REPLACEMENT CHARACTER}" * 3)),
        ("\x9b31m", "\N{REPLACEMENT CHARACTER}31m"),
        ("größer \U0001f600 \u200d 中", "größer \U0001f600 \u200d 中"),
    ],
)
def test_what_is_replaced_can_be_seen(text: str, made: str) -> None:
    assert sanitize.lines(text) == made


def test_what_python_calls_printable_is_never_replaced() -> None:
    printable = "".join(filter(str.isprintable, map(chr, range(0x110000))))
    assert sanitize.line(f"\n{printable}", len(printable) + 1) == f"␊{printable}"


def test_a_message_cannot_pass_for_more_lines_of_a_description() -> None:
    assert sanitize.line("held\nEvents:  <none>") == "held␊Events:  <none>"


@pytest.mark.parametrize("reason", ["", "no spaces", "9", "x" * 129, "a\n", "Ünknown", "a_"])
def test_a_reason_that_breaks_the_rules_is_unknown(reason: str) -> None:
    assert sanitize.reason(reason) == "Unknown"


def test_the_end_of_a_long_log_is_kept_and_the_beginning_of_a_long_message() -> None:
    assert sanitize.lines("a" * 5000 + "end") == "a" * 1021 + "end"
    assert sanitize.line("begin" + "a" * 5000) == "begin" + "a" * 4091


@given(WILD, st.integers())
def test_a_whole_status_is_made_harmless(text: str, number: int) -> None:
    time = "2026-01-01T00:00:00Z"
    failure = Failure.model_construct(
        time=time, worker=text, machine=text, reason=text, message=text, exit_code=number, log_tail=text
    )
    condition = Condition.model_construct(
        type="Ready", status="True", reason=text, message=text, last_transition_time=time
    )
    explanation = Explanation.model_construct(reason=text, message=text, count=number)
    wild = PoolStatus.model_construct(
        finished=number,
        explanation=(explanation,) * 9,
        recent_failures=(failure,) * 9,
        conditions=(condition,) * 20,
    )
    made = sanitize.status(wild)
    assert PoolStatus.model_validate_json(made.model_dump_json()) == made
    assert sanitize.status(made) == made
    assert -(2**63) < made.recent_failures[0].exit_code < 2**63  # type: ignore[operator]
    assert json.dumps(made.model_dump(), ensure_ascii=False).encode()


@given(WILD)
def test_whatever_htcondor_and_the_worker_say_the_status_is_as_it_will_come_back(text: str) -> None:
    jobs = [
        make_job(f"held{text}", JobStatus.HELD, id="2.0", hold_code=34, hold_reason=text, machine=text),
        make_job("paused", JobStatus.HELD, id="3.0", hold_code=1, hold_reason=text),
        make_job("idle", id="4.0", reject_reason=text),
        make_job("gone", id="5.0", shadow_starts=1, vacate_reason=text, machine=text or None),
    ]
    observed = make_observed(make_cluster(4), jobs, condor_identity=text or "x")
    planned = plan_for([make_pool()], observed, make_policy(), NOW, logs={"gone": text})
    assert planned.mistakes == ()
    status = planned.statuses[POOL]
    assert sanitize.status(status) == status
    assert PoolStatus.model_validate_json(status.model_dump_json()) == status
