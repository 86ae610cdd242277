"""Whose words come into a pool's HTCWorkerLog, how often that is asked and written, and what is kept."""

import random
from dataclasses import replace

import pytest

from htcdask_api import PoolStatus, WorkerLog, WorkerLogs
from htcdask_api.worker_log import MAX_BYTES, MAX_FINISHED, MAX_FINISHED_TEXT, MAX_TEXT, MAX_WORKERS
from htcdask_operator.core import timestamps
from htcdask_operator.core.actions import ReadLogs, WriteLogs
from htcdask_operator.core.memory import ClusterMemory, PoolMemory, Results, performed, wanted_logs
from htcdask_operator.core.model import JobStatus
from htcdask_operator.core.workers import failures, worker_logs
from htcdask_operator.core.workers.states import State, Worker
from htcdask_operator.core.workers.worker_logs import PAUSE_SECONDS, Pending, merged, whole_lines
from tests.builders import NOW, POOL, make_cluster, make_job, make_pool
from tests.unit.core.world import World

SAID = "htcdask: worker {} on node7 ended with 0; its last lines:\nhello\n"


def over(name: str, state: State = State.FINISHED, at: float = NOW, code: int = 0) -> Worker:
    job = make_job(name, JobStatus.COMPLETED, exit_code=code, status_since=at, machine="node7")
    return Worker(job, state, None if state is State.FINISHED else "WorkerFailed")


def log(name: str, at: float = NOW, outcome: str = "Finished", text: str = "hello\n") -> WorkerLog:
    return WorkerLog(name=name, ended_at=timestamps.written(at), outcome=outcome, text=text)


def test_of_those_that_ended_the_newest_few_are_asked_for_and_few_that_finished() -> None:
    done = [over(f"d{number}", at=NOW - 100 + number) for number in range(50)]
    bad = [over(f"b{number}", State.FAILED, NOW - 200 + number) for number in range(50)]
    asked = Pending().seen([*done, *bad], NOW).reads(NOW)
    assert asked == ("d49", "d48", "d47", "d46", "b49", "b48", "b47", "b46", "b45", "b44")


def test_what_is_written_says_how_the_worker_ended() -> None:
    bad = over("bad", State.FAILED, NOW - 3, code=7)
    (told,) = Pending().seen([bad], NOW).heard({"bad": SAID.format("bad")}).writes(NOW)
    assert told.manifest() == {
        "name": "bad",
        "machine": "node7",
        "endedAt": timestamps.written(NOW - 3),
        "outcome": "WorkerFailed",
        "exitCode": 7,
        "text": SAID.format("bad"),
    }


@pytest.mark.parametrize(
    "job",
    [
        make_job("w", JobStatus.IDLE, shadow_starts=1, vacate_code=1022),
        make_job("w", JobStatus.HELD, hold_code=26),
        make_job("", JobStatus.COMPLETED, exit_code=0),
    ],
    ids=["lost its slot", "held", "without a name"],
)
def test_of_whom_htcondor_brings_nothing_nothing_is_asked(job: object) -> None:
    assert Pending().seen([Worker(job, State.FAILED, "Held")], NOW) == Pending()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "said",
    ["", "root:x:0:0\n", "htcdask: worker other on node7 ended with 0; its last lines:\nof another\n"],
    ids=["nothing", "another file", "another worker's"],
)
def test_what_does_not_bear_the_workers_name_is_never_written(said: str) -> None:
    assert Pending().seen([over("w1")], NOW).heard({"w1": said}).ended == ()


def test_what_never_comes_is_given_up() -> None:
    pending = Pending().seen([over("w1")], NOW)
    assert pending.seen([], NOW + failures.LOG_SECONDS - 1).ended == pending.ended
    assert pending.seen([], NOW + failures.LOG_SECONDS).ended == ()


def test_between_two_questions_and_two_writes_is_a_pause() -> None:
    waits = replace(Pending().seen([over("w1")], NOW), asked_at=NOW, written_at=NOW + 1)
    heard = waits.heard({"w1": SAID.format("w1")})
    assert (waits.reads(NOW + PAUSE_SECONDS - 1), heard.writes(NOW + PAUSE_SECONDS)) == ((), ())
    assert (waits.until(NOW), heard.until(NOW)) == (NOW + PAUSE_SECONDS, NOW + PAUSE_SECONDS + 1)
    assert waits.reads(NOW + PAUSE_SECONDS) == ("w1",)
    assert len(heard.writes(NOW + PAUSE_SECONDS + 1)) == 1


@pytest.mark.parametrize(("lag", "rate"), [(5, 1), (3, 2), (15, 1)])
def test_who_was_asked_stays_until_the_answer_however_many_end_meanwhile(lag: int, rate: int) -> None:
    pending, answers = Pending(), dict[int, tuple[str, ...]]()
    written = list[WorkerLog]()
    for second in range(600):
        at = NOW + second
        pending = pending.seen([over(f"w{second}-{n}", at=at) for n in range(rate)], at)
        pending = pending.heard({name: SAID.format(name) for name in answers.pop(second, ())})
        if asked := pending.reads(at):
            assert len(asked) <= MAX_WORKERS
            pending = pending.asking(asked, at)
            answers[second + lag] = asked
        if logs := pending.writes(at):
            written += logs
            pending = replace(pending.written([log.name for log in logs]), written_at=at)
        assert len(pending.ended) <= 3 * MAX_WORKERS
    assert len(written) > 150


def test_what_is_held_of_an_answer_is_what_will_be_written() -> None:
    said = SAID.format("w1") + "x" * 64 * 1024
    memory = ClusterMemory(pools={POOL: PoolMemory(logs=Pending().seen([over("w1", State.FAILED)], NOW))})
    heard = performed(memory, Results(logs={"w1": said}), NOW)
    assert len(heard.of(POOL).logs.ended[0].log.text) == MAX_TEXT
    assert wanted_logs(heard, {POOL: PoolStatus()}, NOW) == {}


@pytest.mark.parametrize(
    ("text", "longest", "shown"),
    [
        ("one\ntwo\n", 8, "one\ntwo\n"),
        ("one\ntwo\n", 7, "two\n"),
        ("one\ntwo\n", 4, "two\n"),
        ("one\ntwo\n", 3, "wo\n"),
        ("no end of it", 6, " of it"),
        ("\x1b[31mred\x07\n", 100, "␛[31mred␇\n"),
        ("a\u202eb\n", 100, "a\ufffdb\n"),
    ],
)
def test_a_text_is_cut_between_lines_and_harmless(text: str, longest: int, shown: str) -> None:
    assert whole_lines(text, longest) == shown


def test_a_finished_worker_has_less_room_than_a_failed_one() -> None:
    lines = "".join(f"line {number}\n" for number in range(20_000))
    texts = {name: f"htcdask: worker {name} on node7 ended\n{lines}" for name in ("good", "bad")}
    pending = Pending().seen([over("good", at=NOW), over("bad", State.FAILED, NOW - 1)], NOW)
    good, bad = pending.heard(texts).writes(NOW)
    assert MAX_FINISHED_TEXT - 20 < len(good.text) <= MAX_FINISHED_TEXT
    assert MAX_TEXT - 20 < len(bad.text) <= MAX_TEXT
    assert good.text.startswith("line ") and good.text.endswith("line 19999\n")


def test_the_newest_push_out_the_oldest_and_nobody_is_there_twice() -> None:
    before = [log(f"b{number}", NOW - number, "WorkerFailed") for number in range(MAX_WORKERS)]
    after = merged([log("new", NOW + 1), log("b3", NOW - 3, "WorkerFailed", "again\n")], before, NOW + 1)
    assert [entry.name for entry in after] == ["new", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7", "b8"]
    assert after[4].text == "again\n"


def test_a_time_in_the_future_is_one_of_now_and_pushed_out_like_any_other() -> None:
    kept: tuple[WorkerLog, ...] = (log("theirs", NOW + 1e9, "WorkerFailed"),)
    for number in range(MAX_WORKERS):
        kept = merged([log(f"b{number}", NOW + number, "WorkerFailed")], kept, NOW + number)
    assert [entry.name for entry in kept] == [f"b{number}" for number in reversed(range(MAX_WORKERS))]


def test_workers_that_finish_leave_room_for_those_that_failed() -> None:
    before = [log("bad", NOW - 1000, "WorkerFailed")]
    after = merged([log(f"d{number}", NOW + number) for number in range(9)], before, NOW + 9)
    assert [entry.name for entry in after] == ["d8", "d7", "d6", "d5", "bad"]
    assert len(after) == MAX_FINISHED + 1


@pytest.mark.parametrize("sign", ["x", "\n", '"', "\ufffd", "\U0001f600"])
def test_whatever_workers_print_the_object_is_small(sign: str) -> None:
    whole = [log(f"b{number}", NOW - number, "WorkerFailed", sign * MAX_TEXT) for number in range(12)]
    kept = merged(whole, (), NOW)
    size = len(WorkerLogs(workers=kept).model_dump_json(by_alias=True).encode())
    assert kept and [entry.name for entry in kept] == [f"b{number}" for number in range(len(kept))]
    assert size < MAX_BYTES + 100


def test_a_new_operator_adds_to_what_is_there() -> None:
    world = settled(replicas=1)
    finish(world)
    (before,) = world.logs[POOL]
    world.now += 60
    world.memory = ClusterMemory()
    finish(world)
    assert [entry.name for entry in world.logs[POOL]][1:] == [before.name]


def test_a_worker_that_finished_is_read_written_and_forgotten() -> None:
    world = settled(replicas=1)
    (job,) = world.workers()
    world.end(job)
    done = world.settle()
    assert [action.workers for action in done if isinstance(action, ReadLogs)] == [(job.worker,)]
    assert len([action for action in done if isinstance(action, WriteLogs)]) == 1
    (told,) = world.logs[POOL]
    assert (told.name, told.outcome, told.machine, told.exit_code) == (job.worker, "Finished", "node7", 0)
    assert told.text.endswith("the last line\n")
    assert (world.memory.of(POOL).logs.ended, world.memory.logs) == ((), {})


def test_what_cannot_be_written_is_tried_again_after_the_pause_and_keeps_its_file() -> None:
    world = settled(replicas=1)
    (job,) = world.workers()
    world.end(job)
    planned = world.plan()
    world.memory = performed(planned.memory, Results(logs={job.worker: SAID.format(job.worker)}), world.now)
    refused = world.plan()
    assert any(isinstance(action, WriteLogs) for action in refused.actions)
    world.memory = refused.memory
    assert not any(isinstance(action, WriteLogs) for action in world.plan().actions)
    world.now += PAUSE_SECONDS
    assert any(isinstance(action, WriteLogs) for action in world.plan().actions)
    assert job.worker in world.memory.of(POOL).logs.names


def test_a_thousand_that_end_each_minute_cost_a_few_questions_and_writes() -> None:
    """Whatever the mixture: seven reads of a minute's workers, of ten at the most, and as many writes."""
    chance, world = random.Random(7), settled(replicas=0)  # noqa: S311
    reads, writes = list[ReadLogs](), list[WriteLogs]()
    for _ in range(60):
        world.now += 1
        for number in range(17):
            job = make_job(f"w{world.now:.0f}-{number}", JobStatus.RUNNING, started_at=world.now - 90)
            world.jobs[job.id] = replace(job, anchor=next(iter(world.jobs)))
            world.end(world.jobs[job.id], exit_code=chance.choice((0, 0, 3)))
        for _ in range(4):
            planned = world.plan()
            world.apply(planned)
            reads += [a for a in planned.actions if isinstance(a, ReadLogs)]
            writes += [a for a in planned.actions if isinstance(a, WriteLogs)]
    events = len(world.pools[POOL].status.recent_failures)  # each is read at once, for the status
    assert 5 <= len(reads) <= 7 + events
    assert 5 <= len(writes) <= 7
    assert max(len(action.workers) for action in reads) <= MAX_WORKERS + events
    assert len(world.logs[POOL]) == MAX_WORKERS
    assert len(world.memory.logs) <= MAX_WORKERS


def settled(replicas: int) -> World:
    world = World({POOL: make_pool(scaling="Manual", replicas=replicas)}, make_cluster(replicas))
    world.settle()
    world.stage()
    world.settle()
    for job in world.workers():
        world.start(job)
        world.connect(job)
    world.now += 120
    return world


def finish(world: World) -> None:
    for job in world.workers():
        if job.status is JobStatus.IDLE:
            world.start(job)
            world.now += 90
        world.end(world.jobs[job.id])
    world.settle()


def test_the_pause_is_the_one_that_the_docs_tell() -> None:
    assert worker_logs.PAUSE_SECONDS == 10.0


def ending() -> World:
    """Six of 14 have been written; all others but one end within the pause, and then their cluster."""
    world = settled(replicas=14)
    for job in world.workers()[:6]:
        world.end(job)
    world.settle()
    world.now += 2
    for job in [job for job in world.workers() if job.status is JobStatus.RUNNING][1:]:
        world.end(job, exit_code=3)
    world.settle()
    world.now += 1
    world.cluster = replace(make_cluster(0), active=False, running=False, phase="Stopped")
    return world


def test_the_last_words_of_a_cluster_that_is_shut_down_are_read_before_its_files_go_and_written() -> None:
    world = ending()
    waits = set(world.memory.of(POOL).logs.names)
    assert waits
    world.settle()
    world.processes_end()
    world.settle()
    world.now += PAUSE_SECONDS
    world.settle()
    assert waits <= {entry.name for entry in world.logs[POOL]}
    assert (world.memory.of(POOL).logs.ended, world.memory.logs, world.jobs) == ((), {}, {})


def test_an_answer_that_does_not_come_holds_the_end_up_for_a_few_seconds_and_no_worker() -> None:
    world = ending()
    for second in range(int(worker_logs.END_SECONDS) + 1):
        planned = world.plan()
        asked = [action for action in planned.actions if isinstance(action, ReadLogs)]
        assert bool(asked) == (second < worker_logs.END_SECONDS)
        world.apply(replace(planned, actions=tuple(a for a in planned.actions if a not in asked)))
        assert not any(job.status is JobStatus.RUNNING for job in world.workers())
        world.processes_end()
        world.now += 1
    assert world.jobs == {}
    world.now += failures.LOG_SECONDS
    world.settle()
    assert world.memory.of(POOL).logs.ended == ()


def test_of_a_pool_that_is_deleted_nothing_is_asked_or_held() -> None:
    world = ending()
    world.pools[POOL] = replace(world.pools[POOL], deleting=True)
    planned = world.plan()
    assert not any(isinstance(action, ReadLogs | WriteLogs) for action in planned.actions)
    assert planned.memory.of(POOL).logs.ended == ()
