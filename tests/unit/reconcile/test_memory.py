"""What is remembered between two cycles, and when it is forgotten."""

from htcdask_api import PoolStatus
from htcdask_api.status import Failure
from htcdask_operator.core.memory import Refusal
from htcdask_operator.core.model import Gone, Job, Observed, Unseen
from htcdask_operator.reconcile.memory import Memory
from tests.unit.jobs import running


def observed(*connected: str, jobs: tuple[Job, ...] = ()) -> Observed:
    return Observed(cluster=Gone(), jobs=jobs, connected=frozenset(connected))


JOBS = (running("1.0", worker="a"), running("1.1", worker="b"))


def test_a_worker_that_was_connected_and_is_not_is_missing_since_then() -> None:
    memory = Memory()
    assert memory.recall(observed("a", "b", jobs=JOBS), 10).dropped == {}
    assert memory.recall(observed("a", jobs=JOBS), 20).dropped == {"b": 20}
    assert memory.recall(observed("a", jobs=JOBS), 30).dropped == {"b": 20}
    assert memory.recall(observed("a", "b", jobs=JOBS), 40).dropped == {}


def test_a_worker_that_never_was_connected_is_not_missing() -> None:
    assert Memory().recall(observed(jobs=JOBS), 10).dropped == {}


def test_a_worker_whose_job_ended_is_forgotten() -> None:
    memory = Memory()
    memory.recall(observed("a", "b", jobs=JOBS), 10)
    assert memory.recall(observed(jobs=JOBS[:1]), 20).dropped == {"a": 20}


def test_what_cannot_be_seen_changes_nothing() -> None:
    memory = Memory()
    memory.recall(observed("a", "b", jobs=JOBS), 10)
    memory.recall(observed("a", jobs=JOBS), 20)
    blind = Observed(cluster=Gone(), jobs=JOBS, connected=Unseen("busy"))
    assert memory.recall(blind, 30).dropped == {"b": 20}


def test_refusals_are_counted() -> None:
    memory = Memory()
    memory.refused("p1", "no", 10)
    memory.refused("p1", "still no", 20)
    assert memory.recall(observed(), 30).refusals == {"p1": Refusal("still no", 20, 2)}
    memory.keep_only({"p2"})
    assert memory.recall(observed(), 40).refusals == {}


def test_logs_are_kept_until_a_status_carries_them() -> None:
    memory = Memory(logs={"a": "last words", "b": "others"})
    failure = Failure(time="2026-01-01T00:00:00Z", worker="a", reason="WorkerFailed")
    memory.decided({"p1": PoolStatus(recent_failures=(failure,))})
    assert memory.logs == {"a": "last words"}
    told = failure.model_copy(update={"log_tail": "last words"})
    memory.decided({"p1": PoolStatus(recent_failures=(told,))})
    assert memory.logs == {}
