"""An expression is taken apart where HTCondor itself would, and nowhere else."""

from __future__ import annotations

import time

import pytest

from htcdask_operator.condor.agent import clauses

OF_THE_AD = {"Mine": 'Arch == "a && b" && (x || y) && z =?= 1', "Loose": "a || b"}
CASES = {
    "a && b": ["a", "b"],
    "((a && b))": ["a", "b"],
    "(a) && (b)": ["a", "b"],
    "(a && b) && c": ["a && b", "c"],
    "a || b && c": ["a || b && c"],
    "a ? b : c && d": ["a ? b : c && d"],
    "a =?= 1 && b": ["a =?= 1", "b"],
    "(MY.Mine) && c": ['Arch == "a && b"', "x || y", "z =?= 1", "c"],
    "my.loose && c": ["my.loose", "c"],  # as the ad has it: names are looked up by whoever defines them
    "MY.Loose && c": ["a || b", "c"],
    "MY.Nothing && c": ["MY.Nothing", "c"],
    "'a && b' == 1 && c": ["'a && b' == 1", "c"],
    'f("\\\\", "\\"&&") && c': ['f("\\\\", "\\"&&")', "c"],
    "[a = 1; b = 2 && 3].a && {1, 2 && 3}[0]": ["[a = 1; b = 2 && 3].a", "{1, 2 && 3}[0]"],
    "member(a, {\n    1,\n    2\n}) && b": ["member(a, { 1, 2 })", "b"],
    "a": ["a"],
    "": [""],
    '"never ends && a': ['"never ends && a'],
    ")) && ((": [")) && (("],
}


@pytest.mark.parametrize("text", CASES)
def test_clauses(text: str) -> None:
    assert clauses.of(text, OF_THE_AD.get) == CASES[text]


def test_many_clauses_are_cut_and_none_is_lost() -> None:
    found = clauses.of(" && ".join(f"a{number}" for number in range(1000)), OF_THE_AD.get)
    assert len(found) == clauses.MOST + 1
    assert found[-1].startswith("(a40) && (a41)") and found[-1].endswith("(a999)")


def test_what_nests_deeply_is_read_in_a_moment() -> None:
    began = time.perf_counter()
    for text in ("(" * 50_000 + "a" + ")" * 50_000, "(a && " * 20_000, "((a) && " * 20_000):
        clauses.of(text, OF_THE_AD.get)
    assert time.perf_counter() - began < 5
