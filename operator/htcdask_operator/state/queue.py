"""One access point's last answer: written by the poller and by cycles, read by `observe`.

One answer for everybody, so that the number of questions does not grow with the number of pools. It is only a
memory of answers: a cycle that is about to submit asks again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace

from htcdask_operator.core.model import Job, PoolFacts, PoolUid, Unseen
from htcdask_operator.state.usage import Usages

NOT_ASKED = Unseen("the access point has not answered yet")


@dataclass(slots=True)
class QueueState:
    """The jobs of ours by pool, when they were asked for, and as whom."""

    unseen: Unseen | None = NOT_ASKED  # the last poll failed
    jobs: dict[PoolUid, tuple[Job, ...]] = field(default_factory=dict)
    asked_at: float = 0.0
    pool_asked_at: dict[PoolUid, float] = field(default_factory=dict)
    identity: str | None = None
    asked_as: frozenset[str] = frozenset()  # whose jobs the last poll asked for, besides ours
    usages: Usages = field(default_factory=Usages)

    def saw_pool(self, pool: PoolUid, jobs: tuple[Job, ...], asked_at: float) -> None:
        """One pool's jobs, asked for by its own cycle."""
        if self.jobs.get(pool, ()) != jobs:
            self.usages.changed(pool)
        self.usages.answered(pool)
        self.jobs[pool] = jobs
        self.pool_asked_at[pool] = asked_at

    def saw_all(self, jobs: Iterable[Job], asked_at: float) -> set[PoolUid]:
        """All jobs, asked for by the poller. Returns the pools whose jobs changed in a way that matters."""
        grouped: dict[PoolUid, list[Job]] = defaultdict(list)
        for job in jobs:
            grouped[job.pool_uid].append(job)
        changed = set()
        for pool in grouped.keys() | self.jobs.keys():
            if self.pool_asked_at.get(pool, 0.0) >= asked_at:
                continue  # the pool's own cycle asked later than this poll did, and knows better
            now, before = tuple(grouped.get(pool, ())), self.jobs.get(pool, ())
            if now != before:
                self.usages.changed(pool)
                if _essence(now) != _essence(before):  # dear, and rarely needed
                    changed.add(pool)
            if now:
                self.jobs[pool] = now
            else:
                self.jobs.pop(pool, None)
        self.usages.all_answered(asked_at)
        self.unseen = None
        self.asked_at = asked_at
        return changed

    def asked_for(self, pools: Iterable[PoolFacts]) -> bool:
        """Whether the last poll would have shown all jobs of these pools, whoever we were when they came."""
        return {pool.submitted_as for pool in pools} <= {None, self.identity, *self.asked_as}

    def of_others(self, pools: Collection[PoolUid]) -> tuple[Job, ...]:
        """The jobs of all pools but these."""
        return tuple(job for pool in self.jobs.keys() - pools for job in self.jobs[pool])


def _essence(jobs: Iterable[Job]) -> frozenset[Job]:
    """The jobs without what changes all the time and decides nothing."""
    return frozenset(replace(job, lease=None, memory_mib=None) for job in jobs)
