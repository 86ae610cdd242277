"""Where a rule of the access point refuses the anchor, each worker brings its files: the shell on fakes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from htcdask_operator.condor.errors import CondorError, CondorRefused, CondorTimeout, SubmitRefused
from htcdask_operator.core.model import Job, JobId, JobStatus
from htcdask_operator.core.submit import spooled
from htcdask_operator.core.workers import states
from tests.fakes.condor import Life
from tests.unit.site import Site

RULE = "No jobs that never run"
ROAD = "FilesSpooledWithWorkers"


def anchors_only(description: Mapping[str, str]) -> str | None:
    return RULE if description["My.HTCDaskRole"] == '"anchor"' else None


@pytest.fixture
def site() -> Site:
    made = Site()
    made.schedd.rule = anchors_only
    return made


def count(site: Site, call: str) -> int:
    return site.condor.calls.count(call)


def told(site: Site) -> list[str]:
    return [message for _, _, reason, message in site.kube.events if reason == ROAD]


async def test_workers_come_in_the_same_cycle_and_it_is_said_once(site: Site) -> None:
    site.add_cluster(wanted=3)
    await site.poll()
    await site.cycle()
    assert len(site.jobs(JobStatus.HELD)) == (await site.pool()).status.submitting == 3
    await site.settle()
    assert (await site.condition("Ready"))[:2] == ("True", "WorkersConnected")
    assert (count(site, "submit_anchor"), count(site, "spool_workers")) == (1, 1)
    assert not count(site, "submit_workers")
    said = await site.condition("CondorReachable")
    assert said[:2] == ("True", ROAD) and said[2].endswith(
        f" is refused. {RULE} [said by the schedd ap@condor]"
    )
    assert told(site) == [said[2]]
    assert all("CERT" in site.schedd.files[job.id]["bundle.sh"] for job in site.jobs())
    writes = site.kube.status_writes
    await site.cycle()
    assert site.kube.status_writes == writes


async def test_many_are_sent_in_parts_that_keep_the_deadline(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    spool = site.condor.spool_workers

    async def counted(description: Mapping[str, str], names: Sequence[str], *rest: Any) -> tuple[JobId, ...]:
        sizes.append(len(names))
        return await spool(description, names, *rest)

    monkeypatch.setattr(site.condor, "spool_workers", counted)
    site.add_cluster(wanted=250)
    await site.settle()
    assert sizes == [100, 100, 50]
    assert len(site.jobs(JobStatus.RUNNING)) == 250


@pytest.mark.parametrize(
    "error",
    [
        SubmitRefused(
            "the schedd ap takes no more jobs of the operator's account at a time: MAX_JOBS_PER_OWNER"
        ),
        CondorRefused("the schedd ap does not accept the operator's token"),
        CondorTimeout("HTCondor has not answered for 30 s"),
        CondorError("the schedd ap says: something"),
    ],
)
async def test_only_a_rule_makes_a_pool_take_this_road(
    site: Site, error: CondorError, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(site.condor, "submit_anchor", fails)
    site.add_cluster(wanted=3)
    await site.settle(3)
    assert not count(site, "spool_workers") and not site.schedd.queue


async def test_where_the_workers_are_refused_too_the_site_s_words_are_quoted(site: Site) -> None:
    site.schedd.rule = lambda _: "No."
    site.add_cluster(wanted=3)
    await site.settle(3)
    reason, message = (await site.condition("Ready"))[1:]
    assert reason == "SubmitRefused"
    assert message.startswith("No. [said by the schedd ap@condor]. Refused was a worker. Next try at ")
    assert (count(site, "submit_anchor"), count(site, "spool_workers")) == (1, 2), "of three, and of one"


async def test_an_anchor_is_tried_again_after_an_hour_and_new_workers_use_it(site: Site) -> None:
    site.add_cluster(wanted=2)
    await site.settle()
    before = {job.id for job in site.jobs()}
    site.schedd.tick(spooled.AGAIN_SECONDS - 60)
    await site.settle(3)
    assert count(site, "submit_anchor") == 1
    site.schedd.tick(60)
    await site.settle(3)
    assert count(site, "submit_anchor") == 2
    assert len(told(site)) == 1, "and refused again, which nobody has to hear"
    site.schedd.rule = lambda _: None
    site.schedd.tick(spooled.AGAIN_SECONDS)
    await site.settle(3)
    site.scale(3)
    await site.settle()
    assert (await site.condition("CondorReachable"))[1] == "CondorReachable"
    (new,) = [job for job in site.jobs() if job.id not in before]
    assert new.anchor and before < {job.id for job in site.jobs()}, "the others go on"
    assert (count(site, "submit_anchor"), count(site, "submit_workers")) == (3, 1)


async def test_what_a_failed_worker_said_is_read_from_its_own_job_before_that_goes(site: Site) -> None:
    site.schedd.life = lambda worker: Life(f"htcdask: worker {worker} on n ended: no luck\n", 3)
    site.use_policy(backoff_first_seconds=500.0)
    site.add_cluster(wanted=3)
    await site.settle()
    status = (await site.pool()).status
    (failure,) = status.recent_failures
    assert "It said: no luck" in failure.message
    assert (status.failed, site.schedd.queue) == (3, {})
    assert count(site, "logs") == 1, "one event, one log"
    (kept,) = site.kube.log_bodies["gateway", "default-c1"]["workers"]
    assert (kept["name"], kept["text"].endswith("no luck\n")) == (failure.worker, True)


async def test_a_log_that_does_not_come_keeps_no_job(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise CondorTimeout("HTCondor has not answered")

    monkeypatch.setattr(site.condor, "logs", fails)
    site.schedd.life = lambda _: Life("words", 3)
    site.use_policy(backoff_first_seconds=500.0)
    site.add_cluster(wanted=2)
    await site.settle()
    status = (await site.pool()).status
    assert (status.failed, site.schedd.queue) == (2, {})
    assert status.recent_failures[0].log_tail == ""


async def test_workers_whose_files_never_came_count_until_they_are_replaced(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent ended between the submit and the files."""

    async def half(description: Mapping[str, str], names: Sequence[str], *_: object) -> None:
        site.schedd.add_spooled("htcdask", site.condor.identity, description, names, None)
        raise CondorTimeout("HTCondor has not answered")

    with monkeypatch.context() as patch:
        patch.setattr(site.condor, "spool_workers", half)
        site.add_cluster(wanted=3)
        await site.settle()
    await site.settle()
    first = site.jobs()
    assert len(first) == 3 and all(job.spooling for job in first)
    assert (await site.pool()).status.submitting == 3 and not count(site, "spool_workers")
    site.schedd.tick(states.SPOOL_SECONDS)
    await site.settle(30)
    assert not _ids(first) & _ids(site.jobs())
    assert len(site.jobs(JobStatus.RUNNING)) == 3
    assert {failure.reason for failure in (await site.pool()).status.recent_failures} == {"NeverSpooled"}


@pytest.mark.parametrize("seen", [True, False], ids=["seen leaving", "gone"])
async def test_workers_that_the_access_point_removes_as_their_files_did_not_come_blame_nobody(
    site: Site, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    async def half(description: Mapping[str, str], names: Sequence[str], *_: object) -> None:
        site.schedd.add_spooled("htcdask", site.condor.identity, description, names, None)
        raise CondorTimeout("HTCondor has not answered")

    with monkeypatch.context() as patch:
        patch.setattr(site.condor, "spool_workers", half)
        site.add_cluster(wanted=3)
        await site.settle()
    await site.settle()
    for job in site.jobs():
        site.schedd.remove(job.id)
        entry = site.schedd.queue[job.id]
        entry.job = replace(entry.job, remove_reason="Staging of job files failed", hold_code=None)
    if not seen:
        site.schedd.tick()
    await site.settle(30)
    (failure,) = (await site.pool()).status.recent_failures
    assert failure.reason == "NeverSpooled" and "before its files had been sent" in failure.message
    assert len(site.jobs(JobStatus.RUNNING)) == 3


async def test_who_is_still_being_sent_goes_first_when_fewer_are_wanted(site: Site) -> None:
    site.add_cluster(wanted=2)
    await site.settle()
    running = _ids(site.jobs(JobStatus.RUNNING))
    site.scale(4)
    await site.poll()
    await site.cycle()
    assert len(site.jobs(JobStatus.HELD)) == 2
    site.scale(2)
    await site.settle(3)
    assert _ids(site.jobs()) == running


async def test_a_deleted_pool_leaves_nothing(site: Site) -> None:
    uid = site.add_cluster(wanted=3)
    await site.settle()
    site.kube.delete_pool("gateway", "default-c1")
    await site.settle()
    assert site.is_gone(uid) and not site.schedd.queue


def _ids(jobs: Sequence[Job]) -> set[JobId]:
    return {job.id for job in jobs}
