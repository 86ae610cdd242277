"""Another operator on the same jobs: what gives it away, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core.model import UNKNOWN_TIME, Job
from htcdask_operator.core.rivals import Renewals
from tests.builders import NOW, make_job

LEASE = 3600.0


def job(lease: float | None, number: int = 1) -> Job:
    return make_job(f"w{number}", queued_at=NOW, lease=lease)


@pytest.mark.parametrize(
    ("before", "after", "ours", "disputed"),
    [
        ([job(NOW + 100)], [job(NOW + 100)], (), False),
        ([job(NOW + 100)], [job(NOW + 3700)], (), True),
        ([job(NOW + 100)], [job(NOW + 3700)], (NOW + 3700,), False),
        ([job(NOW + 100)], [job(NOW + 3702)], (NOW + 3700,), False),  # whole seconds, and clocks
        ([job(NOW + 100)], [job(NOW + 3720)], (NOW + 3700,), True),
        ([job(NOW + 100)], [job(NOW + 3700)], (NOW + 4900, NOW + 3700), False),  # an answer that was late
        ([job(NOW + 3700)], [job(NOW + 100)], (), False),
        ([], [job(NOW + 3700)], (), False),  # a new one
        ([job(NOW + 100)], [], (), False),
        ([job(None)], [job(NOW + 3700)], (), False),
        ([job(NOW + 100)], [job(None)], (), False),
        ([job(NOW + 100)], [job(NOW + 100), job(NOW + 3700, 2)], (), False),
        ([job(NOW + 100), job(NOW + 100, 2)], [job(NOW + 100), job(NOW + 3700, 2)], (), True),
        ([job(NOW + 100)], [replace(job(NOW + 185), queued_at=NOW + 85)], (), False),  # a clock was set
        ([job(NOW + 100)], [replace(job(NOW + 9999), queued_at=UNKNOWN_TIME)], (), False),
    ],
)
def test_a_lease_that_goes_on_without_us(
    before: list[Job], after: list[Job], ours: tuple[float, ...], disputed: bool
) -> None:
    seen = Renewals(ours=ours).look(before, NOW).look(after, NOW + 1)
    assert (seen.dispute(NOW + 1, LEASE) is not None) == disputed


def test_the_sign_fades_when_there_is_no_new_one() -> None:
    seen = Renewals().look([job(NOW + 100)], NOW).look([job(NOW + 3700)], NOW + 1)
    assert seen.dispute(NOW + LEASE / 2, LEASE) is not None
    assert seen.dispute(NOW + 1 + LEASE / 2, LEASE) is None
    again = seen.look([job(NOW + 4900)], NOW + 1200)
    assert again.dispute(NOW + 1 + LEASE / 2, LEASE) is not None


def test_of_our_own_renewals_only_the_last_are_remembered() -> None:
    renewals = Renewals()
    for number in range(1000):
        renewals = renewals.renewed(NOW + number)
    assert renewals.ours[0] == NOW + 999
    assert len(renewals.ours) == 8


def seen_by(clock: float, renewed: float) -> Job:
    """The job as a clock shows it that is so far off; its lease was renewed until then, by our clock."""
    return replace(job(renewed + clock), queued_at=NOW + clock)


@pytest.mark.parametrize("moved", [-600.0, -8.0, 8.0, 600.0])
def test_our_own_renewal_is_ours_although_the_clocks_are_compared_anew_before_it_shows(moved: float) -> None:
    """The access point's clock was set meanwhile, or was measured badly while it was slow to answer."""
    renewals = Renewals().look([seen_by(0, NOW + 100)], NOW).renewed(NOW + 3700)
    shown = renewals.look([seen_by(moved, NOW + 3700)], NOW + 1)
    assert shown.dispute(NOW + 1, LEASE) is None
    late = renewals.look([seen_by(moved, NOW + 100)], NOW + 1).look([seen_by(moved, NOW + 3700)], NOW + 9)
    assert late.dispute(NOW + 9, LEASE) is None
    other = renewals.look([seen_by(moved, NOW + 4000)], NOW + 1)
    assert other.dispute(NOW + 1, LEASE) is not None
