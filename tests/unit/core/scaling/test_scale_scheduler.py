"""What the scheduler is told to want, for its Manual pools, and how often."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_api import PoolStatus, SchedulerTold
from htcdask_operator.core.actions import ScaleScheduler
from htcdask_operator.core.model import Gone, JobStatus, Observed, PoolFacts
from htcdask_operator.core.scaling import scale_scheduler
from htcdask_operator.core.scaling.scale_scheduler import LastScale
from htcdask_operator.core.scaling.stabilization import Demand
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    NOW,
    make_cluster,
    make_memory,
    make_observed,
    make_pool,
    make_template,
    plan_for,
)
from tests.unit.core.planned import POLICY, removed
from tests.unit.core.scaling.pools import GATEWAY, decided, manual, seen, submitted, told, workers


def word(count: int, before: int = 0, at: str = "") -> ScaleScheduler:
    """What a scheduler was told."""
    return ScaleScheduler("manual", count, before, "SchedulerTold", "It is told.", before, at)


@pytest.mark.parametrize(
    ("pools", "wanted", "expected"),
    [
        ([manual(3)], 0, [3]),
        ([manual(3)], 3, []),
        ([manual(3)], 5, [3]),
        ([manual(0)], 2, [0]),
        ([manual(1), manual(2, "second")], 0, [3]),
        ([GATEWAY, manual(3)], 0, [3]),
        ([GATEWAY, manual(3)], 3, []),
        ([GATEWAY, manual(3)], 8, []),
        ([GATEWAY], 8, []),
        ([manual(3, deleting=True)], 0, []),
        ([manual(3, template=make_template(profile="none"))], 0, []),
    ],
    ids=[
        "a Manual pool alone, and nobody scaled",
        "it knows already",
        "it wants more than there is",
        "down to nothing",
        "two Manual pools",
        "less than the Manual pool beside a Gateway pool",
        "no less",
        "the rest is the Gateway pool's",
        "no Manual pool",
        "a deleted pool asks for nothing",
        "nor does one that cannot have workers",
    ],
)
def test_the_scheduler_is_told_what_the_manual_pools_need(
    pools: list[PoolFacts], wanted: int, expected: list[int]
) -> None:
    assert told(decided(pools, seen(pools, make_cluster(wanted), []))) == expected


def test_it_is_told_at_most_once_in_ten_seconds_and_workers_wait_for_its_answer() -> None:
    pools = [manual(3)]
    observed = seen(pools, make_cluster(0), [])
    first = decided(pools, observed)
    assert (told(first), submitted(first)) == ([3], {})
    waiting = plan_for(pools, observed, POLICY, NOW, last_scale=LastScale(3, NOW - 4))
    assert (waiting.actions, waiting.wake_at) == ((), NOW + 6)
    assert told(decided(pools, observed, last_scale=LastScale(3, NOW - 10))) == [3]
    assert submitted(decided(pools, seen(pools, make_cluster(3), []))) == {"manual": 3}


def test_it_is_told_nothing_while_somebodys_number_may_be_on_its_way() -> None:
    pools = [manual(3)]
    observed = seen(pools, make_cluster(0), [])
    waiting = plan_for(pools, observed, POLICY, NOW, demand=Demand(0, NOW - 1, 0))
    assert (waiting.actions, waiting.wake_at) == ((), NOW + 1)
    assert told(plan_for(pools, observed, POLICY, NOW + 1, waiting.memory).actions) == [3]


def test_a_new_manual_pool_speaks_over_nobodys_number() -> None:
    """A notebook adds a pool and scales its cluster in the same moment."""
    pools, nothing = [manual(1), make_pool("gateway")], make_cluster(0)
    first = plan_for(pools, seen(pools, nothing, []), POLICY, NOW, make_memory(nothing))
    assert (told(first.actions), first.wake_at) == ([], NOW + 2)
    # The notebook's own number comes by the next heartbeat, and is enough for the pool.
    scaled = plan_for(pools, seen(pools, make_cluster(3), []), POLICY, NOW + 2, first.memory)
    assert told(scaled.actions) == []
    alone = plan_for(pools, seen(pools, nothing, []), POLICY, NOW + 2, first.memory)
    assert told(alone.actions) == [1]


@pytest.mark.parametrize(
    ("replicas", "last", "expected"),
    [
        (0, LastScale(5, NOW - 60, before=2), [2]),
        (3, LastScale(5, NOW - 60, before=2), [3]),
        (0, LastScale(5, NOW - 60, before=7), []),
        (0, LastScale(4, NOW - 60, before=2), []),
        (0, None, []),
    ],
    ids=[
        "taken back",
        "as far as it is not needed",
        "no more than was told",
        "somebody has scaled it",
        "not ours",
    ],
)
def test_what_it_was_told_for_a_manual_pool_is_taken_back_with_it(
    replicas: int, last: LastScale | None, expected: list[int]
) -> None:
    """Else the pool that follows the gateway would get workers that nobody asked for."""
    pools = [GATEWAY, manual(replicas)]
    observed = seen(pools, make_cluster(5), workers("gateway", max(0, 2 - replicas)))
    assert told(plan_for(pools, observed, POLICY, NOW, last_scale=last).actions) == expected


def test_what_is_taken_back_is_no_more_than_its_own_number_for_the_other_pool() -> None:
    """Its workers are not the scheduler's to choose from: it might retire the Manual pool's."""
    pools, last = [GATEWAY, manual(3)], LastScale(5, NOW - 60, before=2, taken=True)
    jobs = [*workers("gateway", 2), *workers("manual", 3)]
    now = decided(pools, seen(pools, make_cluster(5), jobs), last_scale=last)
    assert (sorted(removed(now)), told(now)) == (["gateway0.0", "gateway1.0"], [])
    left = seen(pools, make_cluster(5), workers("manual", 3))
    assert told(decided(pools, left, last_scale=last)) == [3]


def test_a_manual_pool_that_is_deleted_leaves_nobody_its_number() -> None:
    """scale(1), a pool of three, and its end: the first pool has one worker, and never three."""
    gone = manual(3, deleting=True)
    last = LastScale(3, NOW - 60, before=1, taken=True)
    leaves = seen([GATEWAY], make_cluster(3), workers("manual", 3))
    ending = decided([GATEWAY, gone], leaves, last_scale=last)
    assert (submitted(ending), told(ending)) == ({}, []), "there is room only when they have left"
    nobody = seen([GATEWAY], make_cluster(3), [])
    after = plan_for([GATEWAY], nobody, POLICY, NOW, last_scale=last)
    assert (submitted(after.actions), told(after.actions)) == ({"gateway": 1}, [1])
    (action,) = [action for action in after.actions if isinstance(action, ScaleScheduler)]
    assert action.pool == "gateway" and action.before == 1
    assert "as before its Manual pools" in action.message


@pytest.mark.parametrize("numbers", [(3, 4, 3), (3, 1, 3), (3, 0, 0, 3)])
def test_a_number_that_somebody_says_later_is_theirs_also_where_it_is_ours(numbers: tuple[int, ...]) -> None:
    last: LastScale | None = LastScale(3, NOW - 60, before=1)
    for number in numbers:
        last = scale_scheduler.seen(last, make_cluster(number), NOW)
    observed = seen([GATEWAY], make_cluster(3), [])
    planned = plan_for([GATEWAY], observed, POLICY, NOW, last_scale=last)
    assert (submitted(planned.actions), told(planned.actions)) == ({"gateway": 3}, [])


def test_what_was_told_in_vain_is_told_again() -> None:
    """The scheduler was down when it should have heard that the Manual pool is gone."""
    told_first = LastScale(3, NOW - 60, before=1, taken=True)
    lost = scale_scheduler.after(told_first, word(1, 1), NOW - 30)
    assert scale_scheduler.seen(lost, make_cluster(3), NOW) is lost
    again = plan_for([GATEWAY], seen([GATEWAY], make_cluster(3), []), POLICY, NOW, last_scale=lost)
    assert (submitted(again.actions), told(again.actions)) == ({"gateway": 1}, [1])
    twice = scale_scheduler.after(lost, word(1, 1), NOW - 20)
    assert twice.stands(3) and twice.times == 2
    # A number that somebody says meanwhile is theirs, and so is the old one after it.
    moved = scale_scheduler.seen(scale_scheduler.seen(twice, make_cluster(5), NOW), make_cluster(3), NOW)
    assert moved is not None and not moved.stands(3) and moved.stands(1)
    over = replace(told_first, over=True)
    assert not scale_scheduler.after(over, word(4, 3), NOW).stands(3)


def test_a_word_that_has_not_arrived_is_not_over() -> None:
    last: LastScale | None = LastScale(3, NOW - 60, before=1)
    for number in (1, 1, 3, 3):
        last = scale_scheduler.seen(last, make_cluster(number), NOW)
    assert last is not None and last.stands(3)
    assert not last.stands(1)


@pytest.mark.parametrize(
    ("last", "replicas", "expected"),
    [
        (LastScale(4, NOW, before=1), 4, (4, 1)),
        (LastScale(4, NOW, before=1), 1, (4, 1)),
        (LastScale(2, NOW, before=1, instead=4), 4, (4, 1)),
        (LastScale(2, NOW, before=1, instead=4), 2, (2, 1)),
        (LastScale(1, NOW, before=1, instead=4), 4, (4, 1)),
        (LastScale(1, NOW, before=1, taken=True), 1, None),
        (LastScale(4, NOW, before=1, taken=True, over=True), 4, None),
        (None, 4, None),
    ],
    ids=[
        "it wants that",
        "it was just told",
        "it was told less in vain",
        "it was told less",
        "it was told its own number in vain",
        "it wants its own number again",
        "somebody has said another since",
        "it was told nothing",
    ],
)
def test_the_status_says_what_it_was_told(
    last: LastScale | None, replicas: int, expected: tuple[int, int] | None
) -> None:
    pools = [GATEWAY, manual(replicas)]
    planned = plan_for(pools, seen(pools, make_cluster(replicas), []), POLICY, NOW, last_scale=last)
    said = planned.statuses["gateway"].scheduler_told
    assert (said and (said.replicas, said.before)) == expected
    assert planned.statuses["manual"].scheduler_told is None, "it is about the pool that gets none of it"
    silent = plan_for(
        [replace(GATEWAY, status=PoolStatus(scheduler_told=said))], make_observed(API_SILENT), POLICY, NOW
    )
    assert silent.statuses["gateway"].scheduler_told == said


def test_the_next_operator_takes_back_what_the_last_one_told() -> None:
    told_before = PoolStatus(scheduler_told=SchedulerTold(replicas=3, before=1))
    pool = replace(GATEWAY, status=told_before)
    after = plan_for([pool], seen([pool], make_cluster(3), []), POLICY, NOW)
    assert submitted(after.actions) == {"gateway": 1}
    assert after.wake_at is not None and after.wake_at <= NOW + 10, "the last word may have been a moment ago"
    again = plan_for([pool], seen([pool], make_cluster(3), []), POLICY, NOW + 10, after.memory)
    assert told(again.actions) == [1]
    # With another number, or in another cluster, it is somebody else's wish.
    later = scale_scheduler.read([told_before], make_cluster(5), NOW)
    assert later is None, "also once it is that number again"
    for cluster, its in ((make_cluster(4), pool), (make_cluster(3), replace(pool, owner_uid="another"))):
        other = plan_for([its], seen([its], cluster, []), POLICY, NOW)
        assert told(other.actions) == []


def test_a_word_that_never_arrived_is_nobody_s_after_ten_minutes() -> None:
    """Somebody who says that number then has said it."""
    lost = LastScale(3, NOW - 599, before=1)
    assert scale_scheduler.seen(lost, make_cluster(1), NOW) == lost
    over = scale_scheduler.seen(lost, make_cluster(1), NOW + 1)
    assert over is not None and over.over and scale_scheduler.written(over, make_cluster(1)) is None


def test_what_it_is_told_says_that_adapt_ends() -> None:
    (action,) = [a for a in decided([manual(3)], make_observed()) if isinstance(a, ScaleScheduler)]
    assert (action.pool, action.reason) == ("manual", "SchedulerTold")
    assert "3 workers" in action.message and "ends adapt()" in action.message


def test_it_is_not_told_more_than_the_gateway_lets_through() -> None:
    cluster = make_cluster(2, config={"cluster_max_workers": 2})
    assert told(decided([manual(1), manual(2, "second")], make_observed(cluster))) == []


@pytest.mark.parametrize(
    "observed",
    [make_observed(jobs=ACCESS_POINT_SILENT), make_observed(API_SILENT), make_observed(Gone())],
)
def test_it_is_told_nothing_on_what_is_not_seen(observed: Observed) -> None:
    assert told(decided([manual(3)], observed)) == []


def test_the_scheduler_is_told_of_less_when_our_own_surplus_has_left() -> None:
    pools = [manual(1)]
    jobs = workers("manual", 3)
    first = decided(pools, seen(pools, make_cluster(3), jobs))
    assert (removed(first), told(first)) == (["manual2.0", "manual1.0"], [])
    leaving = [jobs[0], *(replace(job, status=JobStatus.REMOVED) for job in jobs[1:])]
    observed = replace(seen(pools, make_cluster(3), leaving), connected=frozenset(job.worker for job in jobs))
    assert decided(pools, observed) == ()
    assert told(decided(pools, seen(pools, make_cluster(3), jobs[:1]))) == [1]


def test_a_scheduler_that_does_not_listen_is_told_less_and_less_often() -> None:
    pools, now, said = [manual(3)], NOW, []
    observed = seen(pools, make_cluster(0), [])
    before = None
    while now < NOW + 600:
        planned = plan_for(pools, observed, POLICY, now, last_scale=before)
        if told(planned.actions):
            said.append(now - NOW)
            before = scale_scheduler.after(before, word(3, 0), now)
        assert planned.wake_at is not None
        now = planned.wake_at
    assert said == [0, 10, 30, 70, 150, 270, 390, 510]
    assert scale_scheduler.after(before, word(4, 0), now).times == 1, "another number is another wish"


@pytest.mark.parametrize(
    ("pools", "replicas", "asked", "expected"),
    [
        ([GATEWAY], 5, 1, [1]),
        ([GATEWAY], 5, 5, []),
        ([GATEWAY], 0, 5, [5]),
        ([GATEWAY], 5, None, []),
        ([GATEWAY, manual(3)], 5, 1, [3]),
        ([GATEWAY, manual(3)], 5, 4, [4]),
        ([GATEWAY, manual(3)], 3, 4, [4]),
        ([GATEWAY, manual(3)], 0, None, [3]),
        ([GATEWAY, manual(3)], 5, None, []),
        ([manual(3)], 5, 5, [3]),
        ([manual(3)], 3, 5, []),
    ],
    ids=[
        "told for Manual pools that are gone, whoever told it",
        "just what it was told, and its user's own word",
        "its user's word was lost",
        "adapt() found it",
        "a smaller Manual pool",
        "as far as its user does not need it",
        "its user's is more than the Manual pool's",
        "adapt() found less than the Manual pool needs",
        "adapt() found more",
        "none follows: the Manual pool's alone",
        "nor is it told more",
    ],
)
@pytest.mark.parametrize("last", [None, LastScale(5, NOW - 60, before=2, taken=True), LastScale(0, NOW - 60)])
def test_it_is_told_what_its_user_asked_for_last_whatever_is_remembered(
    pools: list[PoolFacts], replicas: int, asked: int | None, expected: list[int], last: LastScale | None
) -> None:
    last = last and replace(last, word="before noon")
    observed = seen(pools, make_cluster(replicas, asked=asked, word="noon"), [])
    planned = plan_for(pools, observed, POLICY, NOW, last_scale=last)
    assert told(planned.actions) == expected
    for action in planned.actions:
        if isinstance(action, ScaleScheduler):
            assert (action.instead_of, action.word) == (replicas, "noon")
            assert ("as its user asked for last" in action.message) == (asked in expected)
            assert ("adapt()" in action.message) == (asked is None)


def test_the_first_pool_gets_what_its_user_asked_for_also_while_the_scheduler_wants_more() -> None:
    observed = seen([GATEWAY], make_cluster(5, asked=2, word="noon"), [])
    planned = plan_for([GATEWAY], observed, POLICY, NOW)
    assert submitted(planned.actions) == {"gateway": 2}
    assert planned.statuses["gateway"].scheduler_told is None, "the DaskCluster tells the next operator"


def test_its_user_is_not_given_more_than_the_gateway_lets_through() -> None:
    cluster = make_cluster(2, config={"cluster_max_workers": 2}, asked=9, word="noon")
    assert told(decided([GATEWAY], seen([GATEWAY], cluster, []))) == []


def test_after_adapt_the_next_operator_takes_back_what_was_told_since() -> None:
    """adapt() has found 1, and was ended by a number for Manual pools that are gone now."""
    said = PoolStatus(scheduler_told=SchedulerTold(replicas=3, before=1, word="noon"))
    pool = replace(GATEWAY, status=said)
    ours = seen([pool], make_cluster(3, asked=None, word="noon"), [])
    first = plan_for([pool], ours, POLICY, NOW)
    assert submitted(first.actions) == {"gateway": 1}
    assert first.statuses["gateway"].scheduler_told == said.scheduler_told
    assert told(plan_for([pool], ours, POLICY, NOW + 10, first.memory).actions) == [1]
    # adapt() again, and it has found just that number.
    theirs = seen([pool], make_cluster(3, word="at one"), [])
    for memory in (None, first.memory):
        again = plan_for([pool], theirs, POLICY, NOW + 10, memory)
        assert (submitted(again.actions), told(again.actions)) == ({"gateway": 3}, [])
        assert again.statuses["gateway"].scheduler_told is None


def test_a_word_on_its_way_is_kept_for_the_next_operator_whatever_it_replaces() -> None:
    """It lies in the socket of a scheduler that is busy."""
    cluster = make_cluster(1, asked=None, word="noon")
    back = LastScale(1, NOW - 60, before=1, taken=True, word="noon")
    again = scale_scheduler.after(back, word(5, 1, "noon"), NOW)
    assert scale_scheduler.seen(again, cluster, NOW + 6000) == again, "nobody else has said a word"
    assert scale_scheduler.written(again, cluster) == SchedulerTold(replicas=5, before=1, word="noon")
    status = PoolStatus(scheduler_told=scale_scheduler.written(again, cluster))
    known = scale_scheduler.read([status], cluster, NOW)
    assert known is not None and known.stands(5) and known.before == 1
