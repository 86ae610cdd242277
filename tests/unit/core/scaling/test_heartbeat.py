"""A cluster that has had too many workers is told so in time, once, by each of its pools."""

from htcdask_api import PoolStatus
from htcdask_operator.core.memory import ClusterMemory
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.core.plan import Plan, plan
from htcdask_operator.core.scaling.heartbeat import MANY, NAMES, Ended
from htcdask_operator.core.status.events import between
from tests.builders import ACCESS_POINT_SILENT, NOW, make_observed, make_policy, make_pool


def counting(uid: str = "pool-uid", finished: int = 0, failed: int = 0) -> PoolFacts:
    return make_pool(uid, status=PoolStatus(finished=finished, failed=failed))


def planned(*pools: PoolFacts, memory: ClusterMemory | None = None) -> Plan:
    return plan(pools, make_observed(jobs=[]), memory or ClusterMemory(), make_policy(), NOW)


def says_so(status: PoolStatus) -> bool:
    found = status.condition("HeartbeatFits")
    assert found is None or (found.status, found.reason) == ("False", "TooManyNames")
    return found is not None


def test_the_pools_of_a_cluster_count_together_what_finished_and_what_failed() -> None:
    few, many = counting("a", 20_000, 5_000), counting("b", 20_000, 4_000)
    assert {uid: says_so(status) for uid, status in planned(few, many).statuses.items()} == {
        "a": True,
        "b": True,
    }
    fewer = counting("b", 20_000, 3_999)
    assert not any(says_so(status) for status in planned(few, fewer).statuses.values())


def test_there_is_time_left_and_the_message_says_what_to_do() -> None:
    assert MANY * 4 <= NAMES * 3
    (status,) = planned(counting(finished=MANY)).statuses.values()
    condition = status.condition("HeartbeatFits")
    assert condition is not None
    assert "49,000" in condition.message
    assert "65,500" in condition.message
    assert "Start a new cluster" in condition.message


def test_it_is_one_event_for_good() -> None:
    before, after = counting(finished=MANY - 1), counting(finished=MANY)
    (old,) = planned(before).statuses.values()
    (new,) = planned(after).statuses.values()
    assert [event.reason for event in between(old, new)] == ["TooManyNames"]
    later = make_pool(status=new.model_copy(update={"finished": MANY + 7}))
    (status,) = planned(later).statuses.values()
    assert says_so(status)
    assert between(new, status) == ()


def test_what_pools_that_are_gone_have_had_and_a_status_that_was_wiped_still_count() -> None:
    first = planned(counting("a", MANY - 1), counting("b", 1))
    assert first.memory.ended.said
    gone = planned(counting("b", 1), memory=first.memory)
    assert says_so(gone.statuses["b"])
    none = planned(memory=gone.memory)
    assert none.memory.ended == Ended({}, MANY)
    wiped = planned(counting("a"), memory=planned(counting("a", MANY)).memory)
    assert says_so(wiped.statuses["a"])


def test_it_stays_while_nothing_is_seen() -> None:
    seen = make_observed(jobs=ACCESS_POINT_SILENT)
    (status,) = plan([counting(finished=MANY)], seen, ClusterMemory(), make_policy(), NOW).statuses.values()
    assert says_so(status)
