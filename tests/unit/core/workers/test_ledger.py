"""Births, deaths, and a pace that nothing escapes: ten minutes of a pool that wants twenty workers.

Each case is something that happens around the workers, again and again, and the most that may be submitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from htcdask_api import Failure, PoolStatus
from htcdask_operator.core import memory, timestamps
from htcdask_operator.core.actions import Remove, SubmitAnchor, SubmitWorkers
from htcdask_operator.core.memory import ClusterMemory, PoolMemory, RefusedSubmit, Results
from htcdask_operator.core.model import JobStatus, Role
from htcdask_operator.core.workers import ledger
from htcdask_operator.core.workers.ledger import Batch, Ledger
from tests.builders import NOW, POOL, make_cluster, make_policy, make_pool
from tests.unit.core.world import World

TWENTY = make_cluster(20)
RUNNING, IDLE = JobStatus.RUNNING, JobStatus.IDLE


def ready(wanted: int = 20, **policy: object) -> World:
    """A pool whose anchor is there."""
    world = World({POOL: make_pool()}, make_cluster(wanted), make_policy(**policy))
    world.settle()
    world.stage()
    return world


@dataclass
class Minutes:
    """What was submitted while something happened each second."""

    world: World
    workers: int = 0
    anchors: int = 0

    def pass_by(self, seconds: int, happens: Callable[[World], None]) -> Minutes:
        for _ in range(seconds):
            self.world.now += 1
            self.world.stage()
            happens(self.world)
            for action in self.world.settle(rounds=8):
                self.workers += len(action.names) if isinstance(action, SubmitWorkers) else 0
                self.anchors += isinstance(action, SubmitAnchor)
        return self

    @property
    def reason(self) -> str:
        """Why it is Stalled; nothing if it is not."""
        stalled = self.world.pools[POOL].status.condition("Stalled")
        return stalled.reason if stalled is not None and stalled.status == "True" else ""

    @property
    def ready_reason(self) -> str:
        found = self.world.pools[POOL].status.condition("Ready")
        return "" if found is None else found.reason


def start_all(world: World) -> None:
    for job in world.workers():
        if job.status is IDLE and not job.vacated:
            world.start(job)


def somebody_removes_them(world: World) -> None:
    """A person, SYSTEM_PERIODIC_REMOVE, a transform."""
    for job in world.workers():
        del world.jobs[job.id]
        world.connected.discard(job.worker)


def somebody_removes_running_ones(world: World) -> None:
    world.processes_end()
    for job in world.workers():
        if job.status is RUNNING and world.now - job.status_since > 20:
            world.change(job, JobStatus.REMOVED, remove_reason="via condor_rm (by user carol)")
    start_all(world)


def somebody_removes_the_anchor(world: World) -> None:
    for job in list(world.jobs.values()):
        if job.role is Role.ANCHOR:
            del world.jobs[job.id]


def they_are_evicted_at_once(world: World) -> None:
    for job in world.workers():
        if job.status is RUNNING:
            world.vacate(job, 1022)
    start_all(world)


def an_old_access_point_evicts_them_for_a_bad_image(world: World) -> None:
    for job in world.workers():
        if job.status is RUNNING:
            world.vacate(job, None)
    start_all(world)


def they_end_with_0_after_six_seconds(world: World) -> None:
    for job in world.workers():
        if job.status is RUNNING:
            world.connect(job)
            if world.now - job.status_since >= 6:
                world.end(job)
    start_all(world)


def they_end_with_0_after_seventy_seconds(world: World) -> None:
    for job in world.workers():
        if job.status is RUNNING and world.now - job.status_since >= 70:
            world.end(job)
    start_all(world)


def one_survives_and_the_others_die(world: World) -> None:
    start_all(world)
    for job in world.workers():
        if job.status is RUNNING:
            world.connect(job)
            if not job.worker.endswith("000") and world.now - job.status_since >= 3:
                world.end(job, 1)


def failures_hide_behind_evictions(world: World) -> None:
    for number, job in enumerate(world.workers()):
        if job.status is RUNNING and (number + int(world.now)) % 8 == 0:
            world.end(job, 1)
        elif job.status is RUNNING:
            world.change(job, IDLE, vacate_code=1022, started_at=world.now - 100)
    start_all(world)


@pytest.mark.parametrize(
    ("happens", "most", "stalled"),
    [
        (somebody_removes_them, 30, "RemovedByOthers"),
        (they_are_evicted_at_once, 30, ""),
        (an_old_access_point_evicts_them_for_a_bad_image, 30, "WorkersKeepFailing"),
        (they_end_with_0_after_six_seconds, 100, "WorkersKeepFailing"),
        (they_end_with_0_after_seventy_seconds, 120, ""),
        (one_survives_and_the_others_die, 100, ""),
        (failures_hide_behind_evictions, 160, "WorkersKeepFailing"),
        (somebody_removes_running_ones, 30, "RemovedByOthers"),
    ],
)
def test_whatever_ends_them_few_are_submitted_in_ten_minutes(
    happens: Callable[[World], None], most: int, stalled: str | None
) -> None:
    minutes = Minutes(ready()).pass_by(600, happens)
    assert 20 <= minutes.workers <= most
    if stalled is not None:
        assert minutes.reason == stalled


def test_an_anchor_that_is_removed_each_time_comes_a_few_times_and_then_a_person_is_called() -> None:
    minutes = Minutes(ready()).pass_by(600, somebody_removes_the_anchor)
    assert (minutes.anchors, minutes.workers) == (2, 0)
    assert minutes.reason == "AnchorRemoved"


def test_who_waits_for_files_that_are_gone_goes_while_the_pool_pauses() -> None:
    world = ready()
    world.settle()
    assert len(world.workers()) == 20
    Minutes(world).pass_by(5, somebody_removes_the_anchor)
    assert world.workers() == [], "they would only start to fail"


def test_who_removed_a_worker_is_said_in_htcondors_words() -> None:
    minutes = Minutes(ready()).pass_by(60, somebody_removes_running_ones)
    failure = minutes.world.pools[POOL].status.recent_failures[0]
    assert failure.reason == "RemovedByOthers"
    assert failure.message.endswith("was removed by somebody else: via condor_rm (by user carol).")


def test_jobs_that_are_never_shown_are_submitted_once_and_named() -> None:
    world = ready()
    minutes, submits = Minutes(world), list[tuple[str, ...]]()
    for _ in range(600):
        world.now += 1
        planned = world.plan()
        for action in planned.actions:
            if isinstance(action, SubmitWorkers):
                ids = tuple(f"99.{number}" for number in range(len(action.names)))
                submits.append(ids)
                world.memory = memory.performed(planned.memory, Results(workers={POOL: ids}), world.now)
                break
        else:
            world.apply(planned)
    assert [len(ids) for ids in submits] == [20]
    assert minutes.reason == "JobsNotShown"
    stalled = world.pools[POOL].status.condition("Stalled")
    assert stalled is not None and "accepted 20 jobs (99.0, 99.1, 99.2, ...)" in stalled.message


def test_an_anchor_that_is_never_shown_is_submitted_once_and_named() -> None:
    world = World({POOL: make_pool()}, make_cluster(20))
    minutes, anchors = Minutes(world), 0
    for _ in range(600):
        world.now += 1
        planned = world.plan()
        if any(isinstance(action, SubmitAnchor) for action in planned.actions):
            anchors += 1
            results = Results(anchors={POOL: f"{anchors}.0"})
            world.memory = memory.performed(planned.memory, results, world.now)
        else:
            world.apply(planned)
    assert anchors == 1, "another one would be as little seen"
    assert minutes.reason == "JobsNotShown"


def test_it_is_told_as_soon_as_a_job_had_the_time_to_be_shown() -> None:
    world = World({POOL: make_pool()}, make_cluster(20))
    world.settle()
    world.jobs.clear()
    world.memory = memory.performed(world.plan().memory, Results(anchors={POOL: "7.0"}), world.now)
    while (wake_at := world.plan().wake_at) is not None and wake_at <= NOW + ledger.SHOWN_SECONDS:
        world.now = wake_at
        world.apply(world.plan())
    assert Minutes(world).reason == "JobsNotShown"


def test_what_was_not_shown_is_given_up_when_it_would_have_ended_by_itself() -> None:
    known = ledger.accepted(Ledger(), ["7.0"], NOW, anchor=False)
    before, _ = ledger.after_answer(known, [], 100, 3600, NOW + 3599)
    after, _ = ledger.after_answer(known, [], 100, 3600, NOW + 3600)
    assert (before.not_shown(NOW + 3599), after.not_shown(NOW + 3600)) == (("7.0",), ())


def test_old_failures_do_not_slow_down_a_pool_that_has_long_been_well() -> None:
    days_ago = tuple(
        Failure(
            time=timestamps.written(NOW - 259_200 - n), worker=f"w{n}", reason="WorkerFailed", log_tail=""
        )
        for n in range(5)
    )
    world = World({POOL: make_pool(status=PoolStatus(recent_failures=days_ago))}, make_cluster(100))
    world.settle()
    world.stage()
    submitted = [action for action in world.settle() if isinstance(action, SubmitWorkers)]
    assert [len(action.names) for action in submitted] == [100]


def test_a_worker_that_was_of_use_ends_what_failed_before_it() -> None:
    world = ready()
    minutes = Minutes(world).pass_by(40, they_are_evicted_at_once)

    def all_is_well(world: World) -> None:
        start_all(world)
        for job in world.workers():
            if job.status is RUNNING:
                world.connect(job)

    minutes.pass_by(300, all_is_well)
    assert len(world.connected) == 20
    known = world.memory.of(POOL).ledger
    assert known is not None and known.succeeded_at > NOW + 40
    assert minutes.ready_reason == "WorkersConnected"


def test_workers_that_end_as_somebody_wished_cost_nothing() -> None:
    """adapt() up and down for an hour."""
    world = ready(0)
    minutes = Minutes(world)

    def work(world: World) -> None:
        start_all(world)
        for job in world.workers():
            if job.status is RUNNING:
                world.connect(job)

    def rest(world: World) -> None:
        for job in world.workers():
            if job.status is RUNNING:
                world.end(job)

    for _ in range(20):
        world.cluster = make_cluster(100)
        minutes.pass_by(70, work)
        assert len(world.connected) == 100
        world.cluster = make_cluster(0)
        minutes.pass_by(70, rest)
    assert minutes.workers == 2000


def test_a_gap_without_answers_makes_nobody_a_thief() -> None:
    """Who was not looked at for long may have ended and been forgotten."""
    world = ready()
    world.settle()
    world.now += 400
    for job in world.workers():
        del world.jobs[job.id]
    world.settle()
    assert world.pools[POOL].status.recent_failures == ()


def test_after_a_restart_the_status_is_all_that_is_remembered() -> None:
    minutes = Minutes(ready()).pass_by(120, somebody_removes_them)
    before = minutes.workers
    minutes.world.memory = ClusterMemory()
    minutes.pass_by(120, somebody_removes_them)
    assert minutes.workers - before <= 1
    assert minutes.reason == "RemovedByOthers"


# --- One submit.


def tries(limit: int, wanted: int, owner: int | None = None) -> tuple[list[int], int]:
    """The sizes that are tried where one submit may have so many, and all of them together `owner`."""
    batch, left, sizes, now = Batch(), wanted, list[int](), NOW
    while left and len(sizes) < 100:
        size = min(batch.size(now), left)
        sizes.append(size)
        room = limit if owner is None else min(limit, owner - (wanted - left))
        if size <= room:
            batch, left = batch.took(size), left - size
        else:
            batch = batch.too_many(size, now)
            if size == 1:
                break
    return sizes, wanted - left


def test_ten_thousand_workers_come_in_submits_of_a_thousand() -> None:
    assert tries(10_000, 10_000) == ([1000] * 10, 10_000)


def test_what_one_submit_may_have_is_found_and_kept() -> None:
    sizes, made = tries(5, 100)
    assert made == 100
    assert sizes[:6] == [100, 25, 6, 1, 3, 4]
    assert len([size for size in sizes if size > 5]) <= 4
    assert sizes[-2] == 5


DOWN, BETWEEN = 5, 10  # tries: by a quarter each (4**5), and by half of what is between (2**10), from 1000


def test_what_one_owner_may_have_is_reached_in_as_many_tries_as_looking_for_it_takes() -> None:
    sizes, made = tries(1000, 1000, owner=137)
    assert made == 137
    assert len(sizes) <= DOWN + BETWEEN + DOWN, "what is left then is so few that it is but a way down"
    for owner in range(1, 1001):
        sizes, made = tries(1000, 1000, owner)
        assert made == owner
        assert len(sizes) <= 3 * (DOWN + BETWEEN), f"what is left of {owner} is looked for twice, and is few"


def test_a_submit_that_is_late_makes_the_next_smaller() -> None:
    late = memory.performed(ClusterMemory(), Results(unanswered={POOL: 1000}), NOW).of(POOL).ledger
    assert late is not None and late.batch.size(NOW) == 250


def test_what_a_submit_was_refused_for_an_hour_ago_is_tried_again() -> None:
    batch = Batch().too_many(1000, NOW)
    assert (batch.size(NOW + 10), batch.size(NOW + 3600)) == (250, 1000)


def test_a_plan_submits_no_more_than_one_submit_may_have() -> None:
    world = World(
        {POOL: make_pool(max_replicas=5000)}, make_cluster(2500), make_policy(max_replicas_per_pool=5000)
    )
    world.settle()
    world.stage()
    world.apply(world.plan())
    sizes = []
    for _ in range(4):
        planned = world.plan()
        sizes += [len(action.names) for action in planned.actions if isinstance(action, SubmitWorkers)]
        world.apply(planned)
    assert sizes == [1000, 1000, 500]


# --- Jobs that wait and can never start rightly.


def test_idle_jobs_whose_anchor_is_gone_are_replaced() -> None:
    world = ready()
    world.settle()
    (old,) = [job for job in world.jobs.values() if job.role is Role.ANCHOR]
    for job in world.workers():
        world.jobs[job.id] = replace(job, anchor=old.id)
    world.jobs = {job.id: job for job in world.workers()}
    world.now += 11  # the anchor's removal is an event of its own
    world.settle()
    world.now += 11
    world.settle()
    world.stage()
    world.settle()
    assert len(world.workers()) == 20
    assert not any(job.anchor == old.id for job in world.workers())


def test_idle_jobs_of_another_template_are_replaced_and_running_ones_stay() -> None:
    world = ready(2)
    world.settle()
    running, waiting = world.workers()
    world.start(running)
    world.connect(running)
    pool = world.pools[POOL]
    spec = pool.spec.model_copy(update={"template": pool.spec.template.model_copy(update={"cores": 4})})
    world.pools[POOL] = replace(pool, spec=spec)
    world.now += 1
    world.settle()
    world.stage()
    world.settle()
    names = {job.worker for job in world.workers()}
    assert running.worker in names and waiting.worker not in names and len(names) == 2


def test_a_template_that_changes_each_second_is_followed_at_the_pools_pace() -> None:
    world = ready()
    minutes = Minutes(world)

    def edit(world: World) -> None:
        pool = world.pools[POOL]
        template = pool.spec.template.model_copy(update={"cores": 1 + int(world.now) % 7})
        world.pools[POOL] = replace(pool, spec=pool.spec.model_copy(update={"template": template}))

    minutes.pass_by(600, edit)
    assert minutes.workers + minutes.anchors <= 60 + 60


def test_a_refused_submit_gives_its_tokens_back_or_at_least_costs_no_more_than_once() -> None:
    known = ledger.Ledger().submitting(20, ledger.pace(20), NOW)
    assert known.left(ledger.pace(20), NOW) == 40
    refused = memory.performed(ClusterMemory(), Results(refused={POOL: RefusedSubmit("no", 20)}), NOW)
    assert refused.of(POOL).refusal is None


def test_removals_of_ours_are_nobodys_failures() -> None:
    world = ready()
    world.settle()
    world.cluster = make_cluster(0)
    done = world.settle()
    assert any(isinstance(action, Remove) for action in done)
    world.processes_end()
    world.settle()
    assert world.pools[POOL].status.recent_failures == ()


def test_who_has_to_be_removed_again_and_again_makes_room_once() -> None:
    """The access point may refuse a removal, and the pool's pace is then still one."""
    world = ready()
    world.settle()
    world.cluster = make_cluster(0)
    left = list[int]()
    for _ in range(3):
        world.now += 1
        planned = world.plan()
        assert any(isinstance(action, Remove) for action in planned.actions)
        world.memory = planned.memory  # and nothing was removed
        its = planned.memory.of(POOL).ledger
        assert its is not None
        left.append(its.left(ledger.pace(20), world.now))
    assert left == [59, 59, 59]


def test_a_remembered_failure_says_what_its_last_lines_said_when_they_came_later() -> None:
    first, other = (
        Failure(time=timestamps.written(NOW - ago), worker=f"w{ago}", reason="WorkerFailed") for ago in (1, 2)
    )
    known = Ledger(failures=(first, other))
    told = first.model_copy(update={"message": "It said: KeyError: 'x'", "log_tail": "KeyError: 'x'"})
    assert known.told([told]).failures == (told, other)
    assert known.told([first]) is known


def test_jobs_that_the_access_point_did_not_take_cost_no_pace() -> None:
    rate = ledger.pace(40)
    spent = Ledger().submitting(40, rate, NOW)
    before = ClusterMemory(pools={"pool": PoolMemory(ledger=spent)})
    refused = {"pool": RefusedSubmit("MAX_JOBS_PER_OWNER is reached", 40)}
    after = memory.performed(before, Results(refused=refused), NOW).of("pool").ledger
    assert after is not None
    assert after.left(rate, NOW) == rate.burst - 40
    assert after.settled(rate, NOW).left(rate, NOW) == rate.burst
    assert after.settled(rate, NOW).settled(rate, NOW).left(rate, NOW) == rate.burst, "given back once"


def test_what_was_not_taken_is_given_back_before_a_smaller_pool_has_less_to_spend() -> None:
    large, small = ledger.pace(100), ledger.pace(5)
    its = Ledger().submitting(100, large, NOW)
    its = replace(its, untaken=80).settled(small, NOW)
    assert its.left(small, NOW) == small.burst - 20


def test_an_anchor_that_a_rule_refused_costs_no_pace() -> None:
    rate = ledger.pace(1)
    before = ClusterMemory(pools={POOL: PoolMemory(ledger=Ledger().submitting(1, rate, NOW))})
    refused = {POOL: RefusedSubmit("SUBMIT_REQUIREMENT", 1, anchor=True, template_hash="hash")}
    after = memory.performed(before, Results(refused=refused), NOW).of(POOL).ledger
    assert after is not None
    assert after.settled(rate, NOW).left(rate, NOW) == rate.burst
