"""What the live workers of all clusters request, kept from answer to answer: for limits that clusters share.

Written by `queue` (which pools' jobs are others now), read by `observe`. Only pools that changed are counted
anew, and who stands where in the queue is sorted only where a limit is exceeded: once for each change, for
all clusters.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from htcdask_operator.core.actions import SubmitWorkers
from htcdask_operator.core.model import Job, Place, PoolUid, SharedUsage, Usage
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.size import NOTHING, Kind, Size, plus
from htcdask_operator.core.workers import identity
from htcdask_operator.core.workers.states import counts_as_live

Of = tuple[str, str]
"""Whose workers: ("user", name), ("profile", name) or EVERYBODY."""

EVERYBODY: Of = ("", "")
_SUBMIT_SECONDS: Final = 30.0
Entry = tuple[Place, Size]
Entries = dict[Of, list[Entry]]


@dataclass(slots=True)
class _Those:
    """Of one user, one profile, or everybody."""

    total: Size = NOTHING
    pools: dict[PoolUid, list[Entry]] = field(default_factory=dict)
    totals: dict[PoolUid, Size] = field(default_factory=dict)
    order: list[Entry] | None = None  # None: to be sorted
    over: dict[tuple[Kind, float], Place | None] = field(default_factory=dict)

    def put(self, pool: PoolUid, entries: list[Entry]) -> None:
        """These are the pool's."""
        self.total = plus(self.total, self.totals.pop(pool, NOTHING), -1)
        self.pools.pop(pool, None)
        if entries:
            self.pools[pool] = entries
            self.totals[pool] = its = _sum(size for _, size in entries)
            self.total = plus(self.total, its)
        self.order = None
        self.over.clear()

    def usage(self, own: Collection[PoolUid], caps: Mapping[Kind, float]) -> Usage:
        """What those beside `own` take, and from where on it is too much."""
        others = self.total
        for pool in own:
            others = plus(others, self.totals.get(pool, NOTHING), -1)
        exceeded = {kind: self._first_over(kind, cap) for kind, cap in caps.items() if self.total[kind] > cap}
        return Usage(others, {kind: place for kind, place in exceeded.items() if place is not None})

    def _first_over(self, kind: Kind, cap: float) -> Place | None:
        if (kind, cap) not in self.over:
            self.over[kind, cap] = self._searched(kind, cap)
        return self.over[kind, cap]

    def _searched(self, kind: Kind, cap: float) -> Place | None:
        if self.order is None:
            self.order = sorted(entry for entries in self.pools.values() for entry in entries)
        excess, first = self.total[kind] - cap, None
        for place, size in reversed(self.order):
            if excess <= 0:
                break
            if size[kind]:
                excess -= size[kind]
                first = place
        return first


@dataclass(slots=True)
class Usages:
    """All of it."""

    _those: dict[Of, _Those] = field(default_factory=dict)
    _of_pool: dict[PoolUid, Entries] = field(default_factory=dict)
    _expected: dict[PoolUid, tuple[float, dict[Of, Size]]] = field(
        default_factory=dict
    )  # submits, since when
    _changed: set[PoolUid] = field(default_factory=set)
    _foreign: dict[PoolUid, str | None] = field(default_factory=dict)  # have jobs of others; believed as whom
    _identity: str | None = None

    def changed(self, pool: PoolUid) -> None:
        """Its jobs are others now."""
        self._changed.add(pool)

    def expect(self, submit: SubmitWorkers, user: str, now: float) -> None:
        """These workers are about to be submitted, beside those that no answer has shown yet."""
        whose = [("user", user), EVERYBODY, *([("profile", submit.profile)] if submit.profile else [])]
        size = plus(NOTHING, submit.worker, len(submit.names))
        _, before = self._expected.get(submit.pool, (now, {}))
        self._expected[submit.pool] = (now, {of: plus(before.get(of, NOTHING), size) for of in whose})

    def answered(self, pool: PoolUid) -> None:
        """Its own cycle asked the queue, after its submit: what is there is shown."""
        self._expected.pop(pool, None)

    def all_answered(self, asked_at: float) -> None:
        """The queue was asked for all: what was on its way for longer than a submit may take is not."""
        for pool in [pool for pool, (at, _) in self._expected.items() if at < asked_at - _SUBMIT_SECONDS]:
            del self._expected[pool]

    def count(
        self,
        jobs: Mapping[PoolUid, Collection[Job]],
        identity_: str | None,
        submitted_as: Mapping[PoolUid, str],
    ) -> None:
        """Count what has changed. Jobs of others are nobody's, but those of an earlier identity."""
        if identity_ != self._identity:
            self._identity = identity_
            self._changed.update(jobs, self._of_pool)
        self._changed.update(pool for pool, named in self._foreign.items() if submitted_as.get(pool) != named)
        for pool in self._changed:
            self._count(pool, jobs.get(pool, ()), submitted_as.get(pool))
        self._changed.clear()

    def of(self, user: str, own: Collection[PoolUid], policy: Policy) -> SharedUsage:
        """As one cluster sees it: its user's, and the pools that are its own."""
        return SharedUsage(
            self._usage(("user", user), own, policy.caps_per_user),
            self._usage(EVERYBODY, own, policy.caps),
            {
                name: self._usage(("profile", name), own, {Kind.WORKERS: most})
                for name, most in policy.profile_caps.items()
            },
        )

    def _usage(self, of: Of, own: Collection[PoolUid], caps: Mapping[Kind, float]) -> Usage:
        those = self._those.get(of)
        if not caps:
            return Usage()
        usage = Usage() if those is None else those.usage(own, caps)
        coming = [its[of] for pool, (_, its) in self._expected.items() if of in its and pool not in own]
        return replace(usage, others=plus(usage.others, _sum(coming))) if coming else usage

    def _count(self, pool: PoolUid, jobs: Collection[Job], named: str | None) -> None:
        now, before = self._entries(pool, jobs, named), self._of_pool.get(pool, {})
        if now == before:  # most changes are of other things
            return
        for of in now.keys() | before.keys():
            those = self._those.setdefault(of, _Those())
            those.put(pool, now.get(of, []))
            if not those.pools:
                del self._those[of]
        if now:
            self._of_pool[pool] = now
        else:
            del self._of_pool[pool]

    def _entries(self, pool: PoolUid, jobs: Collection[Job], named: str | None) -> Entries:
        found: Entries = {}
        self._foreign.pop(pool, None)
        if any(identity.is_foreign(job, self._identity) for job in jobs):
            self._foreign[pool] = named
        live = [job for job in jobs if counts_as_live(job)]
        there = {job.worker for job in live}
        for job in live:
            if identity.is_foreign(job, self._identity) and job.owner != named:
                continue
            # No worker of another cluster leaves for a successor: it goes with its pair's time, or gives way.
            place = (math.inf, job.id) if job.succeeds and job.succeeds in there else job.place
            entry = (place, job.size)
            found.setdefault(("user", job.user), []).append(entry)
            found.setdefault(EVERYBODY, []).append(entry)
            if job.profile:
                found.setdefault(("profile", job.profile), []).append(entry)
        return found


def _sum(sizes: Iterable[Size]) -> Size:
    return Size(*(sum(column) for column in zip(*sizes, strict=True)))
