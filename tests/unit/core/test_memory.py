"""What is remembered between two plans, and when it is forgotten."""

from dataclasses import replace

import pytest

from htcdask_api import PoolStatus
from htcdask_api.status import Failure
from htcdask_operator.core import memory, timestamps
from htcdask_operator.core.memory import Analyzed, ClusterMemory, RefusedSubmit, Results
from htcdask_operator.core.model import Analysis, Gone, Job, Observed, Unseen
from htcdask_operator.core.setback import Setback
from htcdask_operator.core.workers import failures
from tests.builders import NOW
from tests.unit.jobs import running


def observed(*connected: str, jobs: tuple[Job, ...] = ()) -> Observed:
    return Observed(cluster=Gone(), jobs=jobs, connected=frozenset(connected))


JOBS = (running("1.0", worker="a"), running("1.1", worker="b"))


def heard(*answers: tuple[Observed, float]) -> dict[str, float]:
    known = ClusterMemory()
    for seen, now in answers:
        known = memory.answered(known, (), seen, now)
    return known.contact.dropped


def test_a_worker_that_was_connected_and_is_not_is_missing_since_then() -> None:
    both, one = observed("a", "b", jobs=JOBS), observed("a", jobs=JOBS)
    assert heard((both, 10)) == {}
    assert heard((both, 10), (one, 20)) == {"b": 20}
    assert heard((both, 10), (one, 20), (one, 30)) == {"b": 20}
    assert heard((both, 10), (one, 20), (both, 40)) == {}


def test_a_worker_that_never_was_connected_is_not_missing() -> None:
    assert heard((observed(jobs=JOBS), 10)) == {}


def test_a_worker_whose_job_ended_is_forgotten() -> None:
    assert heard((observed("a", "b", jobs=JOBS), 10), (observed(jobs=JOBS[:1]), 20)) == {"a": 20}


def test_what_cannot_be_seen_changes_nothing() -> None:
    blind = Observed(cluster=Gone(), jobs=JOBS, connected=Unseen("busy"))
    both, one = observed("a", "b", jobs=JOBS), observed("a", jobs=JOBS)
    assert heard((both, 10), (one, 20), (blind, 30)) == {"b": 20}


def refused(known: ClusterMemory, why: str, now: float, count: int = 1) -> ClusterMemory:
    return memory.performed(known, Results(refused={"p1": RefusedSubmit(why, count)}), now)


def test_refusals_of_one_job_are_counted_and_forgotten_with_the_first_success() -> None:
    twice = refused(refused(ClusterMemory(), "no", 10), "still no", 20)
    assert twice.of("p1").refusal == memory.Refusal("still no", 20, 2)
    assert memory.performed(twice, Results(workers={"p1": ("7.0",)}), 30).of("p1").refusal is None
    assert memory.begun(twice, {"p2"}, 40).of("p1").refusal is None


def test_a_refusal_of_many_jobs_makes_the_next_submit_smaller_and_no_pause() -> None:
    known = refused(ClusterMemory(), "MAX_JOBS_PER_SUBMISSION", 10, count=1000).of("p1")
    assert known.refusal is None
    assert known.ledger is not None and known.ledger.batch.size(11) == 250


def test_what_was_accepted_is_expected_to_be_shown() -> None:
    results = Results(workers={"p1": ("7.0", "7.1")}, anchors={"p1": "8.0"})
    known = memory.performed(ClusterMemory(), results, 10)
    its = known.of("p1").ledger
    assert its is not None and (its.expected(), its.not_shown(39), its.not_shown(40)) == (
        2,
        (),
        ("7.0", "7.1", "8.0"),
    )


def test_logs_are_kept_until_a_status_carries_them() -> None:
    known = ClusterMemory(logs={"a": "last words", "b": "others"})
    failure = Failure(time=timestamps.written(1000), worker="a", reason="WorkerFailed")
    status = PoolStatus(recent_failures=(failure,))
    assert memory.wanted_logs(known, {"p1": status}, 1000) == {"a": "last words"}
    assert memory.wanted_logs(known, {"p1": status}, 1000 + failures.LOG_SECONDS) == {}  # its pool has ended
    told = failure.model_copy(update={"log_tail": "last words"})
    assert memory.wanted_logs(known, {"p1": PoolStatus(recent_failures=(told,))}, 1000) == {}


def failed(known: ClusterMemory, now: float, times: int = 1) -> ClusterMemory:
    return memory.performed(known, Results(failed={"p1": Setback("down", now, times)}), now)


def test_a_pool_that_failed_is_tried_in_the_next_cycle_and_then_ever_later() -> None:
    once = memory.begun(failed(ClusterMemory(), 10), {"p1"}, 10)
    assert not once.setbacks["p1"].waits
    twice = failed(once, 11)
    assert memory.begun(twice, {"p1"}, 12).setbacks["p1"].waits
    assert not memory.begun(twice, {"p1"}, 13).setbacks["p1"].waits
    assert memory.ended(memory.begun(twice, {"p1"}, 13)).setbacks == {}


@pytest.mark.parametrize("count", [0, 1])
def test_a_pool_that_was_left_out_has_not_failed_itself(count: int) -> None:
    before = failed(ClusterMemory(), 10) if count else ClusterMemory()
    left_out = failed(before, 20, times=0).setbacks["p1"]
    assert (left_out.times, left_out.at) == (count, 10 if count else 20)
    begun = memory.begun(failed(before, 20, times=0), {"p1"}, 60)
    assert set(begun.setbacks) == ({"p1"} if count else set())


def test_what_was_found_of_slots_is_told_as_it_was_while_only_numbers_move() -> None:
    first = Analysis(40, fit=12, looked_at=12, take=12, room=3)
    told = Analyzed(NOW).after(first, NOW)
    assert told == Analyzed(NOW, first, NOW)
    moved = replace(first, slots=41, room=1)
    assert told.after(moved, NOW + 50) == Analyzed(NOW + 50, first, NOW)
    assert told.after(None, NOW + 50) == Analyzed(NOW + 50, first, NOW), "a failure forgets nothing at once"
    full = replace(first, room=0)
    assert told.after(full, NOW + 50) == Analyzed(NOW + 50, full, NOW + 50)
    assert told.after(moved, NOW + 600) == Analyzed(NOW + 600, moved, NOW + 600)
    assert told.after(None, NOW + 600) == Analyzed(NOW + 600, None, NOW + 600)
