"""From a ClassAd to plain values to a `Job`: what is undefined must never look like a number."""

from __future__ import annotations

import classad2
import pytest

from htcdask_operator.condor.classads import plain
from htcdask_operator.condor.jobs import ATTRIBUTES, job
from htcdask_operator.core.model import Job, JobStatus, Role

BASE = """
    ClusterId = 7; ProcId = 3; QDate = 100; EnteredCurrentStatus = 160; RequestMemory = 4096;
    HTCDaskRole = "worker"; HTCDaskPoolUID = "pool"; HTCDaskClusterUID = "cluster"; HTCDaskWorker = "w1";
    HTCDaskTemplate = "mark"; HTCDaskLease = 5000; Iwd = "/var/tmp";
"""


def read(status: int, more: str = "") -> Job:
    found = job(plain(classad2.ClassAd(f"[ {BASE} JobStatus = {status}; {more} ]"), ATTRIBUTES))
    assert found is not None
    return found


def test_a_new_job() -> None:
    assert read(1) == Job(
        id="7.3",
        status=JobStatus.IDLE,
        role=Role.WORKER,
        pool_uid="pool",
        cluster_uid="cluster",
        worker="w1",
        template="mark",
        queued_at=100.0,
        status_since=160.0,
        lease=5000.0,
        request_memory_mib=4096,
    )


def test_a_released_job_has_no_hold_code() -> None:
    # An undefined attribute is a member of an enum that equals 2.
    released = read(1, "HoldReasonCode = undefined; HoldReason = undefined; NumShadowStarts = undefined;")
    assert (released.hold_code, released.hold_reason, released.shadow_starts) == (None, None, 0)
    assert read(2, 'HoldReasonCode = 16; HoldReason = "old";').hold_code is None


def test_a_held_job_says_why() -> None:
    held = read(5, 'HoldReasonCode = 6; HoldReasonSubCode = 2; HoldReason = "no such file";')
    assert (held.hold_code, held.hold_subcode, held.hold_reason) == (6, 2, "no such file")


def test_an_exit_code_counts_only_when_the_job_is_over() -> None:
    assert read(2, "ExitCode = 0; ExitBySignal = false;").exit_code is None
    over = read(4, "ExitCode = 3; ExitBySignal = false;")
    assert (over.exit_code, over.exit_signal) == (3, None)
    killed = read(4, "ExitCode = 0; ExitBySignal = true; ExitSignal = 9;")
    assert (killed.exit_code, killed.exit_signal) == (None, 9)


def test_expressions_are_evaluated_and_broken_ones_left_out() -> None:
    measured = "ResidentSetSize = 102400; MemoryUsage = (ResidentSetSize + 1023) / 1024;"
    assert read(2, measured).memory_mib == 100
    assert read(2, "MemoryUsage = 5;").memory_mib is None  # not measured yet
    assert read(1, "NumShadowStarts = error; NumJobReconnects = 1 / 0;").lives == 0


def test_a_reconnect_is_not_a_life() -> None:
    assert read(2, "NumShadowStarts = 2; NumJobReconnects = 1;").lives == 1
    assert read(1, "NumShadowStarts = 1;").spent


def test_only_an_anchor_has_a_directory() -> None:
    assert read(1).iwd is None
    assert read(1, 'HTCDaskRole = "anchor"; Iwd = "/spool/7";').iwd == "/spool/7"


@pytest.mark.parametrize("more", ['HTCDaskRole = "guest";', "ClusterId = undefined;", "JobStatus = 77;"])
def test_what_is_no_job_of_ours_is_left_out(more: str) -> None:
    assert job(plain(classad2.ClassAd(f"[ {BASE} JobStatus = 1; {more} ]"), ATTRIBUTES)) is None


class Bytes:
    """An ad with bytes that are no text, as HTCondor's binding gives them."""

    def get(self, name: str) -> object:
        if name == "HoldReason":
            return b"no such file: \xff\xc3".decode("utf-8")
        raise RuntimeError

    eval = get


def test_bytes_that_are_no_text_are_replaced_and_the_rest_is_read() -> None:
    assert plain(Bytes(), ["HoldReason", "JobStatus"]) == {"HoldReason": "no such file: \ufffd\ufffd"}


def test_a_number_without_end_is_none() -> None:
    ad = classad2.ClassAd('[ QDate = real("INF"); RequestMemory = real("NaN"); Iwd = "/" ]')
    assert plain(ad, ["QDate", "RequestMemory", "Iwd"]) == {"Iwd": "/"}
