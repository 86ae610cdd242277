"""What workers printed, for their pool's HTCWorkerLog: who is asked for it, what is written, what is kept.

Called by `pools.kept_logs` for each pool. Only the newest few of those that ended are asked for, at most once
in `PAUSE_SECONDS` for all of them, so a thousand that end in a minute cost six questions. Who was asked stays
until the answer, or with an end in each second no answer would find anybody. What is written is put before
what the object has (`merged`), so nothing of it has to be remembered here, and a new operator wipes nothing.
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
END_SECONDS: Final = 5.0
"""For so long does the anchor of a cluster that has ended wait for answers: what was printed lies there."""
END_PAUSE_SECONDS: Final = 1.0
"""Between two questions then, as one that was left out is not asked otherwise."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A worker whose process has ended by itself: HTCondor has brought what it printed."""

    log: WorkerLog  # with the text, as it is going to be written, once that has come
    seen_at: float
    asked: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Pending:
    """Those of one pool whose words are not in its HTCWorkerLog yet: at most ten of each kind."""

    ended: tuple[Ended, ...] = ()  # newest first
    asked_at: float = -math.inf
    written_at: float = -math.inf
    closed_at: float | None = None  # since when its cluster has ended

    @property
    def names(self) -> list[WorkerName]:
        """Their files are wanted: no new worker may write over them."""
        return [its.log.name for its in self.ended]

    def seen(self, over: Sequence[Worker], now: float) -> Pending:
        """With those that are over now, and without those of which nothing will come."""
        if not over and not self.ended:  # nearly every pool at nearly every plan
            return self
        known = set(self.names)
        new = [_ended(worker, now) for worker in _last(over)]
        both = (*(its for its in new if its.log.name not in known), *self.ended)
        return self._of([its for its in both if now - its.seen_at < failures.LOG_SECONDS])

    def reads(self, now: float) -> tuple[WorkerName, ...]:
        """Whom to ask for what they printed, now: who did not answer the last time, and the newest others."""
        if now < self.asked_at + (PAUSE_SECONDS if self.closed_at is None else END_PAUSE_SECONDS):
            return ()
        missing = sorted((its for its in self.ended if not its.answered), key=lambda its: not its.asked)
        return tuple(its.log.name for its in missing[:MAX_WORKERS])

    def closing(self, now: float) -> Pending:
        """The cluster has ended: who was not asked is asked now, or never."""
        return self if self.closed_at is not None else replace(self, closed_at=now, asked_at=-math.inf)

    def last_until(self, now: float) -> float | None:
        """Until when the anchor of a cluster that has ended waits for answers; None: for none any more."""
        end = None if self.closed_at is None else self.closed_at + END_SECONDS
        return end if end is not None and now < end and not all(its.answered for its in self.ended) else None

    def asking(self, names: Collection[WorkerName], now: float) -> Pending:
        """These are asked."""
        return replace(
            self,
            ended=tuple(replace(its, asked=True) if its.log.name in names else its for its in self.ended),
            asked_at=now,
        )

    def heard(self, texts: Mapping[WorkerName, str]) -> Pending:
        """After these answers, cut to what is going to be written; who has said nothing is forgotten."""
        if not any(its.log.name in texts for its in self.ended):
            return self
        after = (its if its.log.name not in texts else _told(its, texts[its.log.name]) for its in self.ended)
        return self._of([its for its in after if not its.answered or its.log.text])

    def writes(self, now: float) -> tuple[WorkerLog, ...]:
        """What to write now, newest first."""
        if now < self.written_at + PAUSE_SECONDS:
            return ()
        return tuple(its.log for its in self.ended if its.answered)

    def until(self, now: float) -> float | None:
        """When there is something to do the next time."""
        times = [(self.written_at if its.answered else self.asked_at) + PAUSE_SECONDS for its in self.ended]
        return min((at for at in times if at > now), default=None)

    def given_up_at(self) -> float | None:
        """When the first of them is forgotten, whatever has come of it."""
        return min((its.seen_at + failures.LOG_SECONDS for its in self.ended), default=None)

    def written(self, names: Collection[WorkerName]) -> Pending:
        """What these said is in the object."""
        return replace(self, ended=tuple(its for its in self.ended if its.log.name not in names))

    def _of(self, ended: Sequence[Ended]) -> Pending:
        """The newest of those, but everybody who was asked stays until the answer: it would come in vain."""
        asked = [its for its in ended if its.asked and not its.answered]
        others = (
            [its for its in ended if its.answered],
            [its for its in ended if not its.asked and not its.answered],
        )
        newest = {log.name for some in others for log in _newest([its.log for its in some])}
        kept = [its for its in ended if its.log.name in newest or its in asked]
        return replace(self, ended=tuple(sorted(kept, key=lambda its: _age(its.log))))


def merged(new: Sequence[WorkerLog], before: Sequence[WorkerLog], now: float) -> tuple[WorkerLog, ...]:
    """What the object has after a write: the newest that there is room for, newest first.

    A time in the future is one of now, or its entry would be the newest for as long as the pool lives.
    """
    names = {log.name for log in new}
    kept, size = list[WorkerLog](), 0
    for log in _newest([*new, *(_not_later(log, now) for log in before if log.name not in names)]):
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
    ordered = sorted(logs, key=_age)
    finished = [log for log in ordered if log.outcome == FINISHED][MAX_FINISHED:]
    return [log for log in ordered if log not in finished][:MAX_WORKERS]


def _not_later(log: WorkerLog, now: float) -> WorkerLog:
    if timestamps.read(log.ended_at) <= now:
        return log
    return log.model_copy(update={"ended_at": timestamps.written(now)})


def _age(log: WorkerLog) -> float:
    return -timestamps.read(log.ended_at)


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


def _told(its: Ended, text: str) -> Ended:
    longest = MAX_FINISHED_TEXT if its.log.outcome == FINISHED else MAX_TEXT
    shown = whole_lines(failures.own_words(text, its.log.name), longest)
    return replace(its, log=its.log.model_copy(update={"text": shown}), answered=True)


def whole_lines(text: str, longest: int) -> str:
    """The end of a text, harmless; it begins where a line does, unless the last one alone is too long."""
    shown = sanitize.lines(text, longest + 1)
    if len(shown) <= longest:
        return shown
    _, _, rest = shown.partition("\n")
    return rest or shown[1:]
