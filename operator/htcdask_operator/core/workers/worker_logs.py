"""What workers printed, for their pool's HTCWorkerLog: who is asked for it, what is written, what is kept.

Called by `steps` for each pool. Only the newest few of those that ended are asked for, at most once in
`PAUSE_SECONDS` for all of them, so a thousand that end in a minute cost six questions. What is written is
put before what the object has (`merged`), so nothing of it has to be remembered here, and a new operator
wipes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from htcdask_api import WorkerLog
from htcdask_api.worker_log import (
    FINISHED,
    MAX_BYTES,
    MAX_FINISHED,
    MAX_FINISHED_TEXT,
    MAX_TEXT,
    MAX_WORKERS,
)
from htcdask_operator.core import reasons, sanitize, timestamps
from htcdask_operator.core.model import WorkerName
from htcdask_operator.core.workers import failures, states
from htcdask_operator.core.workers.states import State, Worker

PAUSE_SECONDS: Final = 10.0
"""Between two questions of one pool, and between two writes."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker whose process has ended by itself: HTCondor has brought what it printed."""

    log: WorkerLog  # without the text
    seen_at: float

    def says(self, texts: Mapping[WorkerName, str]) -> bool:
        """Whether it has printed anything, or may have, as nobody has looked yet."""
        text = texts.get(self.log.name)
        return text is None or failures.own_words(text, self.log.name) != ""


@dataclass(frozen=True, slots=True)
class Pending:
    """Those of one pool whose words are not in its HTCWorkerLog yet."""

    ended: tuple[Ended, ...] = ()  # newest first
    asked_at: float = -math.inf
    written_at: float = -math.inf

    @property
    def names(self) -> list[WorkerName]:
        """Their files are wanted: no new worker may write over them."""
        return [its.log.name for its in self.ended]

    def seen(self, over: Sequence[Worker], texts: Mapping[WorkerName, str], now: float) -> Pending:
        """With those that are over now, and without those of which nothing will come."""
        if not over and not self.ended:  # nearly every pool at nearly every plan
            return self
        known = set(self.names)
        new = [_ended(worker, now) for worker in _last(over)]
        both = (*(its for its in new if its.log.name not in known), *self.ended)
        kept = [its for its in both if its.says(texts) and now - its.seen_at < failures.LOG_SECONDS]
        named = {its.log.name: its for its in kept}
        return replace(self, ended=tuple(named[log.name] for log in _newest([its.log for its in kept])))

    def reads(self, texts: Mapping[WorkerName, str], now: float) -> tuple[WorkerName, ...]:
        """Whom to ask for what they printed, now."""
        if now < self.asked_at + PAUSE_SECONDS:
            return ()
        return tuple(name for name in self.names if name not in texts)

    def writes(self, texts: Mapping[WorkerName, str], now: float) -> tuple[WorkerLog, ...]:
        """What to write now, newest first."""
        if now < self.written_at + PAUSE_SECONDS:
            return ()
        return tuple(_entry(its.log, texts[its.log.name]) for its in self.ended if its.log.name in texts)

    def until(self, texts: Mapping[WorkerName, str], now: float) -> float | None:
        """When there is something to do the next time."""
        times = [
            (self.written_at if its.log.name in texts else self.asked_at) + PAUSE_SECONDS
            for its in self.ended
        ]
        return min((at for at in times if at > now), default=None)

    def written(self, names: Collection[WorkerName]) -> Pending:
        """What these said is in the object."""
        return replace(self, ended=tuple(its for its in self.ended if its.log.name not in names))


def merged(new: Sequence[WorkerLog], before: Sequence[WorkerLog]) -> tuple[WorkerLog, ...]:
    """What the object has after a write: the newest that there is room for, newest first."""
    names = {log.name for log in new}
    kept, size = list[WorkerLog](), 0
    for log in _newest([*new, *(log for log in before if log.name not in names)]):
        size += len(log.model_dump_json(by_alias=True).encode())
        if size > MAX_BYTES:
            break
        kept.append(log)
    return tuple(kept)


def _last(over: Sequence[Worker]) -> list[Worker]:
    """Those of them that may be among the newest few: a thousand may end at once."""
    ended = [worker for worker in over if states.has_ended(worker.job) and worker.job.worker]
    ended.sort(key=lambda worker: worker.job.status_since, reverse=True)
    finished = [worker for worker in ended if worker.state is State.FINISHED]
    failed = [worker for worker in ended if worker.state is not State.FINISHED]
    return [*failed[:MAX_WORKERS], *finished[:MAX_FINISHED]]


def _newest(logs: Sequence[WorkerLog]) -> list[WorkerLog]:
    """The newest few, newest first."""
    ordered = sorted(logs, key=lambda log: timestamps.read(log.ended_at), reverse=True)
    finished = [log for log in ordered if log.outcome == FINISHED][MAX_FINISHED:]
    return [log for log in ordered if log not in finished][:MAX_WORKERS]


def _ended(worker: Worker, now: float) -> Ended:
    job = worker.job
    finished = worker.state is State.FINISHED
    log = WorkerLog(
        name=sanitize.name(job.worker),
        machine=sanitize.name(job.machine) if job.machine else None,
        ended_at=timestamps.written(min(job.status_since, now)),
        outcome=FINISHED if finished else worker.reason or reasons.WORKER_FAILED,
        exit_code=job.exit_code if job.exit_signal is None else None,
    )
    return Ended(log, now)


def _entry(log: WorkerLog, text: str) -> WorkerLog:
    longest = MAX_FINISHED_TEXT if log.outcome == FINISHED else MAX_TEXT
    return log.model_copy(update={"text": whole_lines(failures.own_words(text, log.name), longest)})


def whole_lines(text: str, longest: int) -> str:
    """The end of a text, harmless; it begins where a line does, unless the last one alone is too long."""
    shown = sanitize.lines(text, longest + 1)
    if len(shown) <= longest:
        return shown
    _, _, rest = shown.partition("\n")
    return rest or shown[1:]
