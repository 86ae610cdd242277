"""Whose jobs are ours, and a pool beside another identity's jobs, or beside those that nobody understands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core.actions import Action, HoldAnchor, RecordIdentity, Remove, RemoveFinalizer
from htcdask_operator.core.model import Gone, Job, JobStatus, Observed, PoolFacts, Role
from htcdask_operator.core.workers.identity import believed
from tests.builders import (
    IDENTITY,
    NOW,
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_observed,
    make_policy,
    make_pool,
    plan_for,
)

OLD = "old@htcdask.test"
MALLORY = "mallory@htcdask.test"
WORKERS = [make_job(f"w{n}", JobStatus.RUNNING, owner=OLD) for n in range(20)]
ANCHOR = make_anchor("hash", owner=OLD)
UNKNOWN = (
    make_job("odd", JobStatus.UNKNOWN),
    make_job("odd", JobStatus.RUNNING, role=Role.UNKNOWN),
    make_job("odd", JobStatus.COMPLETED, role=Role.UNKNOWN),
)


def actions(pool: PoolFacts, observed: Observed) -> tuple[Action, ...]:
    return plan_for([pool], observed, make_policy(), NOW).actions


def ready(pool: PoolFacts, observed: Observed) -> tuple[str, str]:
    status = plan_for([pool], observed, make_policy(), NOW).statuses[pool.uid].condition("Ready")
    assert status is not None
    return status.reason, status.message


@pytest.mark.parametrize(
    ("owner", "submitted_as", "identity", "counts"),
    [
        (IDENTITY, IDENTITY, IDENTITY, True),
        (IDENTITY, None, IDENTITY, True),
        (IDENTITY, OLD, IDENTITY, True),
        (OLD, OLD, IDENTITY, True),
        (OLD, None, IDENTITY, False),
        (MALLORY, OLD, IDENTITY, False),
        (MALLORY, IDENTITY, IDENTITY, False),
        ("", IDENTITY, IDENTITY, False),
    ],
)
def test_whose_jobs_count(owner: str, submitted_as: str | None, identity: str, counts: bool) -> None:
    job = make_job(owner=owner)
    assert believed([job], make_pool(submitted_as=submitted_as), identity) == ((job,) if counts else ())


def test_beside_an_older_identitys_jobs_nothing_is_submitted_and_nothing_of_theirs_is_touched() -> None:
    pool = make_pool(submitted_as=OLD)
    observed = make_observed(make_cluster(wanted=40), [ANCHOR, *WORKERS], [job.worker for job in WORKERS])
    assert actions(pool, observed) == ()
    reason, message = ready(pool, observed)
    assert reason == "AnotherIdentity"
    for part in ("21 jobs", OLD, IDENTITY, "condor_rm -constraint", POOL):
        assert part in message
    status = plan_for([pool], observed, make_policy(), NOW).statuses[POOL]
    assert (status.replicas, status.submitted_as) == (20, OLD)
    stalled = status.condition("Stalled")
    assert stalled is not None and stalled.status == "True"


@pytest.mark.parametrize("wanted", [0, 5])
def test_fewer_workers_are_no_reason_to_touch_them(wanted: int) -> None:
    observed = make_observed(make_cluster(wanted=wanted), [ANCHOR, *WORKERS])
    assert actions(make_pool(submitted_as=OLD), observed) == ()


@pytest.mark.parametrize("status", [*JobStatus])
def test_no_state_of_theirs_makes_us_act_or_submit(status: JobStatus) -> None:
    jobs = [make_job("w1", status, owner=OLD, status_since=NOW - 9999, hold_code=34)]
    assert actions(make_pool(submitted_as=OLD), make_observed(make_cluster(wanted=3), jobs)) == ()


@pytest.mark.parametrize("cluster", [make_cluster(), make_cluster(active=False, phase="Stopped"), Gone()])
def test_a_deleted_pool_waits_for_them_and_says_whose_they_are(cluster: object) -> None:
    pool = make_pool(submitted_as=OLD, deleting=True)
    observed = make_observed(cluster, [ANCHOR, *WORKERS])  # type: ignore[arg-type]
    assert actions(pool, observed) == ()
    reason, message = ready(pool, observed)
    assert reason == "CleanupBlocked"
    assert OLD in message and "release-without-cleanup" in message
    assert actions(replace(pool, release_without_cleanup=True), observed) == (RemoveFinalizer(POOL),)
    assert actions(pool, make_observed(cluster, [])) == (RemoveFinalizer(POOL),)  # type: ignore[arg-type]


def test_our_own_jobs_of_a_deleted_pool_go_beside_them() -> None:
    pool = make_pool(submitted_as=OLD, deleting=True)
    (removal,) = actions(pool, make_observed(jobs=[ANCHOR, *WORKERS, make_job("mine")]))
    assert isinstance(removal, Remove) and removal.jobs == ("mine.0",)


def test_once_they_are_gone_the_new_identity_is_written_down_before_anything_is_submitted() -> None:
    observed = make_observed(make_cluster(wanted=3))
    assert actions(make_pool(submitted_as=OLD), observed) == (RecordIdentity(POOL, IDENTITY),)
    assert actions(make_pool(submitted_as=None), observed) == (RecordIdentity(POOL, IDENTITY),)
    assert not any(isinstance(action, RecordIdentity) for action in actions(make_pool(), observed))


def test_when_the_first_token_is_back_all_goes_on() -> None:
    pool = make_pool(submitted_as=OLD)
    observed = make_observed(make_cluster(wanted=0), [*WORKERS], condor_identity=OLD)
    (removal,) = (action for action in actions(pool, observed) if isinstance(action, Remove))
    assert len(removal.jobs) == 20


@pytest.mark.parametrize("job", UNKNOWN)
@pytest.mark.parametrize("wanted", [0, 1])
def test_a_job_that_is_not_understood_counts_as_live_and_is_left_alone(job: Job, wanted: int) -> None:
    observed = make_observed(make_cluster(wanted=wanted), [job], ["odd"])
    assert not any(isinstance(action, Remove | HoldAnchor) for action in actions(make_pool(), observed))
    status = plan_for([make_pool()], observed, make_policy(), NOW).statuses[POOL]
    assert status.replicas == 1
    assert [(e.reason, e.count) for e in status.explanation] == [("NotUnderstood", 1)]


@pytest.mark.parametrize("job", UNKNOWN)
def test_a_job_that_is_not_understood_goes_with_its_pool(job: Job) -> None:
    (removal,) = actions(make_pool(deleting=True), make_observed(jobs=[job]))
    assert isinstance(removal, Remove) and removal.jobs == (job.id,)


def test_an_anchor_that_is_not_understood_is_neither_held_nor_replaced_nor_removed() -> None:
    for template_hash in ("hash", "another"):
        odd = make_anchor(template_hash, JobStatus.UNKNOWN)
        found = actions(make_pool(), make_observed(make_cluster(wanted=1), [odd]))
        assert not any(isinstance(action, Remove | HoldAnchor) for action in found)


def test_an_anchor_stays_for_a_worker_that_does_not_say_which_it_uses() -> None:
    jobs = [make_anchor("another"), make_job("w1", JobStatus.RUNNING, template_hash="")]
    found = actions(make_pool(), make_observed(make_cluster(wanted=1), jobs, ["w1"]))
    assert not any(isinstance(action, Remove) for action in found)
