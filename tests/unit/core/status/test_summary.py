"""What is published: counts, conditions by the kstatus rules, explanations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from htcdask_api import PoolStatus
from htcdask_operator.core import timestamps
from htcdask_operator.core.memory import PoolMemory
from htcdask_operator.core.model import ClusterFacts, Gone, JobStatus, Observed, PoolFacts, Unnamed
from htcdask_operator.core.scaling.scale_scheduler import LastScale
from htcdask_operator.core.submit import descriptions
from htcdask_operator.core.workers.ledger import Ledger, Submitted
from tests.builders import (
    ACCESS_POINT_SILENT,
    API_SILENT,
    NOW,
    POOL,
    SCHEDULER_SILENT,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_observed,
    make_policy,
    make_pool,
    make_template,
    plan_for,
)

POLICY = make_policy()
ANCHOR = make_anchor(descriptions.template_hash(make_pool(), make_cluster(), make_template(), POLICY))
R = JobStatus.RUNNING


def status_of(observed: Observed, pool: PoolFacts | None = None, now: float = NOW) -> PoolStatus:
    return plan_for([pool or make_pool()], observed, POLICY, now).statuses[POOL]


def truths(status: PoolStatus) -> dict[str, str]:
    return {condition.type: f"{condition.status} {condition.reason}" for condition in status.conditions}


def test_the_counts() -> None:
    jobs = [
        ANCHOR,
        make_job("idle"),
        make_job("starting", R),
        make_job("connected", R),
        make_job("paused", JobStatus.HELD, hold_code=1),
        make_job("retiring", JobStatus.REMOVED),
        make_job("done", JobStatus.COMPLETED, exit_code=0, started_at=NOW - 99),
    ]
    status = status_of(make_observed(make_cluster(4), jobs, ["connected", "of another pool"]))
    counts = status.model_dump(include={"desired_replicas", "replicas", "submitting", "idle", "running"})
    assert counts == {"desired_replicas": 4, "replicas": 4, "submitting": 0, "idle": 1, "running": 2}
    assert (status.connected, status.held, status.retiring, status.finished) == (1, 1, 1, 1)


def test_whose_pool_it_is_is_known_also_when_the_api_server_is_silent() -> None:
    known = status_of(make_observed(make_cluster(1, username="alice\x1b[31m")))
    assert known.user == "alice\N{SYMBOL FOR ESCAPE}[31m"
    silent = make_observed(make_cluster(1))
    later = status_of(replace(silent, cluster=API_SILENT), make_pool(status=known))
    assert later.user == known.user


def test_another_s_cluster_of_the_same_name_does_not_say_whose_pool_it_is() -> None:
    mine = status_of(make_observed(make_cluster(1, username="alice")))
    other = make_observed(make_cluster(1, uid="another-uid", username="mallory"))
    assert status_of(other, make_pool(status=mine)).user == "alice"


READY = {
    "as many connected as wanted": (
        make_observed(make_cluster(1), [ANCHOR, make_job("a", R)], ["a"]),
        ("True WorkersConnected", "False", "False"),
    ),
    "as many run as wanted, and nobody is named": (
        make_observed(make_cluster(1), [ANCHOR, make_job("a", R)], Unnamed()),
        ("True WorkersRunning", "False", "False"),
    ),
    "none wanted": (make_observed(make_cluster(0), [ANCHOR]), ("True NoWorkersWanted", "False", "False")),
    "on their way": (
        make_observed(make_cluster(1), [ANCHOR, make_job("a", R)]),
        ("False WaitingForWorkers", "True", "False"),
    ),
    "one too many": (
        make_observed(make_cluster(0), [ANCHOR, make_job("a", R)], ["a"]),
        ("False ScalingDown", "True", "False"),
    ),
    "no anchor yet": (make_observed(), ("False AnchorSpooling", "True", "False")),
    "a person's turn": (make_observed(make_cluster(htcondor=False)), ("False ClusterUsesKubernetesWorkers",)),
    "the cluster has ended": (
        make_observed(make_cluster(active=False, phase="Stopped")),
        ("True Ended", "False", "False"),
    ),
    "the cluster has ended, and nobody knows whether a job is left": (
        make_observed(make_cluster(active=False, phase="Stopped"), ACCESS_POINT_SILENT),
        ("False ClusterInactive", "True", "False"),
    ),
    "the cluster has ended, and a job is left": (
        make_observed(make_cluster(active=False, phase="Stopped"), [make_job("a")]),
        ("False ClusterInactive", "True", "False"),
    ),
    "HTCondor does not answer": (
        make_observed(jobs=ACCESS_POINT_SILENT),
        ("False CondorUnreachable", "True", "False"),
    ),
}


@pytest.mark.parametrize("sentence", READY)
def test_ready_reconciling_and_stalled(sentence: str) -> None:
    observed, expected = READY[sentence]
    found = truths(status_of(observed))
    assert found["Ready"] == expected[0]
    if len(expected) == 3:
        assert found["Reconciling"].split()[0] == expected[1]
        assert found["Stalled"].split()[0] == expected[2]
    else:
        assert (found["Reconciling"].split()[0], found["Stalled"].split()[0]) == ("False", "True")


def test_a_pool_that_may_have_none_of_those_that_are_asked_for_is_not_ready() -> None:
    tight = make_cluster(2, config={"cluster_max_memory": 2**20})
    status = status_of(make_observed(tight, [ANCHOR]))
    said = status.condition("Ready")
    assert said is not None
    assert (said.status, said.reason) == ("False", "Capped")
    assert "2 workers are asked for" in said.message and "allows 0" in said.message
    assert truths(status)["Reconciling"].split()[0] == "False", "nothing is under way"


def test_a_pool_that_is_to_have_none_is_as_it_should_be() -> None:
    paused = status_of(make_observed(make_cluster(2), [ANCHOR]), make_pool(max_replicas=0)).condition("Ready")
    assert paused is not None and (paused.status, paused.reason) == ("True", "NoWorkersWanted")


def test_nobody_is_said_to_come_first_where_nobody_asks() -> None:
    """N is what was told for a Manual pool that is gone."""
    observed, last = make_observed(make_cluster(3), [ANCHOR]), LastScale(3, NOW - 5, taken=True)
    status = plan_for([make_pool()], observed, POLICY, last_scale=last).statuses[POOL]
    ready = status.condition("Ready")
    assert ready is not None and ready.message == "The scheduler asks for no worker."


@pytest.mark.parametrize(
    ("told", "cluster", "is_said"),
    [
        (LastScale(0, NOW - 5, taken=True, word="noon"), {"word": "noon"}, True),
        (LastScale(0, NOW - 5, taken=True, word="noon"), {"word": "at one"}, False),
        (LastScale(0, NOW - 5, taken=True, word="noon"), {"word": "noon", "asked": 0}, False),
        (LastScale(0, NOW - 5, taken=True), {}, False),
        (None, {"word": "noon"}, False),
    ],
    ids=["what it was told", "adapt() again", "scale(0)", "who knows", "it is on"],
)
def test_who_called_adapt_is_told_what_ended_it(
    told: LastScale | None, cluster: dict[str, Any], is_said: bool
) -> None:
    observed = make_observed(make_cluster(0, **cluster), [ANCHOR])
    ready = plan_for([make_pool()], observed, POLICY, last_scale=told).statuses[POOL].condition("Ready")
    assert ready is not None and ready.message.startswith("The scheduler asks for no worker.")
    assert ("which ended adapt(): ask for workers again" in ready.message) == is_said


def test_a_pool_for_which_manual_pools_leave_nothing_says_so() -> None:
    manual = make_pool("manual", scaling="Manual", replicas=2, created_at=NOW - 10)
    planned = plan_for([make_pool(), manual], make_observed(make_cluster(2), [ANCHOR]), POLICY)
    ready = planned.statuses[POOL].condition("Ready")
    assert ready is not None and (ready.status, ready.reason) == ("True", "NoWorkersWanted")
    assert ready.message.startswith("2 workers are asked for, and none is left for this pool")


def test_a_cluster_that_has_ended_says_that_hidden_jobs_are_waited_for() -> None:
    ended = make_observed(make_cluster(active=False, phase="Stopped"))
    hidden = PoolMemory(ledger=Ledger(accepted_jobs={"17.0": Submitted(NOW - 30, anchor=False)}))
    memory = make_memory(ended.cluster, pools={POOL: hidden})
    status = plan_for([make_pool()], ended, POLICY, memory=memory).statuses[POOL]
    ready = status.condition("Ready")
    assert ready is not None and ready.reason == "ClusterInactive"
    assert ready.message.endswith("1 job is waited for that no answer of the access point shows.")


def test_the_other_conditions() -> None:
    well = truths(status_of(make_observed()))
    assert well["ClusterActive"] == "True ClusterActive"
    assert well["CondorReachable"] == "True CondorReachable"
    dark = truths(status_of(make_observed(API_SILENT, ACCESS_POINT_SILENT)))
    assert dark["ClusterActive"] == "Unknown ClusterUnseen"
    assert dark["CondorReachable"] == "False CondorUnreachable"
    gone = truths(status_of(make_observed(Gone(), condor_identity=None)))
    assert gone["ClusterActive"] == "False ClusterGone"
    assert gone["CondorReachable"] == "Unknown CondorIdentityUnknown"


def test_what_cannot_be_seen_is_told_as_it_was_last_seen() -> None:
    before = status_of(make_observed(make_cluster(1), [ANCHOR, make_job("a", R)], ["a"]))
    pool = make_pool(status=before)
    dark = status_of(make_observed(API_SILENT, ACCESS_POINT_SILENT, SCHEDULER_SILENT), pool)
    assert (dark.desired_replicas, dark.replicas, dark.connected) == (1, 1, 1)
    silent = status_of(make_observed(make_cluster(1), [ANCHOR, make_job("a", R)], SCHEDULER_SILENT), pool)
    assert (silent.running, silent.connected) == (1, 1)


def test_nothing_moves_when_nothing_happens_and_times_move_only_when_a_condition_flips() -> None:
    seen = make_observed(make_cluster(2), [ANCHOR, make_job("a", R), make_job("b")], ["a"])
    first = status_of(seen)
    later = status_of(seen, make_pool(status=first), NOW + 50)
    assert later == first
    both = make_observed(make_cluster(2), [ANCHOR, make_job("a", R), make_job("b", R)], ["a", "b"])
    ready = status_of(both, make_pool(status=later, generation=2), NOW + 60)
    moved = {c.type: c.last_transition_time == timestamps.written(NOW + 60) for c in ready.conditions}
    assert moved == {
        "Ready": True,
        "Reconciling": True,
        "Stalled": False,
        "ClusterActive": False,
        "CondorReachable": False,
    }
    assert ready.observed_generation == 2
    assert {condition.observed_generation for condition in ready.conditions} == {2}


# --- Explanations.


def explained(observed: Observed, pool: PoolFacts | None = None) -> list[tuple[str, int]]:
    return [(why.reason, why.count) for why in status_of(observed, pool).explanation]


def test_why_workers_are_not_there() -> None:
    jobs = [
        ANCHOR,
        make_job("a", reject_reason="no match found"),
        make_job("b", reject_reason="no match found"),
        make_job("c"),
        make_job("d", R, started_at=NOW - 200),
        make_job("e", R),
        make_job("f", R, started_at=NOW - 20),
        make_job("g", R, started_at=NOW - 19),
    ]
    assert explained(make_observed(make_cluster(7), jobs, ["e"])) == [
        ("WaitingForMatch", 2),
        ("NotConnecting", 1),
        ("Starting", 1),
        ("WaitingForMatch", 1),
    ]


CAPS: dict[str, tuple[ClusterFacts, PoolFacts, int]] = {
    "the pool's maxReplicas": (make_cluster(9), make_pool(max_replicas=3), 3),
    "the gateway's cluster_max_cores": (
        make_cluster(9, config={"cluster_max_cores": 5.0, "scheduler_cores": 1.0}),
        make_pool(template=make_template(cores=2)),
        2,
    ),
    "the gateway's cluster_max_memory": (
        make_cluster(9, config={"cluster_max_memory": 10 * 2**30, "scheduler_memory": 2 * 2**30}),
        make_pool(),
        4,
    ),
    "the gateway's cluster_max_workers": (
        make_cluster(9, config={"cluster_max_workers": 7}),
        make_pool(),
        7,
    ),
}


@pytest.mark.parametrize("limit", CAPS)
def test_a_cap_that_bites_is_named(limit: str) -> None:
    cluster, pool, desired = CAPS[limit]
    status = status_of(make_observed(cluster), pool)
    assert status.desired_replicas == desired
    assert [(why.reason, why.count) for why in status.explanation] == [("Capped", 9 - desired)]
    assert limit in status.explanation[0].message


def test_a_manual_pool_beyond_what_the_scheduler_asks_for_says_so() -> None:
    pool = make_pool(scaling="Manual", replicas=3)
    status = status_of(make_observed(make_cluster(1), [ANCHOR]), pool)
    assert [(why.reason, why.count) for why in status.explanation] == [("WaitingForScheduler", 2)]
    assert truths(status)["Ready"] == "False WaitingForScheduler"


def test_a_pool_that_waits_for_another_pool_s_workers_is_not_told_to_ask_for_more() -> None:
    busy = [make_job(name, JobStatus.RUNNING, pool_uid="old") for name in "abc"]
    pools = [make_pool("old"), make_pool("new", scaling="Manual", replicas=2, created_at=NOW)]
    observed = make_observed(
        make_cluster(3), busy, [job.worker for job in busy], busy=[job.worker for job in busy]
    )
    status = plan_for(pools, observed, make_policy()).statuses["new"]
    assert [(why.reason, why.count) for why in status.explanation] == [("OthersLeaveFirst", 2)]
    assert truths(status)["Ready"] != "False WaitingForScheduler"


def test_at_most_five_explanations() -> None:
    jobs = [ANCHOR, *(make_job(f"w{n}", reject_reason=f"reason {n}") for n in range(9))]
    assert len(explained(make_observed(make_cluster(9), jobs))) == 5


def test_a_pool_that_is_being_deleted_says_how_far_it_is() -> None:
    leaving = make_observed(jobs=[ANCHOR, make_job("a", JobStatus.REMOVED)])
    status = status_of(leaving, make_pool(deleting=True))
    assert truths(status)["Ready"] == "False RemovingJobs"
    assert "2 jobs" in status.conditions[0].message
    refused = replace(leaving, condor_identity=None)
    assert truths(status_of(refused, make_pool(deleting=True)))["Stalled"] == "True CleanupBlocked"
