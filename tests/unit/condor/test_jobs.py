"""From a ClassAd to plain values to a `Job`: what is undefined must never look like a number."""

from __future__ import annotations

import classad2
import pytest

from htcdask_operator.condor.agent.classads import Plain, plain
from htcdask_operator.condor.errors import CondorError
from htcdask_operator.condor.jobs import ATTRIBUTES, job, server_time
from htcdask_operator.core.model import UNKNOWN_TIME, Job, JobStatus, Role

BASE = """
    ClusterId = 7; ProcId = 3; QDate = 100; EnteredCurrentStatus = 160; RequestMemory = 4096;
    HTCDaskRole = "worker"; HTCDaskPoolUID = "pool"; HTCDaskClusterUID = "cluster"; HTCDaskWorker = "w1";
    HTCDaskTemplate = "hash"; HTCDaskLease = 5000; Iwd = "/var/tmp";
"""


def read(status: int, more: str = "") -> Job:
    return job(plain(classad2.ClassAd(f"[ {BASE} JobStatus = {status}; {more} ]"), ATTRIBUTES))


def test_a_new_job() -> None:
    assert read(1) == Job(
        id="7.3",
        status=JobStatus.IDLE,
        role=Role.WORKER,
        pool_uid="pool",
        cluster_uid="cluster",
        worker="w1",
        template_hash="hash",
        queued_at=100.0,
        status_since=160.0,
        lease=5000.0,
        request_memory_mib=4096,
    )


def test_what_it_requests_is_read_and_what_is_no_number_is_not_there() -> None:
    asked = read(1, 'RequestCpus = 4; RequestGPUs = 2; HTCDaskProfile = "gpu";')
    assert (asked.size, asked.profile) == ((1, 4, 4096, 2), "gpu")
    assert read(1, "RequestCpus = error; RequestGPUs = undefined;").size == (1, 1, 4096, 0)


def test_a_released_job_has_no_hold_code() -> None:
    # An undefined attribute is a member of an enum that equals 2.
    released = read(1, "HoldReasonCode = undefined; HoldReason = undefined; NumShadowStarts = undefined;")
    assert (released.hold_code, released.hold_reason, released.shadow_starts) == (None, None, 0)
    assert read(2, 'HoldReasonCode = 16; HoldReason = "old";').hold_code is None


def test_two_slots_of_one_node_are_one_machine() -> None:
    first, other = read(2, 'RemoteHost = "slot1_1@node7";'), read(2, 'RemoteHost = "slot1_2@node7";')
    assert [(job.slot, job.machine) for job in (first, other)] == [("slot1_1", "node7"), ("slot1_2", "node7")]
    assert read(1, 'LastRemoteHost = "slot1_1@node7";').machine == "node7"
    assert (read(1).slot, read(1).machine) == (None, None)


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
    assert read(1, "NumShadowStarts = error; NumJobReconnects = 1 / 0;").starts == 0


def test_a_reconnect_is_not_a_life() -> None:
    assert read(2, "NumShadowStarts = 2; NumJobReconnects = 1;").starts == 1
    assert read(1, "NumShadowStarts = 1;").vacated


def test_only_an_anchor_has_a_directory() -> None:
    assert read(1).iwd is None
    assert read(1, 'HTCDaskRole = "anchor"; Iwd = "/spool/7";').iwd == "/spool/7"


class Bytes:
    """An ad with bytes that are no text, as HTCondor's binding gives them."""

    def get(self, name: str) -> object:
        if name == "HoldReason":
            return b"no such file: \xff\xc3".decode("utf-8")
        raise RuntimeError

    eval = get


def test_bytes_that_are_no_text_are_replaced_and_the_rest_is_read() -> None:
    assert plain(Bytes(), ["HoldReason", "JobStatus"]) == {"HoldReason": "no such file: \ufffd\ufffd"}


def test_a_number_without_end_is_there_and_no_number() -> None:
    ad = classad2.ClassAd('[ QDate = real("INF"); RequestMemory = real("NaN"); Iwd = "/" ]')
    assert plain(ad, ["QDate", "RequestMemory", "Iwd"]) == {
        "QDate": "inf",
        "RequestMemory": "nan",
        "Iwd": "/",
    }


ODD = (
    "true",
    "2.5",
    "-1",
    '"2"',
    "1e999",
    'real("NaN")',
    "9223372036854775807",
    "{1, 2}",
    "[a = 1]",
    "error",
)


@pytest.mark.parametrize(
    "value", [*ODD, "77", "0", "undefined", '"running"', 'absTime("2020-01-01T00:00:00Z")']
)
def test_a_job_in_a_state_that_nobody_knows_is_there(value: str) -> None:
    found = job(plain(classad2.ClassAd(f"[ {BASE} JobStatus = {value}; ]"), ATTRIBUTES))
    assert (found.id, found.status, found.worker, found.understood) == ("7.3", JobStatus.UNKNOWN, "w1", False)


def test_a_whole_number_may_be_written_as_a_real_one() -> None:
    found = job(plain(classad2.ClassAd(f"[ {BASE} JobStatus = 2.0; ]"), ATTRIBUTES))
    assert found.status is JobStatus.RUNNING


@pytest.mark.parametrize(
    "more", ['HTCDaskRole = "guest";', 'HTCDaskRole = "";', "HTCDaskRole = undefined;", "HTCDaskRole = {1};"]
)
def test_a_job_whose_role_cannot_be_told_may_be_a_worker(more: str) -> None:
    found = read(2, more)
    assert (found.role, found.may_be_worker, found.understood) == (Role.UNKNOWN, True, False)


@pytest.mark.parametrize("name", ["undefined", '""', "7", "{}"])
def test_a_worker_without_a_name_is_not_understood(name: str) -> None:
    assert not read(2, f"HTCDaskWorker = {name};").understood
    assert read(5, f'HTCDaskRole = "anchor"; HTCDaskWorker = {name};').understood


@pytest.mark.parametrize("code", ["1e999", '"16"', "1.5", "true"])
def test_a_job_held_for_a_code_that_is_none_is_not_understood(code: str) -> None:
    assert read(5, f"HoldReasonCode = {code};").status is JobStatus.UNKNOWN
    assert read(2, f"HoldReasonCode = {code};").status is JobStatus.RUNNING


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", sorted(set(ATTRIBUTES) - {"ClusterId", "ProcId", "JobStatus", "ServerTime"}))
@pytest.mark.parametrize("status", [1, 2, 4, 5, 7])
def test_no_attribute_breaks_the_reader_or_makes_the_job_older(status: int, name: str, value: str) -> None:
    ad = plain(classad2.ClassAd(f"[ {BASE} JobStatus = {status}; {name} = {value}; ]"), ATTRIBUTES)
    found = job(ad, offset=85.0)
    assert found.id == "7.3"
    assert found.queued_at in (15.0, 17.5, UNKNOWN_TIME) or name == "QDate"
    for time in (found.queued_at, found.status_since, found.lease, found.started_at, found.stage_in_finish):
        assert time is None or -85 < time <= UNKNOWN_TIME


def test_what_happened_at_no_time_was_not_long_ago() -> None:
    found = read(3, "EnteredCurrentStatus = undefined; QDate = error;")
    assert (found.status_since, found.queued_at) == (UNKNOWN_TIME, UNKNOWN_TIME)


@pytest.mark.parametrize("value", ["undefined", '"7"', "1e999", "{7}", "7.5"])
@pytest.mark.parametrize("name", ["ClusterId", "ProcId"])
def test_without_an_id_nothing_is_known_of_the_queue(name: str, value: str) -> None:
    with pytest.raises(CondorError, match="without ClusterId or ProcId"):
        read(1, f"{name} = {value};")


def test_a_text_is_bounded() -> None:
    said: dict[str, Plain] = {"JobStatus": 5, "HoldReasonCode": 1, "HoldReason": "x" * 100_000}
    assert len(job({"ClusterId": 7, "ProcId": 3, **said}).hold_reason or "") == 4096


def test_a_name_that_is_too_long_is_no_name_rather_than_half_of_one() -> None:
    ad: dict[str, Plain] = {
        "ClusterId": 7,
        "ProcId": 3,
        "HTCDaskRole": "worker",
        "HTCDaskPoolUID": "p" * 4097,
    }
    found = job({**ad, "HTCDaskWorker": "w" * 4097})
    assert (found.worker, found.role, found.pool_uid) == ("", Role.UNKNOWN, "")


def test_times_are_told_by_our_clock() -> None:
    ad = plain(classad2.ClassAd(f"[ {BASE} JobStatus = 2; JobCurrentStartExecutingDate = 170; ]"), ATTRIBUTES)
    found = job(ad, offset=-85.0)
    times = (found.queued_at, found.status_since, found.started_at, found.lease)
    assert times == (185.0, 245.0, 255.0, 5085.0)


@pytest.mark.parametrize("value", [*ODD, "undefined"])
def test_the_time_of_an_answer_is_a_time_or_nothing(value: str) -> None:
    ads = [plain(classad2.ClassAd(f"[ ServerTime = {value}; ]"), ATTRIBUTES)]
    assert server_time(ads) in (None, 2.5)
    assert server_time([*ads, {"ServerTime": 1_800_000_000}]) in (1_800_000_000, 2.5)
    assert server_time([]) is None


def test_a_text_without_end_does_not_fill_the_answer_for_all() -> None:
    ad = classad2.ClassAd({"VacateReason": "x" * 2**20})
    assert plain(ad, ["VacateReason"]) == {"VacateReason": "x" * 1024}
