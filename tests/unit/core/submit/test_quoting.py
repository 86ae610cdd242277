"""Quoting that nothing escapes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from htcdask_api import names
from htcdask_operator.condor.agent.classads import Plain
from htcdask_operator.condor.jobs import job
from htcdask_operator.core.submit import quoting


@given(st.text())
@settings(max_examples=200, deadline=None)
def test_no_text_brings_a_line_or_a_macro_of_its_own(value: str) -> None:
    try:
        quoted = quoting.string(value)
    except quoting.UnquotableError:
        twice = value.count("$") > 1 or "$(dollar)" in value.lower()
        assert not value.isprintable() or twice or "\\" in value
        return
    assert quoted.isprintable()
    assert "$" not in quoted.replace("$(DOLLAR)", "")
    assert quoted[1:-1].replace("$(DOLLAR)", "$").replace('\\"', '"') == value
    assert re.fullmatch(r'(\\"|[^"])*', quoted[1:-1])


@pytest.mark.parametrize(
    ("name", "account"),
    [
        ("alice", "alice"),
        ("a.b", "a_b-2e7336"),
        ("a_b", "a_b"),
        ("a_b-2e7336", None),  # who is called like the one above is somebody else
        ("x y\n", None),
        ("DOMAIN\\alice", None),
        ("ada\u00a0lovelace", None),
        ("a$$b", None),
        ("", None),
        ("\ud800", None),
        ("x" * 300, None),
    ],
)
def test_a_user_is_one_part_of_an_accounting_group_and_nobody_else(name: str, account: str | None) -> None:
    found = quoting.account(name)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,110}", found)
    assert account is None or found == account
    assert found == name or found != re.sub(r"[^A-Za-z0-9_-]", "_", name)
    assert found != "a_b-2e7336" or name == "a.b"
    assert quoting.group("group_a.sub-123abc.x y") == f"group_a.sub-123abc.{quoting.account('x y')}"


@given(st.text(st.characters()))
@settings(max_examples=200, deadline=None)
def test_a_user_s_name_is_written_without_loss_in_plain_characters(name: str) -> None:
    written = quoting.user(name)
    assert re.fullmatch(r"[-A-Za-z0-9@+_.~%]*", written)
    ad: dict[str, Plain] = {
        "ClusterId": 1,
        "ProcId": 0,
        "JobStatus": 1,
        names.AD_ROLE: "worker",
        names.AD_USER: written,
    }
    made = job(ad)
    assert made is not None and made.user == name
