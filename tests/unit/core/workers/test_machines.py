"""Which machines are avoided, by whose word, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.memory import PoolMemory
from htcdask_operator.core.model import Gone, JobStatus, Unseen
from htcdask_operator.core.plan import plan
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.workers import machines
from htcdask_operator.core.workers.ledger import Ledger
from htcdask_operator.core.workers.machines import Seen
from htcdask_operator.core.workers.states import State, Worker
from tests.builders import (
    NOW,
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
)

WELL = frozenset({"node1"})


def failed(*ages: float, machine: str | None = "node2", reason: str = reasons.WORKER_FAILED) -> list[Failure]:
    return [
        Failure(time=timestamps.written(NOW - age), worker="w", machine=machine, reason=reason, message="no")
        for age in ages
    ]


THREE = failed(10, 300, 900)
CASES: dict[str, tuple[Sequence[Failure], frozenset[str], set[str]]] = {
    "three times, while workers live elsewhere": (THREE, WELL, {"node2"}),
    "twice": (failed(10, 300), WELL, set()),
    "nobody lives anywhere": (THREE, frozenset(), set()),
    "only there somebody lives": (THREE, frozenset({"node2"}), set()),
    "somebody lives there, too": (THREE, frozenset({"node1", "node2"}), set()),
    "long ago": (failed(1900, 2000, 2100), WELL, set()),
    "by a clock that is ahead": (failed(-100, -200, -300), WELL, set()),
    "evictions": (failed(10, 20, 30, reason=reasons.EVICTED), WELL, set()),
    "too little memory": (failed(10, 20, 30, reason=reasons.OUT_OF_RESOURCES), WELL, set()),
    "the machine itself": (failed(10, 20, 30, reason=reasons.MACHINE_FAILED), WELL, {"node2"}),
    "of different kinds": (
        [*failed(10), *failed(20, reason=reasons.BAD_IMAGE), *failed(30, reason=reasons.NEVER_STARTED)],
        WELL,
        {"node2"},
    ),
    "no machine": (failed(10, 20, 30, machine=None), WELL, set()),
    "no name of a host": (failed(10, 20, 30, machine='x", "node1'), WELL, set()),
}


@pytest.mark.parametrize("case", CASES)
def test_who_is_avoided(case: str) -> None:
    failures, useful, expected = CASES[case]
    assert machines.avoided({}, [Seen(failures, useful)], NOW).keys() == expected


def test_it_is_forgotten_an_hour_after_the_last_failure_or_when_a_worker_lives_there() -> None:
    avoided = machines.avoided({}, [Seen(THREE, WELL)], NOW)
    assert avoided == {"node2": NOW - 10 + machines.AVOID_SECONDS}
    assert machines.avoided(avoided, [Seen([], WELL)], NOW + 3500) == avoided
    assert machines.avoided(avoided, [Seen([], frozenset())], NOW + 3500) == avoided
    assert machines.avoided(avoided, [Seen([], WELL)], NOW + 3600) == {}
    assert machines.avoided(avoided, [Seen(THREE, frozenset({"node1", "node2"}))], NOW) == {}


def test_a_job_s_requirements_name_the_twenty_that_failed_last() -> None:
    many = [failure for n in range(30) for failure in failed(n, n + 100, n + 200, machine=f"m{n}")]
    assert machines.avoided({}, [Seen(many, WELL)], NOW).keys() == {f"m{n}" for n in range(20)}
    ours = machines.avoided({}, [Seen(many, WELL)], NOW)
    assert len(machines.together(ours, {"other": NOW + 9000}, (), NOW)) == 20


def test_a_pool_s_own_mistake_is_no_machine_s_fault() -> None:
    """Where it fails, another pool's workers live elsewhere."""
    assert machines.avoided({}, [Seen(THREE, frozenset()), Seen([], WELL)], NOW) == {}
    both = machines.avoided({}, [Seen(THREE, WELL), Seen([], frozenset({"node2"}))], NOW)
    assert both == {}, "and somebody lives well on it"


def test_others_follow_when_two_users_have_found_the_same() -> None:
    found = [("alice", {"node2": 5.0}), ("alice", {"node2": 9.0}), ("bob", {"node3": 7.0})]
    assert machines.shared(found) == {}
    assert machines.shared([*found, ("bob", {"node2": 7.0})]) == {"node2": 7.0}
    assert machines.together({}, {"node2": 7.0}, (), 6.0) == {"node2": 7.0}
    assert machines.together({}, {"node2": 7.0}, {"node2"}, 6.0) == {}, "a worker of ours lives there well"
    assert machines.together({"node3": 9.0}, {"node2": 7.0, "node3": 1.0}, (), 8.0) == {"node3": 9.0}


def test_two_users_do_not_take_more_than_a_few_machines_from_all() -> None:
    every = {f"m{n}": float(n) for n in range(30)}
    shared = machines.shared([("alice", every), ("bob", every)])
    assert shared.keys() == {f"m{n}" for n in range(25, 30)}


def test_whose_word_it_is() -> None:
    found = {"node2": NOW + 60}
    assert machines.vote(make_cluster(2, username="bob"), found) == ("bob", found)
    assert machines.vote(Gone(), found) == ("", {}), "who is gone has no say"
    assert machines.vote(Unseen("no answer"), found) is None, "and who cannot be seen keeps the last one"


def test_where_workers_live_well() -> None:
    young = make_job("a", JobStatus.RUNNING, machine="node1", started_at=NOW - 30)
    old = make_job("b", JobStatus.RUNNING, machine="node2", started_at=NOW - 90)
    lost = make_job("c", JobStatus.RUNNING, machine="node3", started_at=NOW - 90)
    workers = [Worker(young, State.CONNECTED), Worker(old, State.CONNECTED), Worker(lost, State.STARTING)]
    workers.append(Worker(lost, State.UNNAMED))  # nobody says that it is connected, and it may yet fail
    assert machines.useful(workers, make_policy(), NOW) == {"node2"}
    assert machines.useful(workers, make_policy(connect_seconds=80.0), NOW) == {"node2", "node3"}


@pytest.mark.parametrize("restarted", [False, True])
def test_the_next_worker_does_not_go_there_and_the_pool_says_so(restarted: bool) -> None:
    """Also the first one that a new operator submits: failures outlive it in the status."""
    pool, cluster, policy = make_pool(), make_cluster(2), make_policy()
    template_hash = descriptions.template_hash(pool, cluster, make_template(), policy)
    lives = make_job(
        "a", JobStatus.RUNNING, machine="node1", started_at=NOW - 90, template_hash=template_hash
    )
    memory = make_memory(cluster)
    failures = tuple(failed(70, 300, 900))
    pool = replace(pool, status=PoolStatus(recent_failures=failures if restarted else ()))
    known = None if restarted else Ledger(failures=failures)
    memory = replace(memory, pools={POOL: PoolMemory(ledger=known)})
    seen = make_observed(cluster, [make_anchor(template_hash), lives], ["a"])
    planned = plan([pool], seen, memory, policy, NOW)
    (submitted,) = (action for action in planned.actions if isinstance(action, SubmitWorkers))
    assert submitted.description["My.Requirements"].endswith(
        f' && (time() > {NOW - 70 + machines.AVOID_SECONDS:.0f} || !member(TARGET.Machine, {{"node2"}}))'
    )
    assert planned.vote is not None and planned.vote[1].keys() == {"node2"}
    (why,) = planned.statuses[POOL].explanation
    assert (why.reason, why.count) == ("MachinesAvoided", 1)
    assert "kept failing on node2 while others lived elsewhere" in why.message
    assert descriptions.template_hash(pool, cluster, make_template(), policy) == template_hash, (
        "no file is spooled anew"
    )
