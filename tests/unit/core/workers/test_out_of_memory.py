"""A pool whose workers run out of memory: what the next ones request, and when nothing more is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from htcdask_api import MemoryRequest, PoolStatus, Template
from htcdask_operator.core import reasons
from htcdask_operator.core.actions import Remove, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.model import Job, JobStatus, PoolFacts
from htcdask_operator.core.policy import Policy, Profile
from htcdask_operator.core.status import events
from htcdask_operator.core.workers import failure_policy, out_of_memory
from htcdask_operator.core.workers.out_of_memory import Most
from htcdask_operator.core.workers.states import State, Worker
from tests.builders import (
    POOL,
    make_anchor,
    make_cluster,
    make_job,
    make_memory,
    make_policy,
    make_pool,
    make_template,
)
from tests.unit.core.world import World

GIB = 2**30
BIG = Most(16384, "the profile big")
CGROUP = "Job has gone over cgroup memory limit of 4096 megabytes"


def held(code: int = 34, requested: int | None = 4096, peak: int | None = None, **facts: Any) -> Job:
    facts = {"hold_reason": CGROUP, **facts}
    return make_job(
        "w", JobStatus.HELD, hold_code=code, request_memory_mib=requested, memory_mib=peak, **facts
    )


def queued(mib: int, template_hash: str | None = None) -> Job:
    """A worker's job that was made for so much, unless its hash says something else."""
    return make_job(
        request_memory_mib=mib, template_hash=f"h{mib}" if template_hash is None else template_hash
    )


def lost(*jobs: Job) -> list[Worker]:
    return [Worker(job, State.FAILED, reasons.OUT_OF_RESOURCES) for job in jobs]


@pytest.mark.parametrize(
    ("job", "is_lost"),
    {
        "the execute node's cgroup": (held(), True),
        "of another release, in other words": (
            held(hold_reason="Job has encountered an OUT-OF-MEMORY"),
            True,
        ),
        "its disk was full": (held(hold_reason="Job has exceeded its disk allocation"), False),
        "resources, and as much was measured": (held(hold_reason="over its limit", peak=4096), True),
        "without a reason": (held(hold_reason=None), False),
        "a rule of the execute node, and as much": (held(21, peak=4096), True),
        "a rule of the execute node, and less": (held(21, peak=4095), False),
        "a rule of the execute node, and nothing measured": (held(21), False),
        "another code": (held(3, peak=9000), False),
        "a person": (held(1, peak=9000), False),
        "killed by the kernel, and as much": (
            make_job("w", JobStatus.COMPLETED, exit_signal=9, request_memory_mib=64, memory_mib=65),
            True,
        ),
        "the same, as a shell tells it": (
            make_job("w", JobStatus.COMPLETED, exit_code=137, request_memory_mib=64, memory_mib=65),
            True,
        ),
        "killed, and less": (
            make_job("w", JobStatus.COMPLETED, exit_signal=9, request_memory_mib=64, memory_mib=63),
            False,
        ),
        "ended by itself": (
            make_job("w", JobStatus.COMPLETED, exit_code=1, request_memory_mib=64, memory_mib=65),
            False,
        ),
        "it runs": (make_job("w", JobStatus.RUNNING, request_memory_mib=64, memory_mib=65), False),
    }.values(),
)
def test_who_is_lost_to_memory(job: Job, is_lost: bool) -> None:
    assert failure_policy.is_lost_to_memory(job) is is_lost


@pytest.mark.parametrize(
    ("requested", "peak", "next_one"),
    [
        (4096, None, 6144),  # half as much again
        (4096, 4200, 6144),  # more than the peak and its margin
        (4096, 5223, 6656),  # the peak and a quarter, and then whole steps
        (100, None, 256),
        (1, 0, 256),
        (4097, None, 6400),
    ],
)
def test_the_next_ones_request_half_as_much_again_and_more_than_was_measured(
    requested: int, peak: int | None, next_one: int
) -> None:
    assert out_of_memory.grown(requested, peak) == next_one


def asked(known: int | None, template: int, jobs: list[Job], most: Most | None = BIG) -> int | None:
    before = None if known is None else MemoryRequest(request_mib=known, template_mib=template)
    found = out_of_memory.request(before, template, lost(*jobs), most)
    return None if found is None else found.request_mib


@pytest.mark.parametrize(
    ("known", "template", "jobs", "most", "request_"),
    {
        "nobody was lost": (None, 4096, [], BIG, None),
        "one was lost": (None, 4096, [held()], BIG, 6144),
        "the same again: nothing changes": (6144, 4096, [held()], BIG, 6144),
        "several": (None, 4096, [held(), held(peak=8192), held()], BIG, 10240),
        "one of the larger": (6144, 4096, [held(requested=6144)], BIG, 9216),
        "no more than is allowed": (12288, 4096, [held(requested=12288)], BIG, 16384),
        "nothing more is allowed": (16384, 4096, [held(requested=16384, peak=99999)], BIG, 16384),
        "a peak out of all proportion": (None, 4096, [held(peak=2**50)], BIG, 16384),
        "the profile allows nothing": (None, 4096, [held()], None, None),
        "it does not any more": (6144, 4096, [held()], None, None),
        "a limit was lowered": (12288, 4096, [], Most(8192, "a limit"), 8192),
        "below the template": (12288, 4096, [held()], Most(4096, "a limit"), None),
        "it is not known what it requested": (None, 4096, [held(requested=None)], BIG, None),
        "an access point gave it less": (None, 4096, [held(requested=1024)], BIG, None),
        "an access point gave it more": (None, 4096, [held(requested=8192)], BIG, 12288),
        "more than is allowed": (None, 2048, [held(requested=8192)], Most(6144, "a limit"), None),
        "all that is allowed": (None, 2048, [held(requested=6144)], Most(6144, "a limit"), None),
        "one of several more than is allowed": (
            None,
            2048,
            [held(requested=8192), held(requested=2048)],
            Most(6144, "a limit"),
            3072,
        ),
    }.values(),
)
def test_what_the_next_ones_request(
    known: int | None, template: int, jobs: list[Job], most: Most | None, request_: int | None
) -> None:
    assert asked(known, template, jobs, most) == request_
    assert asked(request_, template, jobs, most) == request_, "seen twice, it is the same"


def test_it_is_said_how_many_had_how_much_and_who_allows_more() -> None:
    found = out_of_memory.request(None, 4096, lost(held(peak=5223), held(), held(peak=4500)), BIG)
    assert found is not None
    assert found.message == (
        "Workers now request 6.5 GiB of memory: 3 workers ran out of 4 GiB, with 5.101 GiB measured. "
        "The profile big allows 16 GiB."
    )
    lowered = out_of_memory.request(found, 4096, [], Most(6144, "the gateway's cluster_max_memory"))
    assert lowered is not None and lowered.message.endswith("what the gateway's cluster_max_memory allows.")


@pytest.mark.parametrize("template", [2048, 8192, 14336])
def test_another_memory_of_the_template_is_the_later_word(template: int) -> None:
    known = MemoryRequest(request_mib=13824, template_mib=4096, message="They grew.")
    found = out_of_memory.request(known, template, [], BIG)
    assert found is not None and (found.request_mib, found.template_mib) == (template, template)
    assert found.message == (
        f"Workers request {template // 1024} GiB of memory, as is written by now: it was "
        "4 GiB before, and 13.5 GiB after workers had run out of it."
    )
    assert out_of_memory.request(found, template, [], BIG) == found, "it stays"
    again = out_of_memory.request(found, template, lost(held(requested=template)), BIG)
    assert again is not None and again.request_mib == min(template * 3 // 2, BIG.mib)
    back = out_of_memory.request(found, 4096, [], BIG)
    assert back is not None and back.request_mib == 4096 and "had run out" not in back.message


@pytest.mark.parametrize(("template", "request_"), [(2048, 6144), (4096, 6144), (8192, None)])
def test_what_an_operator_of_before_wrote_down_grew_from_the_template_of_now(
    template: int, request_: int | None
) -> None:
    found = out_of_memory.request(MemoryRequest(request_mib=6144), template, [], BIG)
    assert (None if found is None else found.request_mib) == request_
    assert found is None or found.template_mib == template


# --- The whole of a plan.


def site(most: int = 16, memory: str = "4Gi", **settings: Any) -> Policy:
    big = Profile("big", Template(memory=memory), max_memory=most * GIB)
    return make_policy(profiles={"big": big}, **settings)


def pool(uid: str = POOL) -> PoolFacts:
    return make_pool(uid, template=make_template(profile="big"))


class Hungry(World):
    """Each worker needs so many GiB, and HTCondor holds one that has less."""

    need = 12

    def requested(self, job: Job) -> int:
        return job.request_memory_mib or 0

    def _one(self, action: Any) -> None:
        there = set(self.jobs)
        super()._one(action)
        if isinstance(action, SubmitWorkers | SubmitAnchor):
            for id_ in self.jobs.keys() - there:
                mib = int(action.description["request_memory"])
                self.jobs[id_] = replace(self.jobs[id_], request_memory_mib=mib, request_cores=1)

    def live(self) -> None:
        """Everybody has a slot, works, and needs what it needs."""
        self.settle()
        self.stage()
        self.settle()
        for job in [job for job in self.workers() if job.status is JobStatus.IDLE]:
            self.start(job)
        for job in [job for job in self.workers() if job.status is JobStatus.RUNNING]:
            if self.requested(job) < self.need * 1024:
                self.jobs[job.id] = replace(job, memory_mib=self.requested(job) + 100)
                self.hold(self.jobs[job.id], 34)
            else:
                self.connect(job)


def hungry(wanted: int = 3, policy: Policy | None = None, **config: Any) -> Hungry:
    cluster = make_cluster(wanted, config=config)
    return Hungry({POOL: pool()}, cluster, policy or site(), memory=make_memory(cluster))


def sizes(world: Hungry) -> set[int]:
    return {world.requested(job) for job in world.workers()}


def status(world: World) -> PoolStatus:
    return world.pools[POOL].status


def test_the_next_workers_request_more_until_they_have_enough() -> None:
    world, seen = hungry(), []
    for _ in range(6):
        world.live()
        seen.append(max(sizes(world)))
        world.now += 30
    assert seen == [4096, 6144, 9216, 13824, 13824, 13824]
    world.settle()
    assert len(world.connected) == 3
    assert status(world).condition("Ready").status == "True"  # type: ignore[union-attr]
    assert {failure.reason for failure in status(world).recent_failures} == {reasons.MEMORY_RAISED}
    assert status(world).memory_request is not None


def test_at_the_most_that_is_allowed_the_pool_stalls_with_peak_and_request() -> None:
    world = hungry(policy=site(most=6))
    for _ in range(12):
        world.live()
        assert sizes(world) <= {4096, 6144}
        world.now += 130
    world.settle()
    stalled = status(world).condition("Stalled")
    assert stalled is not None and (stalled.status, stalled.reason) == ("True", reasons.OUT_OF_RESOURCES)
    assert "It had used 6244 MiB of memory and asked for 6144 MiB" in stalled.message


@pytest.mark.parametrize(
    ("settings", "config", "whose"),
    [
        ({}, {"cluster_max_memory": 9 * GIB, "scheduler_memory": 2 * GIB}, "cluster_max_memory"),
        ({"max_memory_per_user": 7 * GIB}, {}, "the site's limit for one user in memory"),
        ({"max_memory": 7 * GIB}, {}, "the site's limit for all users in memory"),
    ],
)
def test_no_worker_is_larger_than_a_limit_allows(
    settings: dict[str, Any], config: dict[str, Any], whose: str
) -> None:
    world, seen = hungry(1, site(**settings), **config), set[int]()
    for _ in range(8):
        world.live()
        seen |= sizes(world)
        world.now += 60
    assert seen == {4096, 6144, 7 * 1024}
    found = status(world).memory_request
    assert found is not None and found.request_mib == 7 * 1024
    assert whose.lower() in found.message.lower()


def test_limits_count_what_is_really_asked_for() -> None:
    world = hungry(4, site(max_memory_per_user=17 * GIB))
    world.need = 6
    world.live()
    assert len(sizes(world)) == 1 and len(world.workers()) == 4
    world.live()
    assert [world.requested(job) for job in world.workers()] == [6144, 6144], "17 GiB are for two of them"


def test_what_runs_stays_and_what_waits_is_replaced() -> None:
    world = hungry(3)
    world.settle()
    world.stage()
    world.settle()
    running, dying, waiting = world.workers()
    world.start(running)
    world.connect(running)
    world.start(dying)
    world.jobs[dying.id] = replace(world.jobs[dying.id], memory_mib=5000)
    world.hold(world.jobs[dying.id], 34)
    done = world.settle()
    assert running.id in world.jobs and waiting.id not in world.jobs
    assert [action for action in done if isinstance(action, Remove) and running.id in action.jobs] == []
    bundles = [action.bundle.memory_limit for action in done if isinstance(action, SubmitAnchor)]
    assert bundles == [int(6400 * 2**20 * 0.9)]


def test_it_is_told_once() -> None:
    world = hungry(1)
    told = []
    for _ in range(8):
        before = status(world)
        world.live()
        told += [event.message for event in events.between(before, status(world)) if event.kind == "Normal"]
        world.now += 10
    said = [message for message in told if message.startswith("Workers now request")]
    assert len(said) == 3 == len(set(said))


def test_a_new_operator_knows_it_by_the_status_or_by_the_queue() -> None:
    for wiped in (False, True):
        world = hungry(1)
        world.need = 6
        world.live()
        world.live()
        assert sizes(world) == {6144}
        world.settle()
        world.memory = make_memory(world.cluster)
        if wiped:
            world.pools[POOL] = replace(world.pools[POOL], status=PoolStatus())
        assert world.settle() == []
        found = status(world).memory_request
        assert found is not None and found.request_mib == 6144


@pytest.mark.parametrize("memory", ["2Gi", "8Gi", "5G"])
def test_another_memory_of_the_profile_takes_a_grown_request_back(memory: str) -> None:
    """For good, although anchor and workers of before are still there."""
    world = hungry(1)
    for _ in range(5):
        world.live()
    assert sizes(world) == {13824}
    (large,) = world.workers()
    world.policy, world.need = site(memory=memory), 1
    world.memory = make_memory(world.cluster)  # settings are read at the start
    world.cluster = make_cluster(2)
    for _ in range(3):
        world.now += 60
        world.live()
    own = -(-Template(memory=memory).memory_bytes // 2**20)
    assert large.id in world.jobs and sizes(world) == {13824, own}
    found = status(world).memory_request
    assert found is not None and found.request_mib == found.template_mib == own
    del world.jobs[large.id]
    world.memory = make_memory(world.cluster)
    world.live()
    assert sizes(world) == {own}


@pytest.mark.parametrize(
    ("jobs", "known"),
    {
        "an anchor": ([make_anchor("h6144", request_memory_mib=6144)], 6144),
        "workers alone, where the access point refuses anchors": ([queued(6144)] * 3, 6144),
        "the largest of them": ([queued(6144), queued(9216), queued(4096)], 9216),
        "with less than the template": ([queued(1024)], None),
        "made larger by the access point": ([queued(6144, "h4096")], None),
        "of a hash that nobody knows": ([queued(6144, "")], None),
        "nothing": ([], None),
    }.values(),
)
def test_what_the_queue_proves(jobs: list[Job], known: int | None) -> None:
    found = out_of_memory.proven(jobs, 4096, lambda mib: f"h{mib}")
    assert (None if found is None else found.request_mib) == known
    assert out_of_memory.proven(jobs, 4096, lambda mib: None) is None, "what cannot be submitted"


def test_a_request_that_the_access_point_made_larger_is_no_memory_of_losses() -> None:
    world = hungry(1)
    world.need = 1
    world.live()
    for job in list(world.jobs.values()):
        world.jobs[job.id] = replace(job, request_memory_mib=8192)
    world.memory = make_memory(world.cluster)
    assert world.settle() == []
    assert status(world).memory_request is None


def test_an_access_point_that_makes_each_request_small_does_not_let_a_pool_try_for_ever() -> None:
    class Shrinking(Hungry):
        def _one(self, action: Any) -> None:
            super()._one(action)
            for job in self.workers():
                self.jobs[job.id] = replace(job, request_memory_mib=min(self.requested(job), 4096))

    cluster = make_cluster(1)
    world = Shrinking({POOL: pool()}, cluster, site(), memory=make_memory(cluster))
    for _ in range(12):
        world.live()
        world.now += 130
    world.settle()
    stalled = status(world).condition("Stalled")
    assert stalled is not None and stalled.status == "True"


def test_without_a_word_of_the_profile_nothing_changes() -> None:
    policy = make_policy(profiles={"big": Profile("big", Template(memory="4Gi"))})
    world = hungry(1, policy)
    for _ in range(3):
        world.live()
        world.now += 130
    assert sizes(world) <= {4096}
    assert status(world).memory_request is None
