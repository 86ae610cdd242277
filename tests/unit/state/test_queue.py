"""The memory of the last poll: which pools changed, and who knows better."""

from dataclasses import replace

from htcdask_operator.core.model import JobStatus
from htcdask_operator.ports import ClusterKey
from htcdask_operator.state.known import Known
from tests.unit.jobs import make_job, running


def test_the_first_poll_changes_every_pool_that_has_jobs() -> None:
    known = Known()
    assert known.queue.unseen is not None
    assert known.queue.saw_all([make_job("1.0"), make_job("2.0", pool_uid="p2")], asked_at=10) == {"p1", "p2"}
    assert known.queue.unseen is None
    assert known.queue.saw_all([make_job("1.0"), make_job("2.0", pool_uid="p2")], asked_at=11) == set()


def test_only_the_pool_whose_job_changed_is_named() -> None:
    known = Known()
    known.queue.saw_all([make_job("1.0"), make_job("2.0", pool_uid="p2")], asked_at=10)
    assert known.queue.saw_all([running("1.0"), make_job("2.0", pool_uid="p2")], asked_at=11) == {"p1"}
    assert known.queue.saw_all([make_job("2.0", pool_uid="p2")], asked_at=12) == {"p1"}
    assert "p1" not in known.queue.jobs


def test_a_renewed_lease_or_the_memory_in_use_is_no_change() -> None:
    known = Known()
    job = running()
    known.queue.saw_all([job], asked_at=10)
    assert known.queue.saw_all([replace(job, lease=99.0, memory_mib=512)], asked_at=11) == set()
    assert known.queue.jobs["p1"][0].lease == 99.0


def test_a_poll_that_was_asked_before_a_cycle_asked_does_not_overrule_it() -> None:
    known = Known()
    known.queue.saw_pool("p1", (make_job("1.0"), make_job("1.1")), asked_at=20)
    assert known.queue.saw_all([], asked_at=19) == set()
    assert len(known.queue.jobs["p1"]) == 2
    assert known.queue.saw_all([make_job("1.0", status=JobStatus.HELD)], asked_at=21) == {"p1"}


def test_jobs_of_pools_that_nobody_knows_are_strays() -> None:
    known = Known()
    known.clusters.saw_pools(ClusterKey("gateway", "c1"), ["p1"])
    known.queue.saw_all([make_job("1.0"), make_job("2.0", pool_uid="p2")], asked_at=10)
    assert [job.id for job in known.orphans()] == ["2.0"]
