"""The memory of workers that ended: two counters and the five last events, newest first.

Called by `pools.complete` for each pool. A job that is over is recorded in the plan that removes it from the
queue, so it is counted once; were that removal to fail, it would be counted again, and nothing else would go
wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from htcdask_api import Failure, PoolStatus
from htcdask_api.status import MAX_RECENT_FAILURES
from htcdask_operator.core import reasons, sanitize, timestamps
from htcdask_operator.core.model import Job, WorkerName
from htcdask_operator.core.workers import endings, log_tail, states
from htcdask_operator.core.workers.log_tail import Excerpt
from htcdask_operator.core.workers.states import State, Worker

EVENT_SECONDS: Final = 120.0
"""Workers queued before the first of them ended, that end for one reason within this time: one event."""

LOG_SECONDS: Final = 120.0
"""For so long the log of a failed worker is asked for."""

_OF_SIGNALS: Final = 128  # an exit code above it: what a shell makes of a signal

_CONTAINER: Final = re.compile(r"^(?:FATAL:   |/bin/bash: error while loading shared libraries: ).*", re.M)


@dataclass(frozen=True, slots=True)
class Record:
    """What the status remembers of workers that ended."""

    finished: int = 0
    failed: int = 0
    recent: tuple[Failure, ...] = ()


def remembered(status: PoolStatus) -> Record:
    """As the status has it."""
    return Record(status.finished, status.failed, tuple(status.recent_failures))


def record(
    before: Record, over: Sequence[Worker], anchors: Sequence[Job], logs: Mapping[WorkerName, str], now: float
) -> tuple[Record, tuple[Failure, ...]]:
    """The memory after `over`, with the log lines that have come since; and what is new in it, newest first.

    `anchors`: those that somebody else has removed.
    """
    recent = tuple(_with_log(_not_later(failure, now), logs, now) for failure in before.recent)
    known = {failure.worker for failure in recent}
    failed = [worker for worker in over if worker.state is State.FAILED and _name(worker) not in known]
    finished = sum(worker.state is State.FINISHED for worker in over)
    new: tuple[Failure, ...] = ()
    for worker in failed:
        if not any(_same_event(worker, failure, now) for failure in (*new, *recent)):
            new = (_with_log(_failure(worker, now), logs, now), *new)
    new = (*(_of_anchor(job, now) for job in anchors[:1]), *new)
    recent = (*new, *recent)[:MAX_RECENT_FAILURES]
    return Record(before.finished + finished, before.failed + len(failed), recent), new


def last_at(events: Sequence[Failure], reason: str) -> float:
    """When the last of this reason was recorded; 0: there is none."""
    return max((timestamps.read(event.time) for event in events if event.reason == reason), default=0.0)


def missing_logs(recent: Sequence[Failure], now: float) -> tuple[WorkerName, ...]:
    """Workers whose last lines are worth asking for."""
    return tuple(
        failure.worker for failure in recent if failure.log_tail is None and now < _log_until(failure)
    )


def logs_until(recent: Sequence[Failure]) -> float | None:
    """When the first of those whose last lines have not come is told without them."""
    return min((_log_until(failure) for failure in recent if failure.log_tail is None), default=None)


def _log_until(failure: Failure) -> float:
    return timestamps.read(failure.time) + LOG_SECONDS


def _same_event(worker: Worker, failure: Failure, now: float) -> bool:
    began = timestamps.read(failure.time)
    return failure.reason == worker.reason and now - began < EVENT_SECONDS and worker.job.queued_at <= began


def _name(worker: Worker) -> str:
    """As a status tells it."""
    return sanitize.name(worker.job.worker)


def _failure(worker: Worker, now: float) -> Failure:
    job = worker.job
    return Failure(
        # Our clock, not the access point's: the pause that follows is measured with ours.
        time=timestamps.written(now),
        worker=_name(worker),
        machine=sanitize.name(job.machine) if job.machine else None,
        reason=worker.reason or reasons.WORKER_FAILED,
        message=sanitize.line(worker.message),
        exit_code=job.exit_code if job.exit_signal is None else None,
        hold_reason_code=job.hold_code,
        # HTCondor brings the output of a job that completed. Of any other there is none, and never will be.
        log_tail=None if states.has_ended(job) else "",
    )


def _of_anchor(job: Job, now: float) -> Failure:
    what = f"The job {job.id}, which keeps the workers' files,"
    message = f"{what} was removed by somebody else: {endings.who_removed(job)}."
    return Failure(
        time=timestamps.written(now),
        worker=f"(job {job.id})",
        reason=reasons.ANCHOR_REMOVED,
        message=sanitize.line(message),
        log_tail="",
    )


def _not_later(failure: Failure, now: float) -> Failure:
    """Written by a clock that was ahead of ours: what waits for it would wait for our clock to catch up."""
    if timestamps.read(failure.time) <= now:
        return failure
    return failure.model_copy(update={"time": timestamps.written(now)})


def _with_log(failure: Failure, logs: Mapping[WorkerName, str], now: float) -> Failure:
    """With the last lines, once they have come, and what of them is the cause in the message."""
    if failure.log_tail is not None:
        return failure
    text = logs.get(failure.worker)
    if text is None:
        return failure if now < _log_until(failure) else failure.model_copy(update={"log_tail": ""})
    killed = failure.exit_code is None or failure.exit_code > _OF_SIGNALS
    told = _told(text, failure.worker, killed=killed)
    said = f"{failure.message} It said: {told.cause}".strip() if told.cause else failure.message
    return failure.model_copy(
        update={"log_tail": sanitize.lines(told.tail), "message": sanitize.line(said)},
    )


def own_words(text: str, worker: WorkerName) -> str:
    """What this worker printed; of any other text, what only a container that does not start says.

    A job can put a link in the place of what it printed, and HTCondor follows it, outside of the container
    and as the account of everybody's workers. No file of others has the line with which the wrapper ends.
    """
    return text if _its_line(text, worker) is not None else "\n".join(_CONTAINER.findall(text))


def _its_line(text: str, worker: WorkerName) -> re.Match[str] | None:
    return re.search(rf"^htcdask: worker {re.escape(worker)} on (?P<rest>.*)", text, re.MULTILINE)


def _told(text: str, worker: WorkerName, *, killed: bool) -> Excerpt:
    its = _its_line(text, worker)
    if its is None:
        return log_tail.of(own_words(text, worker))
    told = log_tail.of(text, killed=killed)
    _, ended, verdict = its["rest"].partition(" ended: ")
    return replace(told, cause=log_tail.of_verdict(verdict)) if ended else told
