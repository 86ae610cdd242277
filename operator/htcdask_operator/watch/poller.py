"""One poller for all pools: one question to the access point; `schedulers` asks those where it matters.

Run by `__main__` as a supervised task. It wakes the clusters whose jobs or connected workers changed,
renews the lease of all jobs in one edit, and sweeps jobs whose pool is gone. An access point that does not
answer makes every cluster's queue `Unseen`; the loop itself goes on, also after a mistake of ours.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable
from typing import Final

from htcdask_operator import metrics
from htcdask_operator.condor.errors import CondorError, CondorRefused
from htcdask_operator.core import polling
from htcdask_operator.core.model import Disputed, Job, JobStatus, Unseen
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.core.rivals import Renewals
from htcdask_operator.core.workers import states
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.process.unexpected import Survived
from htcdask_operator.progress import Progress
from htcdask_operator.state.known import Known
from htcdask_operator.watch.orphans import Orphans
from htcdask_operator.watch.schedulers import Schedulers

_log = logging.getLogger(__name__)

_RENEW_AGAIN: Final = 30.0  # after a renewal that failed: an edit of all jobs is dear
_BEHIND: Final = 12  # times in a lease, at the most, are all renewed for one that is behind
_NOT_UNDERSTOOD: Final = Unseen("its answer could not be understood: a mistake of the operator, see its log")


class Poller:
    """Asks at an interval that follows activity."""

    def __init__(
        self,
        ports: Ports,
        known: Known,
        intervals: PollIntervals,
        job_expiry_seconds: float,
        orphans: Orphans,
        wake: Callable[[ClusterKey], None],
        clock: Callable[[], float],
    ) -> None:
        self._ports = ports
        self._known = known
        self._intervals = intervals
        self._job_expiry_seconds = job_expiry_seconds
        self._orphans = orphans
        self._wake = wake
        self._clock = clock
        self._woken = asyncio.Event()
        self._busy_since = 0.0
        self._renew_at = self._renewed_at = 0.0
        self._renewals = Renewals()
        self._said: str | None = None
        self._survived = Survived(clock)
        self._schedulers = Schedulers(ports, known, intervals, clock, lambda key: self._tell({key}))
        self.progress: Final = Progress(clock)
        self.asked_once = asyncio.Event()

    def poll_soon(self) -> None:
        """Something was done or asked for: look more often for a while, beginning now."""
        self._busy_since = self._clock()
        self._woken.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        self.progress.follow()
        self.progress.note()  # the wait for the lease was no standstill
        while True:
            self._woken.clear()
            await self.tick()
            try:
                async with asyncio.timeout(self.interval()):
                    await self._woken.wait()
                # Not at once: what was done needs a moment to show, and many calls are one reason.
                await asyncio.sleep(self._intervals.active_seconds / 2)
            except TimeoutError:
                pass

    async def tick(self) -> None:
        """One poll. What fails by a mistake of ours leaves the rest alone, unless it goes on for long."""
        with self._survived.attempt("The question about all jobs"):
            self._tell(await self._ask_condor())
        with self._survived.attempt("Asking the schedulers"):
            self._schedulers.ask()
        if self._known.queue.unseen in (None, _NOT_UNDERSTOOD) or isinstance(
            self._known.queue.unseen, Disputed
        ):
            await self._look_after_jobs()
        self.progress.note()
        self.asked_once.set()

    async def answers(self) -> None:
        """Wait for the schedulers that are being asked."""
        await self._schedulers.answers()

    def _tell(self, changed: Collection[ClusterKey]) -> None:
        if changed:
            self._busy_since = self._clock()
        for key in changed:
            self._wake(key)

    async def _ask_condor(self) -> set[ClusterKey]:
        """The clusters whose jobs changed; all of them when the access point went or came."""
        known, was = self._known, self._known.queue.unseen
        asked_at, began = self._clock(), time.monotonic()
        try:
            identity, known.queue.identity = known.queue.identity, await self._ports.condor.whoami()
            also = frozenset(known.clusters.submitted_as.values())
            jobs = await self._ports.condor.jobs(also)
            known.queue.asked_as = also
            pools = known.queue.saw_all(jobs, asked_at)
        except CondorError as error:
            known.queue.unseen = Unseen(str(error))
            if isinstance(error, CondorRefused):
                known.queue.identity = None  # ask again who we are, once it answers
            metrics.CONDOR_UP.set(0)
            if self._said != str(error):
                _log.error("The queue cannot be seen: %s", error)
                self._said = str(error)
            return set(known.clusters.pools.values()) if was != known.queue.unseen else set()
        except Exception:
            known.queue.unseen = _NOT_UNDERSTOOD
            if was != known.queue.unseen:
                self._tell(set(known.clusters.pools.values()))
            raise
        self._renewals = self._renewals.look(jobs, asked_at)
        known.queue.unseen = self._renewals.dispute(asked_at, self._job_expiry_seconds)
        metrics.POLL_SECONDS.observe(time.monotonic() - began)
        metrics.CONDOR_UP.set(1)
        _count(self._all_jobs())
        if known.queue.unseen is not None and self._said != known.queue.unseen.why:
            self._said = known.queue.unseen.why
            _log.critical("Nothing is submitted or removed: %s", self._said)
        elif known.queue.unseen is None and self._said is not None:
            _log.warning("The queue is seen again, and only this operator acts on it")
            self._said = None
        if was != known.queue.unseen or known.queue.identity != identity:
            return set(known.clusters.pools.values())
        return {known.clusters.pools[pool] for pool in pools if pool in known.clusters.pools}

    async def _look_after_jobs(self) -> None:
        now = self._clock()
        with self._survived.attempt("Renewing the leases"):
            try:
                if self._known.queue.jobs and (now >= self._renew_at or self._is_behind(now)):
                    self._renewed_at, self._renew_at = (
                        now,
                        now + min(_RENEW_AGAIN, self._job_expiry_seconds / 30),
                    )
                    self._renewals = self._renewals.renewed(now + self._job_expiry_seconds)
                    await self._ports.condor.renew(now + self._job_expiry_seconds)
                    self._renew_at = now + self._job_expiry_seconds / 3
            except CondorError as error:
                _log.warning("Leases could not be renewed: %s", error)
        if self._known.queue.unseen is None:
            with self._survived.attempt("Sweeping jobs whose pool is gone"):
                try:
                    await self._orphans.sweep(now)
                except CondorError as error:
                    _log.warning("Jobs whose pool is gone could not be removed: %s", error)

    def _is_behind(self, now: float) -> bool:
        """Not more often than it may cost, if there is one that no renewal reaches."""
        queue, pause = self._known.queue, self._job_expiry_seconds / _BEHIND
        if now < self._renewed_at + pause:
            return False
        return polling.lease_is_behind(self._all_jobs(), queue.identity, self._job_expiry_seconds, now)

    def _all_jobs(self) -> Iterable[Job]:
        return (job for jobs in self._known.queue.jobs.values() for job in jobs)

    def _recently(self) -> bool:
        return self._clock() - self._busy_since < polling.BUSY_SECONDS

    def interval(self) -> float:
        """Seconds until the next poll, if nobody asks for it before."""
        return self._intervals.interval(moving=self._moving(), workers=self._schedulers.any)

    def _moving(self) -> bool:
        if self._known.queue.unseen is not None:
            return self._recently()
        soon = self._schedulers.moving or self._recently()
        return soon or any(not states.is_at_rest(job) for job in self._all_jobs())


def _count(jobs: Iterable[Job]) -> None:
    counts = dict.fromkeys(JobStatus, 0)
    for job in jobs:
        if job.may_be_worker:
            counts[job.status] += 1
    for status, count in counts.items():
        metrics.JOBS.labels(status.name.lower()).set(count)
