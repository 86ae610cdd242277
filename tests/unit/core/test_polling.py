"""Whom to ask, and how often."""

import pytest

from htcdask_operator.core.model import Job, JobStatus
from htcdask_operator.core.polling import Heard, PollIntervals, lease_is_behind
from tests.builders import IDENTITY, NOW, make_job

INTERVALS = PollIntervals(active_seconds=1.0, quiet_seconds=15.0)


@pytest.mark.parametrize(
    ("moving", "workers", "seconds"),
    [(True, True, 1.0), (True, False, 1.0), (False, True, 5.0), (False, False, 15.0)],
)
def test_the_access_point_is_asked_as_often_as_something_may_happen(
    moving: bool, workers: bool, seconds: float
) -> None:
    assert INTERVALS.interval(moving=moving, workers=workers) == seconds


def test_a_scheduler_is_asked_at_each_look_while_workers_come_or_go_and_else_now_and_then() -> None:
    heard = Heard(asked_at=100.0)
    assert heard.is_due(INTERVALS, 101.0, unsettled=True)
    assert not heard.is_due(INTERVALS, 104.0, unsettled=False)
    assert heard.is_due(INTERVALS, 105.0, unsettled=False)
    assert Heard().is_due(INTERVALS, 0.0, unsettled=False), "one that was never asked"


def test_a_silent_scheduler_is_asked_less_and_less_often_until_it_answers() -> None:
    heard, pauses = Heard(asked_at=0.0), []
    for _ in range(6):
        heard = heard.answered(3.0, failed=True)
        pauses.append(next(now for now in range(100) if heard.is_due(INTERVALS, now, unsettled=True)))
    assert pauses == [1, 2, 4, 8, 15, 15]
    assert heard.answered(0.1, failed=False).is_due(INTERVALS, 0.0, unsettled=True)


def test_it_takes_two_good_answers_to_make_up_for_a_slow_one_and_ten_at_most_for_many() -> None:
    heard = Heard().answered(1.5, failed=False)
    assert (heard.silent, heard.trouble) == (0, 2)
    assert heard.answered(0.1, failed=False).answered(0.1, failed=False).trouble == 0
    for _ in range(20):
        heard = heard.answered(0.0, failed=True)
    assert heard.trouble == 10


@pytest.mark.parametrize(
    ("job", "behind"),
    [
        (make_job(lease=NOW + 2399), False),
        (make_job(lease=NOW + 1801), False),
        (make_job(lease=NOW + 1799), True),
        (make_job(lease=NOW - 1), True),
        (make_job(status=JobStatus.RUNNING, lease=NOW + 1799), True),
        (make_job(lease=None), False),
        (make_job(status=JobStatus.REMOVED, lease=NOW), False),
        (make_job(status=JobStatus.COMPLETED, lease=NOW), False),
        (make_job(lease=NOW, owner="somebody@else"), False),
    ],
    ids=[
        "renewed in time",
        "once missed",
        "behind",
        "over",
        "behind, and runs",
        "none",
        "goes",
        "went",
        "foreign",
    ],
)
def test_a_lease_that_no_renewal_has_reached_is_behind(job: Job, behind: bool) -> None:
    assert lease_is_behind([job], IDENTITY, 3600, NOW) is behind
