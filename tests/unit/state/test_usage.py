"""What counts for limits that clusters share: kept from answer to answer, and always the whole truth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.model import Job, JobStatus, SharedUsage
from htcdask_operator.core.size import Kind, Size
from htcdask_operator.state.known import Known
from tests.builders import IDENTITY, make_job, make_policy, make_usage

POLICY = make_policy(max_replicas=3, max_cores_per_user=4, max_gpus=1)
JOBS = st.lists(
    st.builds(
        lambda pool, number, user, status, cores, gpus: make_job(
            f"{pool}w{number}",
            status,
            pool_uid=pool,
            user=user,
            queued_at=float(number),
            request_cores=cores,
            request_gpus=gpus,
        ),
        st.sampled_from("pqr"),
        st.integers(0, 5),
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(list(JobStatus)),
        st.integers(1, 3),
        st.integers(0, 1),
    ),
    max_size=8,
    unique_by=lambda job: job.id,
)


def used(known: Known, *own: str) -> SharedUsage:
    return known.usage("alice", own, POLICY)


@given(st.lists(JOBS, max_size=6))
def test_whatever_answers_come_it_is_what_a_count_of_the_last_one_finds(answers: list[list[Job]]) -> None:
    known = Known()
    known.queue.identity = IDENTITY
    for at, jobs in enumerate(answers, 1):
        known.queue.saw_all(jobs, float(at))
        assert used(known, "p") == make_usage(jobs, POLICY, "p")


def job(number: int, **facts: object) -> Job:
    defaults: dict[str, object] = {"user": "alice", "pool_uid": f"p{number}", "queued_at": float(number)}
    return make_job(f"w{number}", **(defaults | facts))  # type: ignore[arg-type]


def test_who_was_queued_last_is_over_a_limit() -> None:
    known = Known()
    known.queue.saw_all([job(4), job(1), job(3), job(2)], 1.0)
    assert used(known, "p1").everybody.exceeded == {Kind.WORKERS: (4.0, "w4.0")}


def test_who_has_no_gpu_is_not_over_a_limit_of_gpus() -> None:
    known = Known()
    known.queue.saw_all([job(1, request_gpus=1), job(2, request_gpus=1), job(3)], 1.0)
    assert used(known).everybody.exceeded == {Kind.GPUS: (2.0, "w2.0")}


def test_what_another_cluster_is_submitting_counts_until_its_own_answer() -> None:
    known = Known()
    known.queue.usages.expect(SubmitWorkers("p1", {}, ("a", "b"), Size(1, 2, 3, 0)), "alice", 10.0)
    assert used(known, "p2").everybody.others == Size(2, 4, 6, 0)
    assert used(known, "p1").everybody.others == Size()
    known.queue.saw_pool("p1", (), 11.0)
    assert used(known, "p2").everybody.others == Size()


def test_a_submit_that_never_came_counts_for_no_longer_than_one_may_take() -> None:
    known = Known()
    known.queue.usages.expect(SubmitWorkers("p1", {}, ("a",), Size(1, 1, 1, 0)), "alice", 10.0)
    known.queue.saw_all([], 39.0)
    assert used(known).user.others == Size(1, 1, 1, 0)
    known.queue.saw_all([], 41.0)
    assert used(known).user.others == Size()


def test_jobs_of_an_earlier_identity_count_once_their_pool_is_known_to_be_theirs() -> None:
    known = Known()
    known.queue.identity = IDENTITY
    known.queue.saw_all([job(1, owner="mallory@htcdask.test")], 1.0)
    assert used(known).everybody.others == Size()
    known.clusters.submitted_as["p1"] = "mallory@htcdask.test"
    assert used(known).everybody.others.workers == 1
