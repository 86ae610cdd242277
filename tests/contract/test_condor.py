"""What the operator relies on of an access point, asked of the fake one and of a real HTCondor alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from htcdask_api import names as attributes
from htcdask_operator.condor.errors import CondorRefused, RuleRefused, SubmitRefused
from htcdask_operator.condor.port import Condor
from htcdask_operator.core.model import Job, JobId, JobStatus, Role
from htcdask_operator.core.submit import descriptions, spooled
from htcdask_operator.core.workers.succession import Succession
from tests.builders import make_cluster, make_policy, make_pool, make_template
from tests.contract.labs import IMAGE, PAYLOAD, FakeLab, Lab, RealLab

POOL = "0f0e0d0c-pool"
NEVER = "false"  # requirements that no slot meets

_numbers = count(1)


@pytest.fixture(params=["fake", "real"])
async def lab(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Lab]:
    """One access point."""
    made: Lab = (
        FakeLab() if request.param == "fake" else RealLab(request.getfixturevalue("bare_pool"), tmp_path)
    )
    yield made
    await made.close()


@pytest.fixture
def operator_id() -> Iterator[str]:
    """An operator that no other test has heard of."""
    yield f"contract-{next(_numbers)}"


@pytest.fixture
def condor(lab: Lab, operator_id: str) -> Condor:
    """Its port."""
    return lab.operator(operator_id)


class Pool:
    """One pool's submissions, as the core describes them."""

    def __init__(self, lab: Lab, condor: Condor, operator_id: str, uid: str = POOL, **settings: Any) -> None:
        self.lab, self.condor, self.uid = lab, condor, uid
        self.facts = make_pool(uid)
        self.cluster = make_cluster()
        self.policy = make_policy(operator_id=operator_id, **settings)

    async def anchor(self) -> JobId:
        """Submit an anchor."""
        description = descriptions.anchor(
            self.facts, self.cluster, make_template(), "hash", self.policy, self.lab.now()
        )
        return await self.condor.submit_anchor(description, PAYLOAD)

    def unspooled(self) -> None:
        """Leave an anchor behind whose file will never come."""
        description = descriptions.anchor(
            self.facts, self.cluster, make_template(), "hash", self.policy, self.lab.now()
        )
        self.lab.unspooled(description, self.policy.operator_id)

    async def staged(self) -> Job:
        """Submit an anchor and wait until the access point has its file."""
        job = await self.anchor()
        jobs = await self.lab.until(self.condor, lambda jobs: by_id(jobs)[job].stage_in_finish)
        return by_id(jobs)[job]

    async def spooled(self, *names: str) -> tuple[JobId, ...]:
        """Submit workers with their files."""
        template = make_template(container_image=IMAGE, memory="100Mi")
        description = descriptions.workers(
            self.facts, self.cluster, template, "hash", "", self.policy, self.lab.now()
        )
        return await self.condor.spool_workers(spooled.described(description), names, PAYLOAD)

    async def workers(
        self, iwd: str | None, *names: str, requirements: str | None = None, **extra: str
    ) -> tuple[JobId, ...]:
        """Submit workers; `extra` takes the place of what the core describes."""
        template = make_template(container_image=IMAGE, requirements=requirements, memory="100Mi")
        description = descriptions.workers(
            self.facts, self.cluster, template, "hash", iwd or "/nowhere", self.policy, self.lab.now()
        )
        return await self.condor.submit_workers({**description, **extra}, names)


@pytest.fixture
def pool(lab: Lab, condor: Condor, operator_id: str) -> Pool:
    return Pool(lab, condor, operator_id)


def by_id(jobs: tuple[Job, ...]) -> dict[JobId, Job]:
    return {job.id: job for job in jobs}


async def test_says_who_the_operator_is(condor: Condor) -> None:
    assert await condor.whoami() == "dask@htcdask.test"


async def test_an_anchor_is_there_at_once_and_becomes_usable(pool: Pool, condor: Condor, lab: Lab) -> None:
    job = await pool.anchor()
    (seen,) = await condor.jobs_of(POOL)
    assert (seen.id, seen.role, seen.template_hash, seen.spooling) == (job, Role.ANCHOR, "hash", True)
    (staged,) = await lab.until(condor, lambda jobs: jobs[0].stage_in_finish)
    assert (staged.status, staged.hold_code, staged.hold_reason) == (JobStatus.IDLE, None, None)
    await condor.hold([job], "keeps the workers' files")
    (held,) = await condor.jobs()
    assert (held.status, held.hold_code, held.hold_subcode) == (JobStatus.HELD, 1, 1)
    assert "keeps the workers' files" in (held.hold_reason or "")
    assert held.iwd and not held.spooling


@pytest.mark.parametrize("image", ["docker://registry.invalid/none:1", "/cvmfs/nowhere/none.sif"])
async def test_the_image_of_an_anchor_is_nobody_s_to_fetch(
    pool: Pool, condor: Condor, lab: Lab, image: str
) -> None:
    template = make_template(container_image=image)
    description = descriptions.anchor(pool.facts, pool.cluster, template, "hash", pool.policy, lab.now())
    job = await condor.submit_anchor(description, PAYLOAD)
    (staged,) = await lab.until(condor, lambda jobs: jobs[0].stage_in_finish)
    await condor.hold([job], "keeps the workers' files")
    assert staged.status is JobStatus.IDLE
    assert lab.printed(staged) == {}, "there is the bundle, and nothing else"


async def test_a_hundred_workers_are_there_at_once_each_with_its_name(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    names = [f"w{number}" for number in range(100)]
    made = await pool.workers(None, *names, requirements=NEVER)
    jobs = await condor.jobs_of(POOL)
    assert {job.id: job.worker for job in jobs} == dict(zip(made, names, strict=True))
    assert {(job.role, job.status, job.pool_uid, job.cluster_uid, job.template_hash) for job in jobs} == {
        (Role.WORKER, JobStatus.IDLE, POOL, "cluster-uid", "hash")
    }
    assert {job.request_memory_mib for job in jobs} == {100}
    await condor.remove(made, "the end of the test")
    await lab.until(condor, lambda jobs: not jobs)


async def test_why_a_job_waits(pool: Pool, condor: Condor, lab: Lab, operator_id: str) -> None:
    (never,) = await pool.workers(None, "w1", requirements=NEVER)
    found = await condor.analyze(never)
    assert found is not None
    assert found.slots > 0
    assert [clause.text for clause in found.clauses if not clause.met] == [NEVER]
    assert (found.fit, found.take, found.room) == (0, 0, 0)
    assert await condor.analyze("999999.0") is None
    lab.hold(never)
    await lab.until(condor, lambda jobs: jobs[0].status is JobStatus.HELD)
    assert await condor.analyze(never) is None, "it waits for a person"
    assert await lab.operator(f"{operator_id}-other").analyze(never) is None, "it is not theirs"


async def test_a_worker_runs_and_is_removed(pool: Pool, condor: Condor, lab: Lab) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    (job,) = await pool.workers(anchor.iwd, "w1")
    running = by_id(await lab.until(condor, lambda jobs: by_id(jobs)[job].started_at))[job]
    assert (running.status, running.starts, running.vacated) == (JobStatus.RUNNING, 1, False)
    assert running.machine and abs(lab.now() - (running.started_at or 0)) < 60
    await condor.remove([job], "scaled down")
    await lab.until(condor, lambda jobs: [job.id for job in jobs] == [anchor.id])


async def test_a_removed_worker_whose_execute_node_is_silent_can_be_taken_out(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    (job,) = await pool.workers(anchor.iwd, "w1")
    await lab.until(condor, lambda jobs: by_id(jobs)[job].started_at)
    with lab.silent_execute_node():
        await condor.force_remove([job], "it was not removed before")
        assert by_id(await condor.jobs())[job].status is JobStatus.RUNNING
        await condor.remove([job], "scaled down")
        await lab.until(condor, lambda jobs: by_id(jobs)[job].status is JobStatus.REMOVED)
        await condor.force_remove([job], "its execute node does not answer")
        await lab.until(condor, lambda jobs: [job.id for job in jobs] == [anchor.id])


async def test_a_failed_worker_stays_to_be_read(pool: Pool, condor: Condor, lab: Lab) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    failed, good = await pool.workers(anchor.iwd, "fail1", "w1")
    jobs = by_id(
        await lab.until(
            condor,
            lambda jobs: by_id(jobs)[failed].status is JobStatus.COMPLETED and by_id(jobs)[good].started_at,
        )
    )
    assert (jobs[failed].exit_code, jobs[failed].exit_signal, jobs[failed].vacated) == (3, None, False)
    assert jobs[good].exit_code is None
    logs = await condor.logs(anchor.id, ["fail1", "w1", "never"])
    assert logs == {"fail1": "no luck on this machine\n"}
    await condor.remove([failed], "recorded")
    await lab.until(condor, lambda jobs: failed not in by_id(jobs))


async def test_what_a_worker_prints_is_bounded_on_the_access_point(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    flood, long = await pool.workers(anchor.iwd, "flood", "long")
    jobs = by_id(
        await lab.until(
            condor,
            lambda jobs: (
                by_id(jobs)[flood].status is JobStatus.HELD
                and by_id(jobs)[long].status is JobStatus.COMPLETED
            ),
        )
    )
    assert jobs[flood].hold_code == 33 and "max" in (jobs[flood].hold_reason or "")
    assert lab.printed(anchor) == {"out.ood": 2**20, "out.ong": 1_000_000}
    logs = await condor.logs(anchor.id, ["long"])
    assert (len(logs["long"]), logs["long"][-4:]) == (2**16, " end")


async def test_a_later_worker_writes_over_the_file_of_one_that_is_gone(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    for name in ("fail-001", "ok-001"):
        (job,) = await pool.workers(anchor.iwd, name)
        await lab.until(condor, lambda jobs: by_id(jobs)[job].status is JobStatus.COMPLETED)  # noqa: B023
    assert lab.printed(anchor) == {"out.001": 0}
    assert await condor.logs(anchor.id, ["ok-001"]) == {}


async def test_only_an_anchor_has_logs(pool: Pool, condor: Condor, lab: Lab) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    (failed,) = await pool.workers(anchor.iwd, "fail1")
    await lab.until(condor, lambda jobs: by_id(jobs)[failed].status is JobStatus.COMPLETED)
    assert await condor.logs(failed, ["fail1"]) == {}
    assert await condor.logs("999999.0", ["fail1"]) == {}
    assert await condor.logs(anchor.id, []) == {}
    assert await condor.logs(anchor.id, ["never", "fail1"]) == {"fail1": "no luck on this machine\n"}


async def test_workers_may_each_have_their_files_spooled_with_them(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    failed, good, other = await pool.spooled("fail1", "w1", "fail2")
    jobs = by_id(await condor.jobs_of(POOL))
    assert {job.id: (job.worker, job.role, job.anchor) for job in jobs.values()} == {
        failed: ("fail1", Role.WORKER, ""),
        good: ("w1", Role.WORKER, ""),
        other: ("fail2", Role.WORKER, ""),
    }
    assert all(job.spooling or job.stage_in_finish for job in jobs.values())
    jobs = by_id(
        await lab.until(
            condor,
            lambda jobs: (
                {by_id(jobs)[job].status for job in (failed, other)} == {JobStatus.COMPLETED}
                and by_id(jobs)[good].started_at
            ),
        )
    )
    assert (jobs[failed].exit_code, jobs[good].starts) == (3, 1)
    assert all(spooled.has_files(job) for job in jobs.values())
    assert await condor.logs(failed, ["fail1"]) == {"fail1": "no luck on this machine\n"}
    assert await condor.logs(failed, ["fail1", "fail2"]) == {"fail1": "no luck on this machine\n"}
    assert await condor.logs(good, ["w1"]) == {}
    await condor.remove([failed], "recorded")
    left = await lab.until(condor, lambda jobs: failed not in by_id(jobs))
    assert by_id(left)[other].status is JobStatus.COMPLETED, "it stays to be read"
    await condor.remove([good, other], "scaled down")
    await lab.until(condor, lambda jobs: not jobs)


async def test_a_rule_may_refuse_an_anchor_and_take_workers_with_their_files(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    with lab.anchors_refused("No jobs that never run"):
        with pytest.raises(RuleRefused) as refused:
            await pool.anchor()
        assert str(refused.value) == "No jobs that never run [said by the schedd ap@condor]"
        assert await condor.jobs() == ()
        (job,) = await pool.spooled("w1")
        await lab.until(condor, lambda jobs: by_id(jobs)[job].started_at)
    anchor = await pool.anchor()
    await condor.remove([job, anchor], "the end of the test")
    await lab.until(condor, lambda jobs: not jobs)


async def test_a_worker_with_its_own_files_has_one_life(pool: Pool, condor: Condor, lab: Lab) -> None:
    (job,) = await pool.spooled("w1")
    await lab.until(condor, lambda jobs: by_id(jobs)[job].started_at)
    lab.vacate(job)
    lost = by_id(await lab.until(condor, lambda jobs: by_id(jobs)[job].vacated))[job]
    assert lost.vacate_code == 1022
    await condor.remove([job], "the end of the test")
    await lab.until(condor, lambda jobs: not jobs)


async def test_a_site_may_have_the_bundle_transferred(lab: Lab, condor: Condor, operator_id: str) -> None:
    pool = Pool(lab, condor, operator_id, delivery="transfer")
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    failed, good = await pool.workers(anchor.iwd, "fail1", "w1")
    await lab.until(
        condor,
        lambda jobs: by_id(jobs)[failed].status is JobStatus.COMPLETED and by_id(jobs)[good].started_at,
    )
    assert await condor.logs(anchor.id, ["fail1"]) == {"fail1": "no luck on this machine\n"}
    await condor.remove([good, failed], "the end of the test")
    await lab.until(condor, lambda jobs: len(jobs) == 1)


@pytest.mark.parametrize("with_files", [False, True], ids=["anchor's files", "files of its own"])
async def test_a_successor_says_in_whose_place_it_comes_and_waits_for_its_turn(
    pool: Pool, condor: Condor, lab: Lab, with_files: bool
) -> None:
    template = make_template(container_image=IMAGE, memory="100Mi", max_runtime_seconds=3600)
    at = lab.now() + 3600

    def described(iwd: str, successor: Succession | None) -> Mapping[str, str]:
        return descriptions.workers(
            *(pool.facts, pool.cluster, template, "hash", iwd, pool.policy, lab.now()), succession=successor
        )

    if with_files:
        (old,) = await condor.spool_workers(spooled.described(described("", None)), ["w1"], PAYLOAD)
        new = described("", Succession("w1", at))
        (heir,) = await condor.spool_workers(spooled.described(new), ["w2"], PAYLOAD)
    else:
        anchor = await pool.staged()
        await condor.hold([anchor.id], "kept")
        (old,) = await condor.submit_workers(described(anchor.iwd or "", None), ["w1"])
        (heir,) = await condor.submit_workers(described(anchor.iwd or "", Succession("w1", at)), ["w2"])
    jobs = by_id(await condor.jobs_of(POOL))
    assert (jobs[old].lifetime, jobs[old].succeeds, jobs[old].connects_at) == (3240, "", None)
    assert (jobs[heir].lifetime, jobs[heir].succeeds) == (3240, "w1")
    assert jobs[heir].connects_at == pytest.approx(at, abs=1.5)
    jobs = by_id(await lab.until(condor, lambda jobs: by_id(jobs)[heir].started_at))
    assert jobs[heir].status is JobStatus.RUNNING
    await condor.remove(list(jobs), "the end of the test")
    await lab.until(condor, lambda jobs: not jobs)


async def test_a_worker_has_one_life(pool: Pool, condor: Condor, lab: Lab) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    (first,) = await pool.workers(anchor.iwd, "w1")
    await lab.until(condor, lambda jobs: by_id(jobs)[first].started_at)
    lab.vacate(first)
    await lab.until(condor, lambda jobs: by_id(jobs)[first].vacated)
    (second,) = await pool.workers(anchor.iwd, "w2")  # a whole negotiation, and slots for both
    jobs = by_id(await lab.until(condor, lambda jobs: by_id(jobs)[second].started_at))
    assert jobs[first].vacated
    assert jobs[first].vacate_code == 1022
    assert jobs[first].vacate_reason


async def test_a_job_that_a_person_held_waits_for_that_person(pool: Pool, condor: Condor, lab: Lab) -> None:
    (job,) = await pool.workers(None, "w1", requirements=NEVER)
    lab.hold(job)
    (held,) = await lab.until(condor, lambda jobs: jobs[0].status is JobStatus.HELD)
    assert (held.hold_code, held.spooling) == (1, False)
    assert held.hold_reason
    lab.release(job)
    (idle,) = await lab.until(condor, lambda jobs: jobs[0].status is JobStatus.IDLE)
    assert (idle.hold_code, idle.hold_reason, idle.vacated) == (None, None, False)
    await condor.remove([job], "the end of the test")


async def test_a_worker_that_was_held_while_it_ran_is_spent_when_it_is_released(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    anchor = await pool.staged()
    await condor.hold([anchor.id], "kept")
    (job,) = await pool.workers(anchor.iwd, "w1")
    await lab.until(condor, lambda jobs: by_id(jobs)[job].started_at)
    lab.hold(job)
    await lab.until(condor, lambda jobs: by_id(jobs)[job].status is JobStatus.HELD)
    lab.release(job)
    await lab.until(condor, lambda jobs: by_id(jobs)[job].vacated)
    await condor.remove([job], "the end of the test")


async def test_an_anchor_whose_submitter_died_can_only_be_removed(
    lab: Lab, condor: Condor, operator_id: str
) -> None:
    short = Pool(lab, condor, operator_id, "short", job_expiry_seconds=1)
    short.unspooled()
    (job,) = await condor.jobs()
    assert (job.role, job.spooling, job.stage_in_finish) == (Role.ANCHOR, True, None)
    lab.release(job.id)
    await condor.hold([job.id], "in vain")
    await lab.until(condor, lambda jobs: lab.now() > job.queued_at + 10)
    (job,) = await condor.jobs()
    assert (job.spooling, job.stage_in_finish) == (True, None), "its lease does not end it"
    await condor.remove([job.id], "its file will never come")
    await lab.until(condor, lambda jobs: not jobs)


async def test_jobs_of_others_are_neither_seen_nor_touched(
    pool: Pool, condor: Condor, lab: Lab, operator_id: str
) -> None:
    (mine,) = await pool.workers(None, "w1", requirements=NEVER)
    alices = lab.foreign(operator_id)
    other = lab.operator(f"{operator_id}-other")
    (others,) = await Pool(lab, other, f"{operator_id}-other").workers(None, "w1", requirements=NEVER)
    assert [job.id for job in await condor.jobs()] == [mine]
    assert [job.id for job in await condor.jobs_of(POOL)] == [mine]
    before = lab.lease(others)
    await condor.renew(lab.now() + 99_999)
    assert (lab.lease(alices), lab.lease(others)) == (None, before)
    await condor.hold([alices, others], "not ours")
    await condor.remove([mine, alices, others], "not ours")
    await lab.until(condor, lambda jobs: not jobs)
    assert [job.status for job in await other.jobs()] == [JobStatus.IDLE]
    assert lab.exists(alices)
    assert await condor.logs(others, ["w1"]) == {}


async def test_jobs_of_another_identity_are_seen_if_asked_for_and_never_touched(
    pool: Pool, condor: Condor, lab: Lab, operator_id: str
) -> None:
    (mine,) = await pool.workers(None, "w1", requirements=NEVER)
    alices = lab.foreign(operator_id)
    both = ("alice@htcdask.test", "nobody@htcdask.test")
    owners = {job.id: job.owner for job in await condor.jobs(both)}
    assert owners == {mine: "dask@htcdask.test", alices: "alice@htcdask.test"}
    assert [job.id for job in await condor.jobs_of(POOL, both)] == [mine]
    assert [job.id for job in await condor.jobs(['x" || true || "'])] == [mine]
    await condor.renew(lab.now() + 99_999)
    assert lab.lease(alices) is None
    await condor.hold([alices], "not ours")
    await condor.remove([mine, alices], "not ours")
    await condor.force_remove([alices], "not ours")
    await lab.until(condor, lambda jobs: not jobs)
    (left,) = await condor.jobs(both)
    assert left.id == alices
    assert left.status in (JobStatus.IDLE, JobStatus.RUNNING)


async def test_a_job_is_submitted_as_whom_it_was_planned_for_or_not_at_all(
    pool: Pool, condor: Condor, lab: Lab
) -> None:
    description = descriptions.anchor(
        pool.facts, pool.cluster, make_template(), "hash", pool.policy, lab.now()
    )
    with pytest.raises(CondorRefused, match="were planned for alice"):
        await condor.submit_anchor(description, PAYLOAD, "alice@htcdask.test")
    assert await condor.jobs() == ()
    job = await condor.submit_anchor(description, PAYLOAD, "dask@htcdask.test")
    await condor.remove([job], "the end of the test")


@pytest.mark.parametrize("ahead", [0.0, 85.0, -85.0])
async def test_times_are_by_the_operators_clock_and_leases_by_the_access_points(
    lab: Lab, operator_id: str, ahead: float
) -> None:
    condor = lab.operator(operator_id, ahead)
    await condor.whoami()
    ours = lab.now() - ahead
    pool = Pool(lab, condor, operator_id, job_expiry_seconds=500)
    description = descriptions.anchor(pool.facts, pool.cluster, make_template(), "hash", pool.policy, ours)
    job = await condor.submit_anchor(description, PAYLOAD)
    (seen,) = await condor.jobs()
    for time in (seen.queued_at, seen.status_since, (seen.lease or 0) - 500):
        assert abs(time - ours) < 5
    assert abs((lab.lease(job) or 0) - (lab.now() + 500)) < 5
    await condor.renew(ours + 700)
    assert abs((lab.lease(job) or 0) - (lab.now() + 700)) < 5
    (again,) = await condor.jobs()
    assert (again.queued_at, again.status_since) == (seen.queued_at, seen.status_since)
    await condor.remove([job], "the end of the test")


async def test_what_is_gone_can_be_held_and_removed_again(pool: Pool, condor: Condor, lab: Lab) -> None:
    (job,) = await pool.workers(None, "w1", requirements=NEVER)
    for _ in range(2):
        await condor.remove([job, "999999.0"], "twice")
        await condor.hold([job, "999999.0"], "too late")
    await condor.remove([], "nothing")
    await lab.until(condor, lambda jobs: not jobs)


async def test_without_its_operator_a_job_ends_with_its_lease(
    lab: Lab, condor: Condor, operator_id: str
) -> None:
    short = Pool(lab, condor, operator_id, "short", job_expiry_seconds=4)
    anchor = await short.staged()
    await condor.hold([anchor.id], "kept")
    await short.workers(anchor.iwd, "w1", requirements=NEVER)
    (running,) = await short.workers(anchor.iwd, "w2")
    await lab.until(condor, lambda jobs: by_id(jobs)[running].started_at)
    jobs = await lab.until(condor, lambda jobs: len(jobs) == 1)
    assert [(job.id, job.status) for job in jobs] == [(running, JobStatus.RUNNING)]
    await condor.remove([running], "the end of the test")


async def test_a_lease_is_renewed_for_all_jobs_in_one_go(lab: Lab, condor: Condor, operator_id: str) -> None:
    await condor.renew(lab.now())  # nothing to renew is no error
    for uid in ("one", "two"):
        await Pool(lab, condor, operator_id, uid).workers(None, "w1", "w2", requirements=NEVER)
    until = lab.now() + 5000.5
    await condor.renew(until)
    assert {round(job.lease or 0) - round(until) in (-1, 0, 1) for job in await condor.jobs()} == {True}
    await condor.remove([job.id for job in await condor.jobs()], "the end of the test")


async def test_a_bad_description_is_refused_and_leaves_nothing(
    lab: Lab, condor: Condor, operator_id: str, pool: Pool
) -> None:
    for text in ("Memory Cpus", "true)", '"a', "1K", 'x || "\\\\" == ") || true //"'):
        with pytest.raises(SubmitRefused, match="ClassAd expression"):
            await pool.workers(None, "w1", **{f"My.{attributes.AD_USER_REQUIREMENTS}": text})
    with pytest.raises(SubmitRefused, match="never be found again"):
        await Pool(lab, condor, "somebody-else").workers(None, "w1")
    with pytest.raises(SubmitRefused, match="only once"):
        await pool.workers(None, "w1", "w1")
    assert await condor.jobs() == ()
