"""What an agent may say, and that nothing else gets past the reader."""

from __future__ import annotations

import json
from typing import Any

import pytest

from htcdask_operator.condor import wire
from htcdask_operator.condor.errors import CondorError, CondorRefused, SubmitRefused

CLAUSE = {"text": "a > 1", "met": 0, "undefined": 0, "without": 1}
ANALYSIS = {
    "slots": 1,
    "clauses": [CLAUSE, {**CLAUSE, "asked": 1, "nearest": [0.5, "x", True]}],
    "start": None,
    "rule": None,
    "drain_reason": None,
    "broken_slot": None,
    "group": "physics",
    "quota": 1.5,
    "used": None,
    "ahead": None,
    "negotiators": 1,
    "quiet": None,
    "limit": "license",
    "limit_used": 1.5,
    "earlier": None,
    **dict.fromkeys(("fit", "looked_at", "take", "room", "refuse", "unknown", "broken", "drain"), 0),
}
AD = {"ClusterId": 1, "MemoryUsage": 1.5, "HoldReason": "why", "ExitBySignal": False}


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("whoami", "dask@example.org"),
        ("query", []),
        ("query", [AD, {}]),
        ("query", [{"HoldReason": "zażółć \N{OWL}"}]),
        ("submit", ["1.0", "1.1"]),
        ("spool", "17.0"),
        ("spool_each", ["17.0", "17.1"]),
        ("act", {"TotalSuccess": 3}),
        ("edit", None),
        ("retrieve", {"w1": "last words\n"}),
        ("analyze", None),
        ("analyze", ANALYSIS),
        ("analyze", {**ANALYSIS, "start": "true", "clauses": []}),
    ],
)
def test_an_answer_arrives_as_it_was_given(method: str, value: object) -> None:
    assert wire.value(wire.answer(7, value), 7, method) == value


@pytest.mark.parametrize("kind", [CondorError, CondorRefused, SubmitRefused])
def test_an_error_arrives_as_it_was_given(kind: type[CondorError]) -> None:
    with pytest.raises(kind, match=r"^the reason$") as found:
        wire.value(wire.failure(7, kind("the reason")), 7, "query")
    assert type(found.value) is kind


def test_the_text_of_an_error_is_short() -> None:
    with pytest.raises(CondorError) as found:
        wire.value(wire.failure(7, CondorError("x" * 10**6)), 7, "query")
    assert len(str(found.value)) == 2000


def test_an_answer_that_nobody_would_read_becomes_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "LARGEST", 2**20)
    with pytest.raises(CondorError, match="too large to be read: 1 MiB"):
        wire.value(wire.answer(7, [{"HoldReason": "x" * 2**20}]), 7, "query")


def line(**said: Any) -> bytes:
    return json.dumps({"to": 7, **said}).encode() + b"\n"


GARBAGE = {
    "nothing": b"\n",
    "half a line": line(value=[])[:-4],
    "half a line, whole JSON": line(value=[])[:-1],
    "a warning": b"WARNING: something\n",
    "two values": b'{"to": 7, "value": []} {}\n',
    "other bytes": b'{"to": 7, "value": [{"a": "\xff"}]}\n',
    "raw surrogates": b'{"to": 7, "value": [{"a": "\xed\xa0\x80"}]}\n',
    "UTF-16": '{"to": 7, "value": []}\n'.encode("utf-16"),
    "a list": b"[]\n",
    "a number": b"7\n",
    "null": b"null\n",
    "a deep nest": b"[" * 100_000 + b"\n",
    "a deep nest inside": b'{"to": 7, "value": ' + b"[" * 100_000 + b"\n",
    "NaN": b'{"to": 7, "value": [{"a": NaN}]}\n',
    "infinity": b'{"to": 7, "value": [{"a": 1e999}]}\n',
    "a long number": b'{"to": 7, "value": [{"a": ' + b"9" * 5000 + b"}]}\n",
    "a large number": b'{"to": 7, "value": [{"a": ' + b"9" * 400 + b"}]}\n",
    "no question": b'{"value": []}\n',
    "another question": b'{"to": 6, "value": []}\n',
    "no value": line(),
    "value and error": line(value=[], error="CondorError", text="why"),
    "more": line(value=[], more=1),
    "an unknown error": line(error="SystemExit", text="why"),
    "an error without a kind": line(error=None, text="why"),
    "an error whose kind is a list": line(error=["CondorError"], text="why"),
    "an error without a text": line(error="CondorError"),
    "an error whose text is none": line(error="CondorError", text=5),
    "an ad that is none": line(value=[5]),
    "an ad with a list": line(value=[{"Iwd": ["/"]}]),
    "an ad with nothing": line(value=[{"Iwd": None}]),
    "no list": line(value={"ClusterId": 1}),
}


def test_the_least_and_the_greatest_of_a_classad_s_numbers_are_answers() -> None:
    ads = [{"a": -(2**63), "b": 2**63 - 1}]
    assert wire.value(line(value=ads), 7, "query") == ads


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
def test_nothing_else_is_an_answer(said: bytes) -> None:
    with pytest.raises(wire.Garbage):
        wire.value(said, 7, "query")


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("whoami", None),
        ("whoami", "nobody"),
        ("query", None),
        ("submit", "1.0"),
        ("submit", [1.0]),
        ("submit", ["1.0 || true"]),
        ("submit", ["1"]),
        ("spool", 17.0),
        ("spool", "17.0\n"),
        ("spool_each", "17.0"),
        ("spool_each", [17.0]),
        ("act", [1]),
        ("edit", False),
        ("retrieve", ["text"]),
        ("retrieve", {"w1": 5}),
        ("retrieve", {"w1": None}),
        ("analyze", {}),
        ("analyze", {**ANALYSIS, "more": 1}),
        ("analyze", {**ANALYSIS, "fit": -1}),
        ("analyze", {**ANALYSIS, "fit": True}),
        ("analyze", {**ANALYSIS, "start": 1}),
        ("analyze", {**ANALYSIS, "drain_reason": ["why"]}),
        ("analyze", {**ANALYSIS, "quota": "1"}),
        ("analyze", {**ANALYSIS, "ahead": 0.5}),
        ("analyze", {**ANALYSIS, "negotiators": -1}),
        ("analyze", {**ANALYSIS, "quiet": "long"}),
        ("analyze", {**ANALYSIS, "limit": 1}),
        ("analyze", {**ANALYSIS, "limit_used": "1"}),
        ("analyze", {**ANALYSIS, "earlier": -1}),
        ("analyze", {**ANALYSIS, "clauses": [{**CLAUSE, "text": None}]}),
        ("analyze", {**ANALYSIS, "clauses": [{**CLAUSE, "more": 1}]}),
        ("analyze", {**ANALYSIS, "clauses": [{**CLAUSE, "asked": 10**400}]}),
        ("analyze", {**ANALYSIS, "clauses": [{**CLAUSE, "nearest": [None]}]}),
    ],
)
def test_each_answer_has_the_shape_of_its_question(method: str, value: object) -> None:
    with pytest.raises(wire.Garbage, match="another shape"):
        wire.value(line(value=value), 7, method)


@pytest.mark.parametrize(
    ("method", "text", "harmless"),
    [
        ("query", '[{"HoldReason": "a\\ud83d\\ude00b"}]', [{"HoldReason": "a\N{GRINNING FACE}b"}]),
        ("query", '[{"HoldReason": "a\\udcffb"}]', [{"HoldReason": "a\N{REPLACEMENT CHARACTER}b"}]),
        ("query", '[{"HoldReason": "a\\uD800"}]', [{"HoldReason": "a\N{REPLACEMENT CHARACTER}"}]),
        ("retrieve", '{"w\\ud800": "\\ude00\\ud83d"}', {"w\ufffd": "\ufffd\ufffd"}),
        ("whoami", '"d\\udc00@x"', "d\ufffd@x"),
    ],
)
def test_half_a_surrogate_pair_is_replaced(method: str, text: str, harmless: object) -> None:
    found = wire.value(b'{"to": 7, "value": ' + text.encode() + b"}\n", 7, method)
    assert found == harmless
    json.dumps(found, ensure_ascii=False).encode("utf-8")


def test_half_a_surrogate_pair_in_an_error_is_replaced() -> None:
    with pytest.raises(CondorError, match=r"^a\ufffd$"):
        wire.value(b'{"to": 7, "error": "CondorError", "text": "a\\udcff"}\n', 7, "query")
