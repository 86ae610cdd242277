"""How much memory a pool's next workers request, after some ran out of it: a profile's `outOfMemory`.

Called by `pools.memory_request` for each pool whose profile allows more than its template asks for.

    a worker is lost to memory -> the next ones request half as much again, and no less than what was measured
    and a quarter -> another is lost -> ... -> the most that is allowed: then it is a failure like others

It grows with the first loss: Dask runs the lost tasks again elsewhere, and gives a task up whose workers were
lost four times. It stays for the pool's life: what it was too little for may come again, and who tried less
would lose a worker each time. Only people take it back: a pool whose profile, or whose site, says another
memory than it grew from begins anew with that. What follows from a job follows from what that job had
requested, so the same job, seen twice, changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from htcdask_api import MemoryRequest
from htcdask_operator.core import reasons
from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import Job
from htcdask_operator.core.workers import endings, failure_policy
from htcdask_operator.core.workers.states import State, Worker

STEP_MIB: Final = 256
"""Requests are multiples of it: slots of few sizes are easier to use again."""

_GROWTH: Final = 1.5  # so few steps lead to any most, and each is worth a new anchor
_MARGIN: Final = 1.25  # what was measured is what it had when it was stopped, at the most a poll old


@dataclass(frozen=True, slots=True)
class Most:
    """So much may one worker request, and by whose word: the subject of a sentence."""

    mib: int
    whose: str


def grown(requested: int, peak: int | None) -> int:
    """What the next worker requests after one with so little, where nobody limits it. All of it in MiB."""
    least = max(requested * _GROWTH, (peak or 0) * _MARGIN)
    return math.ceil(least / STEP_MIB) * STEP_MIB


def request(
    known: MemoryRequest | None, template: int, workers: Iterable[Worker], most: Most | None
) -> MemoryRequest | None:
    """What the next workers request instead of the template's MiB, or again; None: that, as ever.

    `known`: what was decided before; `workers`: all of the pool's.
    """
    if most is None or most.mib <= template:
        return None
    found = None if known is None else _kept(known, template)
    lost = [worker.job for worker in workers if is_lost(worker)]
    for job in lost:
        had = job.request_memory_mib or 0
        wanted = min(grown(had, job.memory_mib), most.mib)
        # An access point may give more than anybody asked for: the most that is allowed would be less.
        if had and wanted > max(had, template if found is None else found.request_mib):
            message = _told(wanted, had, lost, most)
            found = MemoryRequest(request_mib=wanted, template_mib=template, message=message)
    if found is not None and found.request_mib > most.mib:  # a limit was lowered
        message = f"Workers request {size(most.mib)} of memory: that is what {most.whose} allows."
        return MemoryRequest(request_mib=most.mib, template_mib=template, message=message)
    return found


def _kept(known: MemoryRequest, template: int) -> MemoryRequest | None:
    """What was decided before, unless people have said another memory since.

    That is kept as well: jobs of before are in the queue still, and would prove the larger request again.
    """
    before = known.template_mib
    if before is None:  # by an operator that did not write it down
        return known.model_copy(update={"template_mib": template}) if known.request_mib > template else None
    if before == template:
        return known
    message = f"Workers request {size(template)} of memory, as is written by now: it was "
    message += f"{size(before)} before"
    if known.request_mib > before:
        message += f", and {size(known.request_mib)} after workers had run out of it"
    return MemoryRequest(request_mib=template, template_mib=template, message=f"{message}.")


def is_lost(worker: Worker) -> bool:
    """Whether it is over because its memory was too little."""
    return worker.state is State.FAILED and failure_policy.is_lost_to_memory(worker.job)


def answered(
    workers: Sequence[Worker], found: MemoryRequest | None, current: Callable[[], str | None]
) -> tuple[Worker, ...]:
    """The workers, where those that were lost to memory are told as such if the next ones request more.

    `current`: the template hash of the next ones. One that has it is no worker of before, whatever the access
    point has made of its request.
    """
    if found is None or not any(map(is_lost, workers)):
        return tuple(workers)
    now, told = current(), []
    for worker in workers:
        had = worker.job.request_memory_mib
        if had and had < found.request_mib and worker.job.template_hash != now and is_lost(worker):
            message = endings.outgrew(worker.job, size(found.request_mib))
            worker = worker._replace(reason=reasons.MEMORY_RAISED, message=message)
        told.append(worker)
    return tuple(told)


def proven(jobs: Iterable[Job], template: int, hash_of: Callable[[int], str | None]) -> MemoryRequest | None:
    """What the queue tells of earlier losses where the status tells nothing, by anchors or workers.

    A larger request may be an access point's doing, too: only one with which the pool's jobs have the hash
    that they carry was made here. `hash_of`: the template hash for so many MiB.
    """
    requests = {(job.request_memory_mib or 0, job.template_hash) for job in jobs}
    for mib, template_hash in sorted(requests, reverse=True):
        if mib > template and hash_of(mib) == template_hash:
            message = f"Workers request {size(mib)} of memory: earlier ones ran out of less."
            return MemoryRequest(request_mib=mib, template_mib=template, message=message)
    return None


def size(mib: int) -> str:
    """As people say it."""
    return f"{mib / 1024:.4g} GiB" if mib >= 1024 else f"{mib} MiB"


def _told(wanted: int, had: int, lost: Sequence[Job], most: Most) -> str:
    alike = [job for job in lost if job.request_memory_mib == had]
    peak = max(job.memory_mib or 0 for job in alike)
    many, measured = counted(len(alike), "worker"), f", with {size(peak)} measured" if peak else ""
    return (
        f"Workers now request {size(wanted)} of memory: {many} ran out of {size(had)}{measured}. "
        f"{most.whose[:1].upper()}{most.whose[1:]} allows {size(most.mib)}."
    )
