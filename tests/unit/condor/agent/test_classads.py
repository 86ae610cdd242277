"""Texts are bounded by the bytes that they are sent as: nobody's words hide the queue from everybody."""

from __future__ import annotations

import json
from pathlib import Path

import classad2
import pytest

from htcdask_api import names
from htcdask_operator.condor import wire
from htcdask_operator.condor.agent.classads import REASONS, Plain, longest_reason, plain
from htcdask_operator.condor.agent.schedd import Schedd
from htcdask_operator.condor.jobs import ATTRIBUTES

OWL = "\N{OWL}"
UID = "01234567-89ab-cdef-0123-456789abcdef"
SLOT = "slot1_12@node0123.cluster.example.org"
NUMBERS = (
    *("JobStatus", "NumShadowStarts", "RequestCpus", "RequestMemory", "RequestGPUs", "ExitCode"),
    *("HoldReasonCode", "HoldReasonSubCode", "VacateReasonCode"),
)
TIMES = (
    *("ServerTime", "QDate", "EnteredCurrentStatus", "JobCurrentStartExecutingDate", "StageInFinish"),
    *("ResidentSetSize", "MemoryUsage", names.AD_LEASE, names.AD_LIFETIME, names.AD_CONNECTS_AT),
)
AD = {
    **dict.fromkeys(NUMBERS, 12),
    **dict.fromkeys(TIMES, 1_800_000_000),
    "ClusterId": 123_456,
    "ProcId": 9999,
    "User": "htcdask@ap01.example.org",
    "RemoteHost": SLOT,
    "LastRemoteHost": SLOT,
    "ExitBySignal": False,
    "Iwd": "/var/lib/condor/spool/3456/9999/cluster123456.proc9999.subproc0",
    names.AD_POOL_UID: UID,
    names.AD_CLUSTER_UID: UID,
    names.AD_TEMPLATE: "0123456789abcdef",
    names.AD_POOL: "dask-gateway/default-0123456789abcdef0123456789abcdef",
    names.AD_USER: "alice%40example.org",
    names.AD_PROFILE: "default",
    names.AD_ROLE: "worker",
    names.AD_WORKER: "a0mcz7x1k0aa",
    names.AD_ANCHOR: "123455.0",
}
"""A worker's job as long as one usually is."""


def sent(value: Plain) -> int:
    return len(json.dumps(value)) - 2


@pytest.mark.parametrize("letter", ["x", "\N{LATIN SMALL LETTER E WITH ACUTE}", OWL, '"', "\n", "\x01"])
@pytest.mark.parametrize("longest", [1024, 100])
def test_a_reason_takes_so_many_bytes_whatever_it_is_made_of(letter: str, longest: int) -> None:
    text = "why: " + letter * 5000
    said = plain(classad2.ClassAd({"HoldReason": text}), ["HoldReason"], longest)["HoldReason"]
    assert isinstance(said, str) and text.startswith(said)
    assert longest - sent(letter) < sent(said) <= longest, "as much of it as fits"


def test_a_reason_that_fits_is_whole() -> None:
    for text in ("", "x" * 1024, OWL * 85, "x" * 1000 + OWL * 2):
        assert plain(classad2.ClassAd({"VacateReason": text}), ["VacateReason"]) == {"VacateReason": text}


def test_what_identifies_is_whole_or_not_there() -> None:
    ad = classad2.ClassAd({"HTCDaskWorker": "w" * 4096, "User": OWL * 342})
    assert plain(ad, ["HTCDaskWorker", "User"]) == {"HTCDaskWorker": "w" * 4096}


@pytest.mark.parametrize("jobs", [1, 1365, 8192, 10_000, 16_384, 25_000])
def test_so_many_jobs_fit_one_answer_whatever_their_reasons_are(jobs: int) -> None:
    ad = plain(
        classad2.ClassAd({**AD, **dict.fromkeys(REASONS, OWL * 100_000)}), ATTRIBUTES, longest_reason(jobs)
    )
    assert ad.keys() >= REASONS
    assert jobs * len(json.dumps(ad) + ", ") < wire.LARGEST


def test_twice_as_many_fit_if_nobody_says_anything() -> None:
    assert 55_000 * len(json.dumps(plain(classad2.ClassAd(AD), ATTRIBUTES)) + ", ") < wire.LARGEST


def test_the_more_jobs_there_are_the_less_is_kept_of_each_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    schedd = Schedd("collector", "schedd", tmp_path, lambda: 0.0)
    for jobs, longest in ((8192, 1020), (8193, 504)):
        monkeypatch.setattr(schedd, "_do", lambda _, jobs=jobs: [{"HoldReason": OWL * 2000}] * jobs)
        assert {sent(ad["HoldReason"]) for ad in schedd.query("true", ["HoldReason"])} == {longest}


def test_a_job_more_or_less_changes_no_reason_but_at_few_numbers() -> None:
    assert len({longest_reason(jobs) for jobs in range(1, 55_000)}) == 4
