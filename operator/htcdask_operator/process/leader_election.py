"""One operator at a time: a lease like client-go's leader election, on a Lease object.

`decide` is pure; `Leadership` asks and writes; `claims` holds several of them together. Run by `__main__`:
nothing is asked of HTCondor and kopf does not run before the leases are held, and the process ends when they
cannot be kept. Only the own clock counts: how long ago *we* saw the Lease written, never what it says about
the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease
from htcdask_operator.kube.port import Leases

_log = logging.getLogger(__name__)

LONGEST: Final = 300  # seconds: whatever a Lease says, nobody waits longer for its holder's silence


class LeaseLost(Exception):  # noqa: N818
    """Another operator may be at work: this one must end, and may start again."""


@dataclass(frozen=True, slots=True)
class Me:
    """Who asks: the pod, how long its leases last, and since when it holds one."""

    name: str
    seconds: int
    since: str | None = None  # the acquireTime that it wrote; another process of this name wrote another

    @property
    def renew_deadline(self) -> float:
        """A holder that could not renew for so long ends; the rest of the lease is for ending."""
        return self.seconds * 2 / 3

    @property
    def retry_period(self) -> float:
        """Between two looks, and between two renewals."""
        return self.seconds * 2 / 15


@dataclass(frozen=True, slots=True)
class Acquire:
    """It is free."""


@dataclass(frozen=True, slots=True)
class Renew:
    """It is ours."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Somebody else may be at work until then."""

    until: float
    holder: str


@dataclass(frozen=True, slots=True)
class Lost:
    """It was ours."""

    why: str


LONGER: Final = "if this comes again, raise settings.leader.leaseSeconds, which is {} now"


def decide(lease: Lease | None, me: Me, now: float, changed_at: float) -> Acquire | Renew | Wait | Lost:
    """What to do about the Lease as last seen. `changed_at`: when we first saw it so, or began writing it."""
    if me.since is not None:
        if lease is None:
            return Lost("somebody deleted it")
        if (lease.holder, lease.acquired) != (me.name, me.since):
            return Lost(f"{lease.holder or 'nobody'} holds it now")
        if now - changed_at >= me.renew_deadline:
            return Lost(f"it could not be renewed for {now - changed_at:.1f} s")
        return Renew()
    # Our own name: this container's last process, which has ended.
    if lease is None or lease.holder in ("", me.name):
        return Acquire()
    until = changed_at + min(max(lease.seconds or me.seconds, 1), LONGEST)
    return Acquire() if now >= until else Wait(until, lease.holder)


class Leadership:
    """The lease `name`, from waiting for it until it is given back."""

    def __init__(
        self,
        kube: Leases,
        namespace: str,
        name: str,
        me: Me,
        clock: Callable[[], float],
        calendar: Callable[[], float],
        release: str | None = None,
    ) -> None:
        """`release`: of the operators that it is shared with, as their names begin; None: nobody else's."""
        self._kube = kube
        self._where = (namespace, name)
        self._me = me
        self._clock = clock
        self._calendar = calendar  # for people who read the Lease
        self._lease: Lease | None = None
        self._changed_at = clock()
        self._stale = True  # the Lease may be another by now
        self._said: str | None = None
        self._late = False  # the last request had no answer in time
        self._release = release
        self.before = Lease()  # as it was when we took it
        self._turn = asyncio.Event()  # set once it may be taken
        self._turn.set()
        self.held = asyncio.Event()

    def take_after(self, other: Leadership) -> None:
        """Only look at it before that other lease is held."""
        self._turn = other.held

    @property
    def waiting(self) -> str | None:
        """What it waits for, while it waits."""
        if self.held.is_set():
            return None
        said, left = self._awaited, self._at_most()
        if left is not None:
            said += f"; it is over in {left:.0f} s at most, unless it is renewed"
        return said if self.rival is None else f"{said}: {self.rival}"

    @property
    def _awaited(self) -> str:
        return f"waiting for the lease {self}" + (f", held by {self._holder}" if self._holder else "")

    def _at_most(self) -> float | None:
        verdict = decide(self._lease, self._me, self._clock(), self._changed_at)
        return verdict.until - self._clock() if isinstance(verdict, Wait) else None

    @property
    def rival(self) -> str | None:
        """Who else wants this lease for good, if it is not one of our own release."""
        if self.held.is_set() or self._release is None or not self._holder:
            return None
        whose = self._holder.rpartition("/")[0]
        if whose == self._release:
            return None
        return (
            f"the HTCDask release {whose or self._holder} works for the namespace {self._where[0]}, and only "
            "one may; this one does nothing until the other is uninstalled, or told another gateway namespace"
        )

    @property
    def shared(self) -> bool:
        """Whether other releases may want it, too."""
        return self._release is not None

    @property
    def _holder(self) -> str:
        return self._lease.holder if self._lease is not None else ""

    def valid_until(self) -> float:
        """From then on another operator may be at work."""
        return self._changed_at + self._me.seconds if self.held.is_set() else -math.inf

    async def run(self) -> None:
        """Wait for the lease, then renew it until cancelled; LeaseLost when it is ours no more."""
        while True:
            verdict = decide(self._lease, self._me, self._clock(), self._changed_at)
            if isinstance(verdict, Lost):
                self.held.clear()
                advice = f"; {self._longer}" if self._late else ""
                raise LeaseLost(f"the lease {self} is lost: {verdict.why}{advice}")
            try:
                async with asyncio.timeout(self._time_left()):
                    if self._stale:
                        await self._look()
                        continue
                    if isinstance(verdict, Acquire) and not self._turn.is_set():
                        self._stale = True
                    elif isinstance(verdict, Wait):
                        self._say(str(self.waiting), self._awaited)
                        self._stale = True
                    else:
                        await self._write(verdict)
            except (KubeError, TimeoutError) as error:
                self._stale = True  # what was written may have arrived
                self._late = isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError)
                why = str(error) or "no answer in time"
                self._say(f"The lease {self}: {why}" + (f"; {self._longer}" if self._late else ""))
            await self._pause()

    async def release(self) -> None:
        """Let the next one in at once, if the lease is ours. Call it when nothing of us acts any more."""
        self.held.clear()
        since, self._me = self._me.since, replace(self._me, since=None)
        if since is None:
            return
        try:
            async with asyncio.timeout(self._me.renew_deadline):
                found = await self._kube.lease(*self._where)
                if found is not None and (found.holder, found.acquired) == (self._me.name, since):
                    await self._kube.write_lease(*self._where, replace(found, holder=""))
        except (KubeError, TimeoutError) as error:
            _log.warning("The lease %s ends by itself, it could not be given back: %s", self, error)

    async def _pause(self) -> None:
        """Until the next look, which is now when its turn has come."""
        if self._turn.is_set():
            await asyncio.sleep(self._me.retry_period)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._me.retry_period):
                await self._turn.wait()

    def _time_left(self) -> float:
        if self._me.since is None:
            return self._me.renew_deadline
        return self._changed_at + self._me.renew_deadline - self._clock()

    async def _look(self) -> None:
        found = await self._kube.lease(*self._where)
        # While it is ours, only what we know to have written counts.
        if found != self._lease and self._me.since is None:
            self._changed_at = self._clock()
        self._lease, self._stale = found, False

    async def _write(self, verdict: Acquire | Renew) -> None:
        began, now = self._clock(), _text(self._calendar())
        before = self._lease or Lease()
        mine = replace(before, holder=self._me.name, seconds=self._me.seconds, renewed=now)
        if isinstance(verdict, Acquire):
            self.before = before
            moved = before.version is not None and before.holder != self._me.name
            mine = replace(mine, acquired=now, transitions=before.transitions + moved)
        self._lease = await self._kube.write_lease(*self._where, mine)
        self._changed_at, self._said, self._late = began, None, False
        if isinstance(verdict, Acquire):
            self._me = replace(self._me, since=self._lease.acquired)
            if self._time_left() > 0:  # else this process slept meanwhile, and the lease is over
                self.held.set()
                _log.info("%s holds the lease %s", self._me.name, self)

    @property
    def _longer(self) -> str:
        return LONGER.format(self._me.seconds)

    def _say(self, what: str, about: str | None = None) -> None:
        """Once, until it is `about` something else."""
        about = about or what
        if about != self._said:
            _log.warning("%s", what[0].upper() + what[1:])
            self._said = about

    def __str__(self) -> str:
        return "/".join(self._where)


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
