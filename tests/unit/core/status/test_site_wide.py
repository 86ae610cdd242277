"""What many pools say at once is one trouble of the site; what is a user's own never is."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from htcdask_api import Condition, Failure, PoolStatus
from htcdask_operator.core import timestamps
from htcdask_operator.core.status import site_wide
from htcdask_operator.core.status.events import Event
from htcdask_operator.core.status.site_wide import Fate, Seen, Trouble
from tests.builders import NOW

WHY = "HTCondor's queue cannot be seen: no route"
SILENT = {"CondorReachable": ("False", "CondorUnreachable")}


def says(conditions: Mapping[str, tuple[str, str]] = {}, message: str = WHY, **fields: object) -> PoolStatus:
    told = tuple(
        Condition(
            type=kind,
            status=truth,  # type: ignore[arg-type]
            reason=reason,
            message=message,
            last_transition_time="2026-01-01T00:00:00Z",
        )
        for kind, (truth, reason) in conditions.items()
    )
    return PoolStatus(conditions=told, **fields)  # type: ignore[arg-type]


def failed(reason: str, ago: float = 60.0, connected: int = 0, desired: int = 2) -> PoolStatus:
    failure = Failure(time=timestamps.written(NOW - ago), worker="w1", reason=reason, message="It died.")
    return PoolStatus(recent_failures=(failure,), desired_replicas=desired, connected=connected)


def pools(
    count: int, status: PoolStatus, clusters: int = 100, users: int = 100, first: int = 0
) -> list[Seen]:
    return [
        Seen(f"gateway/c{number % clusters}", f"user{number % users}", status)
        for number in range(first, first + count)
    ]


OVER = {"Ready": ("True", "Ended"), **SILENT}
ENDED = says({"Ready": ("True", "Ended")})
GOOD = says({"CondorReachable": ("True", "CondorReachable")}, desired_replicas=2)
STALLED = says({"Stalled": ("True", "SubmitRefused")}, desired_replicas=2)


@pytest.mark.parametrize(
    ("seen", "reasons"),
    [
        (pools(5, says(SILENT)), {"CondorUnreachable"}),
        (pools(4, says(SILENT)), set()),
        (pools(4, says(SILENT)) + pools(9, says(OVER), first=4), set()),
        (pools(5, says(SILENT)) + pools(90, ENDED, first=5), {"CondorUnreachable"}),
        (pools(5, says(SILENT), clusters=3), {"CondorUnreachable"}),
        (pools(5, says(SILENT), clusters=2), set()),
        (pools(5, says(SILENT)) + pools(5, GOOD, first=5), {"CondorUnreachable"}),
        (pools(5, says(SILENT)) + pools(6, GOOD, first=5), set()),
        (pools(5, says(SILENT), users=1), {"CondorUnreachable"}),  # nobody's own doing
        (pools(5, says({"CondorReachable": ("Unknown", "CondorIdentityUnknown")})), {"CondorUnreachable"}),
        (pools(5, STALLED), {"SubmitRefused"}),
        (pools(5, STALLED, users=1), set()),  # a template that the access point refuses, in all pools of one
        (pools(64, STALLED, users=2), set()),  # of two, with nobody else there
        (pools(5, STALLED, users=3), {"SubmitRefused"}),
        (pools(5, STALLED, users=3) + pools(3, GOOD, first=97), {"SubmitRefused"}),
        (pools(64, STALLED, users=3) + pools(4, GOOD, first=96), set()),  # most pools, of the fewest users
        (pools(5, STALLED) + [Seen(f"gateway/d{n}", "user99", GOOD) for n in range(200)], {"SubmitRefused"}),
        ([replace(pool, user="") for pool in pools(9, STALLED)], set()),  # nobody knows whose they are
        (
            pools(5, STALLED) + pools(50, says(), first=5),
            {"SubmitRefused"},
        ),  # pools without workers cannot have it
        (pools(5, failed("WorkerFailed")), {"WorkerFailed"}),
        (pools(5, failed("WorkerFailed", connected=1)), set()),
        (pools(5, failed("WorkerFailed", ago=1300)), set()),
        (pools(5, failed("WorkerFailed", desired=0)), set()),  # nobody waits for it
        (pools(5, failed("OutOfResources")), set()),  # of each by its own doing, however many
        (pools(5, failed("Evicted")), set()),
        (pools(5, says({"Ready": ("False", "InvalidPool")})), set()),
        (pools(5, says({"Ready": ("True", "CondorUnreachable")})), set()),
        ([], set()),
    ],
)
def test_it_takes_enough_pools_of_enough_clusters(seen: list[Seen], reasons: set[str]) -> None:
    standing, told = site_wide.look({}, seen, NOW)
    assert set(standing) == reasons
    assert {event.reason for event in told} == reasons


def test_it_is_told_once_with_numbers_and_the_words_of_most_and_no_name() -> None:
    seen = pools(280, says(SILENT), users=41) + pools(3, says(SILENT, "otherwise"), users=41, first=280)
    standing, told = site_wide.look({}, [*seen, *pools(17, GOOD, first=283)], NOW)
    (event,) = told
    assert (event.kind, event.reason) == ("Warning", "CondorUnreachable")
    assert event.message.startswith(
        "283 of 300 pools, of 41 users, have told of CondorUnreachable by 2027-01-15T08:00:00Z: "
    )
    assert WHY in event.message
    assert "otherwise" not in event.message
    assert "user1" not in event.message.replace("users", "")
    assert "c1" not in event.message
    assert site_wide.look(standing, seen, NOW + 60)[1] == ()


def printing(number: int, text: str) -> PoolStatus:
    worker = f"a0000000000{number % 10}"
    failure = Failure(
        time=timestamps.written(NOW - 60),
        worker=worker,
        reason="WorkerFailed",
        message=f"Worker {worker} {text}",
    )
    return PoolStatus(recent_failures=(failure,), desired_replicas=1)


def test_one_hostile_user_and_a_clumsy_one_are_no_trouble_of_the_site_and_mute_nobody() -> None:
    hostile = [Seen(f"gateway/m{n}", "mallory", printing(n, "ended. It said: Ring me.")) for n in range(64)]
    seen = [*hostile, Seen("gateway/b", "bob", printing(1, "ended.")), *pools(60, GOOD)]
    assert site_wide.look({}, seen, NOW) == ({}, ())
    carols = Event("Warning", "WorkerFailed", "It died.", about="WorkerFailed")
    assert site_wide.fate(carols, NOW, {}, {}, {"WorkerFailed": ""}, NOW + 30) is Fate.POST


def test_what_several_users_share_is_quoted_without_what_workers_printed_and_their_names() -> None:
    seen = [
        Seen(f"gateway/c{n}", f"user{n}", printing(n, f"ended with exit code 1. It said: Ring {n}."))
        for n in range(5)
    ]
    _, (event,) = site_wide.look({}, seen, NOW)
    assert "WorkerFailed by 2027-01-15T08:00:00Z: Worker ended with exit code 1. Their own" in event.message


def test_of_what_users_may_bring_about_one_users_words_are_not_quoted_in_however_many_pools() -> None:
    loud = [Seen(f"gateway/m{n}", "mallory", says({"Stalled": ("True", "SubmitRefused")})) for n in range(64)]
    others = [
        Seen(f"gateway/c{n}", f"user{n}", says({"Stalled": ("True", "SubmitRefused")}, f"No {n}."))
        for n in range(5)
    ]
    _, (event,) = site_wide.look({}, [*loud, *others], NOW)
    assert ": no 3 of them in the same words. Their own" in event.message
    assert WHY not in event.message


def test_a_user_alone_keeps_no_trouble_standing_that_mutes_the_others() -> None:
    standing, _ = site_wide.look({}, pools(6, STALLED, users=3), NOW)
    alone = [Seen(f"gateway/m{n}", "user0", STALLED) for n in range(64)]
    standing, (over,) = site_wide.look(standing, [*alone, *pools(2, GOOD, first=1)], NOW + 200)
    assert standing == {}
    assert over.reason == "SiteTroubleOver"


def test_it_is_over_once_it_has_been_calm_for_two_minutes_and_says_how_long_it_was() -> None:
    standing, _ = site_wide.look({}, pools(8, says(SILENT)), NOW)
    standing, _ = site_wide.look(standing, pools(12, says(SILENT)), NOW + 600)
    calm = pools(12, GOOD)
    standing, told = site_wide.look(standing, calm, NOW + 719)
    assert (set(standing), told) == ({"CondorUnreachable"}, ())
    standing, (event,) = site_wide.look(standing, calm, NOW + 720)
    assert standing == {}
    assert (event.kind, event.reason) == ("Normal", "SiteTroubleOver")
    assert event.message.startswith(
        "CondorUnreachable is over. It was seen for 10 min, from 2027-01-15T08:00:00Z on, of 12 pools"
    )
    assert WHY in event.message


def test_what_comes_and_goes_is_one_trouble() -> None:
    standing, told = site_wide.look({}, pools(8, says(SILENT)), NOW)
    for minute in range(1, 30):
        seen = pools(8, GOOD if minute % 2 else says(SILENT))
        standing, more = site_wide.look(standing, seen, NOW + 60 * minute)
        told = (*told, *more)
    assert len(told) == 1


def test_it_lasts_while_a_quarter_has_it_and_not_for_the_last_one_alone() -> None:
    standing, _ = site_wide.look({}, pools(8, says(SILENT)), NOW)
    few = pools(2, says(SILENT)) + pools(6, GOOD, first=2)
    standing, told = site_wide.look(standing, few, NOW + 1000)
    assert (set(standing), told) == ({"CondorUnreachable"}, ())
    alone = pools(1, says(SILENT)) + pools(7, GOOD, first=1)
    standing, told = site_wide.look(standing, alone, NOW + 2000)
    assert standing == {}
    assert len(told) == 1


def test_what_stands_is_told_again_every_half_hour_as_an_event_lives_for_one() -> None:
    standing, _ = site_wide.look({}, pools(12, says(SILENT)), NOW)
    told = []
    for minute in range(1, 181):
        seen = pools(9, says(SILENT, f"Silent for {minute} min."))
        standing, more = site_wide.look(standing, seen, NOW + 60 * minute)
        told += [(minute, event) for event in more]
    assert [minute for minute, _ in told] == [30, 60, 90, 120, 150, 180]
    event = told[1][1]
    assert (event.kind, event.reason) == ("Warning", "CondorUnreachable")
    assert event.message.startswith(
        "CondorUnreachable stands, by 2027-01-15T09:00:00Z for 60 min: 9 pools now, 12 at the most. "
        "Silent for 60 min. Their own"
    )
    _, (over,) = site_wide.look(standing, pools(12, GOOD), NOW + 60 * 180 + 120)
    assert over.reason == "SiteTroubleOver"


def test_other_troubles_stand_beside_it() -> None:
    standing, _ = site_wide.look({}, pools(8, says(SILENT)), NOW)
    both = pools(8, says(SILENT | {"Stalled": ("True", "SubmitRefused")}, desired_replicas=1))
    standing, told = site_wide.look(standing, both, NOW + 60)
    assert set(standing) == {"CondorUnreachable", "SubmitRefused"}
    assert [event.reason for event in told] == ["SubmitRefused"]


@pytest.mark.parametrize(("event", "words"), [("BAD", WHY), ("BACK", "it was over before it was seen.")])
def test_what_was_over_before_anybody_looked_is_two_events_too(event: str, words: str) -> None:
    """A moment between two looks; or it ended while there was no operator: the statuses said it."""
    had = site_wide.lately([{"BAD": BAD, "BACK": BACK}[event]])
    seen = [replace(pool, lately=had) for pool in pools(8, GOOD)]
    standing, (began,) = site_wide.look({}, seen, NOW)
    assert began.message.startswith("8 of 8 pools, of 8 users, have told of CondorUnreachable by ")
    assert words in began.message
    assert set(standing) == {"CondorUnreachable"}
    standing, (over,) = site_wide.look(standing, seen, NOW + 120)
    assert standing == {}
    assert over.reason == "SiteTroubleOver"


def test_of_a_pools_events_the_words_are_those_of_the_trouble() -> None:
    assert site_wide.lately([BAD, BACK]) == {"CondorUnreachable": WHY}
    assert site_wide.lately([BACK, BAD]) == {"CondorUnreachable": WHY}
    assert site_wide.lately([Event("Normal", "Scaled", "More.")]) == {}


STANDS = {"CondorUnreachable": Trouble(NOW, NOW, NOW, 9, WHY)}
BAD = Event("Warning", "CondorUnreachable", WHY, about="CondorUnreachable")
BACK = Event("Normal", "CondorReachable", "Submitting as x.", about="CondorUnreachable")
OTHER = Event("Warning", "SubmitRefused", "No.", about="SubmitRefused")
HAS = {"CondorUnreachable": WHY}


@pytest.mark.parametrize(
    ("event", "before", "standing", "says", "after", "fate"),
    [
        (BAD, {}, {}, HAS, 29, Fate.WAIT),
        (BAD, {}, {}, HAS, 30, Fate.POST),
        (BAD, {}, STANDS, HAS, 3000, Fate.WAIT),
        (BACK, STANDS, STANDS, {}, 3000, Fate.WAIT),
        (BAD, STANDS, {}, HAS, 3000, Fate.POST),  # it is alone with it
        (BAD, STANDS, {}, {}, 3000, Fate.DROP),
        (BACK, STANDS, {}, {}, 3, Fate.DROP),
        (OTHER, STANDS, STANDS, HAS, 30, Fate.POST),
        (OTHER, STANDS, {}, HAS, 3, Fate.WAIT),
    ],
)
def test_a_pools_own_event_waits_and_then_is_posted_or_not(
    event: Event,
    before: Mapping[str, Trouble],
    standing: Mapping[str, Trouble],
    says: Mapping[str, str],
    after: float,
    fate: Fate,
) -> None:
    assert site_wide.fate(event, NOW, before, standing, says, NOW + after) is fate
