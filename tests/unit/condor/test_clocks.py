"""How far the access point's clock is ahead of ours."""

from __future__ import annotations

import pytest

from htcdask_operator.condor.clocks import lease, offset, sent


@pytest.mark.parametrize(
    ("known", "server", "asked", "answered", "found"),
    [
        (0.0, 1000, 1000.25, 1000.5, 0.0),
        (0.0, 999, 1001.5, 1002.0, 0.0),  # less than is worth a move
        (0.0, 1004, 1001.0, 1001.0, 0.0),
        (0.0, 1005, 1001.0, 1001.0, 4.5),
        (0.0, 915, 1000.0, 1000.0, -84.5),
        (-84.5, 917, 1000.0, 1000.0, -84.5),  # it stays
        (-84.5, 1000, 1000.0, 1000.0, 0.5),  # somebody set the access point's clock
        (0.0, 915, 1000.0, 1030.0, -99.5),  # a slow answer tells less
        (-99.5, 945, 1030.0, 1030.0, -84.5),
        (-84.5, 930, 1000.0, 1030.0, -84.5),  # and never unsettles what is known better
        (-84.5, None, 1000.0, 1000.0, -84.5),
    ],
)
def test_the_offset_moves_only_when_it_is_wrong(
    known: float, server: float | None, asked: float, answered: float, found: float
) -> None:
    assert offset(known, server, asked, answered) == found


def test_an_offset_never_flaps() -> None:
    ahead = 0.0
    seen = set()
    for step in range(1000):
        now = 1000 + step * 0.37
        ahead = offset(ahead, int(now - 85), now, now + (step % 7) * 0.1)
        seen.add(ahead)
    assert len(seen) == 1


def test_a_lease_is_sent_by_the_access_points_clock() -> None:
    assert lease(5000.2, -85.0) == "4916"
    description = {"My.HTCDaskLease": "5000", "arguments": "5000"}
    assert sent(description, -85.0) == {"My.HTCDaskLease": "4915", "arguments": "5000"}


def test_the_turn_of_a_successor_is_by_the_access_point_s_clock_also_in_its_arguments() -> None:
    description = {
        "My.HTCDaskConnectsAt": "1000",
        "arguments": '"-p -s $(wname) 1000"',
        "My.HTCDaskLease": "5",
    }
    assert sent(description, 300.0) == {
        "My.HTCDaskConnectsAt": "1300",
        "arguments": '"-p -s $(wname) 1300"',
        "My.HTCDaskLease": "305",
    }
