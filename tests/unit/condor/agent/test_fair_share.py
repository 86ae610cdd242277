"""Limits and older jobs, as ads of the negotiator, the slots and the schedd show them."""

from __future__ import annotations

import classad2
import pytest

from htcdask_operator.condor.agent import fair_share


@pytest.mark.parametrize(
    ("said", "limit"),
    [
        ("concurrency limit license reached", "license"),
        ("concurrency limit disks.home reached", "disks.home"),
        ("no match found", None),
        ("not concurrency limit license reached", None),
        ("concurrency limit license reached, or so", None),
        (f"concurrency limit {'x' * 201} reached", None),
    ],
)
def test_the_limit_is_the_one_that_the_negotiator_names(said: str, limit: str | None) -> None:
    assert fair_share.limit(classad2.ClassAd({"LastRejMatchReason": said})) == limit


def test_a_job_that_nobody_refused_waits_for_no_limit() -> None:
    assert fair_share.limit(classad2.ClassAd({})) is None


def test_use_is_what_all_slots_say_of_that_name_alone() -> None:
    texts = ["license", "License:2,disks", "disks license:0.5", "licenses", "license.x", "license:-3", ""]
    slots = [classad2.ClassAd({"ConcurrencyLimits": text}) for text in texts]
    assert fair_share.used("license", [*slots, classad2.ClassAd({})]) == 4.5  # who says nothing sane has one


def test_a_user_s_name_stays_a_text_in_the_question() -> None:
    job = classad2.ClassAd({"User": 'a"b || true', "QDate": 7, "JobPrio": 2})
    asked = fair_share.earlier(job)
    assert asked is not None
    assert classad2.ExprTree(asked).eval(classad2.ClassAd({"JobStatus": 1, "JobPrio": 9})) is not True
    assert '\\"b || true' in asked


def test_a_job_of_unknown_age_asks_nothing() -> None:
    assert fair_share.earlier(classad2.ClassAd({"User": "alice"})) is None
