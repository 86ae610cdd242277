"""What follows from each code of HTCondor's: one row a line of its tables, and what each reason costs."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import backoff, failure_policy
from htcdask_operator.core.workers.failure_policy import HoldAction
from tests.builders import NOW, make_job, make_policy

H = JobStatus.HELD
POLICY = make_policy(breaker_failures=5)
NEVER = None


@pytest.mark.parametrize(
    ("codes", "reason"),
    [
        ((None, 0, 2, 20, 4711), "Held"),  # of no reason, or of one that is newer than this table
        ((17, 24, 25, *range(28, 32), *range(36, 43)), "Held"),  # obsolete, or of jobs that are not like ours
        ((1, 15), "HeldByUser"),
        ((3,), "HeldByPolicy"),
        ((4,), "CredentialInvalid"),
        ((5, 27), "PolicyBroken"),
        ((6, 35, 45), "BadImage"),
        ((7, 8, 9, 10, 13, 14), "AccessPointFiles"),
        ((11, 12, 18, 33), "TransferFailed"),
        ((16,), "NeverSpooled"),
        ((19, 21), "MachineRefused"),
        ((22, 23, 26, 32, 43, 44, 48), "HeldBySite"),
        ((34,), "OutOfResources"),
        ((46, 47), "RunTimeOver"),
    ],
)
def test_a_held_job(codes: Iterable[int | None], reason: str) -> None:
    found = {code: failure_policy.of_hold(make_job("a", H, hold_code=code), early=True) for code in codes}
    assert {code: policy.reason for code, policy in found.items()} == dict.fromkeys(codes, reason)
    waits = HoldAction.WAIT if reason == "HeldByUser" else HoldAction.REPLACE
    assert {policy.action for policy in found.values()} == {waits}


def test_a_worker_of_use_whose_output_cannot_be_brought_back_has_not_failed() -> None:
    job = make_job("a", H, hold_code=12)
    assert failure_policy.of_hold(job, early=False).reason == "OutputLost"
    assert failure_policy.of_hold(job, early=True).reason == "TransferFailed"


@pytest.mark.parametrize(
    ("codes", "later", "early"),
    [
        ((None, 9999), "Evicted", "NeverStarted"),  # an access point before 25 says nothing
        ((45,), "BadImage", "BadImage"),
        ((1000, 1001), "VacatedByPolicy", "VacatedByPolicy"),
        ((1002, 1007, 1012, 1021, 1024, 1031, 1036), "MachineFailed", "MachineFailed"),
        ((1003, 1005, 1006, *range(1026, 1031), *range(1032, 1036)), "SlotLost", "SlotLost"),
        ((1004, 1009, 1010, 1011, *range(1013, 1020), 1022), "Evicted", "EvictedEarly"),
        ((1008,), "ContactLost", "ContactLost"),
        ((1023,), "RemovedByOthers", "RemovedByOthers"),
    ],
)
def test_a_job_that_lost_its_slot(codes: Iterable[int | None], later: str, early: str) -> None:
    for code in codes:
        job = make_job("a", shadow_starts=1, vacate_code=code)
        assert failure_policy.of_vacate(job, early=False) == later, code
        assert failure_policy.of_vacate(job, early=True) == early, code


def failed(reason: str, machines: Iterable[str]) -> list[Failure]:
    """One event a machine, all just now."""
    return [
        Failure(time=timestamps.written(NOW), worker=f"w{number}", reason=reason, machine=machine, message="")
        for number, machine in enumerate(machines)
    ]


@pytest.mark.parametrize(
    ("reason", "pause", "doubles", "stops_after"),
    [
        ("Evicted", 0, False, NEVER),
        ("ContactLost", 0, False, NEVER),
        ("Suspended", 0, False, NEVER),
        ("RunTimeOver", 0, False, NEVER),
        ("MemoryRaised", 0, False, NEVER),
        ("SlotLost", 10, False, NEVER),
        ("OutputLost", 10, False, NEVER),
        ("MachineFailed", 10, False, NEVER),
        ("NeverSpooled", 10, False, NEVER),
        ("EvictedEarly", 10, True, NEVER),
        ("HeldByPolicy", 600, True, 1),
        ("HeldBySite", 600, True, 1),
        ("CredentialInvalid", 600, True, 1),
        ("PolicyBroken", 600, True, 1),
        ("Held", 10, True, 2),
        ("AccessPointFiles", 10, True, 2),
        ("MachineRefused", 10, True, 3),
        ("OutOfResources", 10, True, 3),
        ("RemovedByOthers", 10, True, 3),
        ("BadImage", 10, True, 2),
        ("NeverStarted", 10, True, 5),
        ("TransferFailed", 10, True, 5),
        ("VacatedByPolicy", 10, True, 5),
        ("WorkerFailed", 10, True, 5),
        ("WorkerKilled", 10, True, 5),
        ("EndedEarly", 10, True, 5),
    ],
)
def test_what_follows(reason: str, pause: int, doubles: bool, stops_after: int | None) -> None:
    def after(events: int) -> backoff.Backoff:
        found = failed(reason, (f"node{number}" for number in range(events)))
        return backoff.after(found, (), POLICY, NOW)

    assert (after(1).until or NOW) - NOW == pause
    if stops_after != 1:
        assert (after(2).until or NOW) - NOW == {False: pause, True: 600 if stops_after == 2 else 20}[doubles]
    stops = [events for events in range(1, 9) if after(events).stalled is not None]
    assert stops[:1] == ([] if stops_after is None else [stops_after])


def test_every_end_is_in_the_table_above() -> None:
    ends = {line.reason for line in failure_policy.HOLD_CODES.values() if line.action is HoldAction.REPLACE}
    ends |= {*failure_policy.VACATE_CODES.values(), *failure_policy.BY_REASON}
    (mark,) = (mark for mark in test_what_follows.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert ends - {row[0] for row in mark.args[1]} == {reasons.ANCHOR_REMOVED}
