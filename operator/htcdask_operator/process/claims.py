"""The leases that an operator holds together: its own, and one for each namespace whose pools it works for.

Its own keeps two pods of one release apart. The one of a namespace has the same name whatever the release is
called, so that two releases that watch one namespace are kept apart too: the second says so, and does nothing
until the first is gone. All operators take their own lease first and the others in one order, so none waits
for another in a circle, and one that was told to end (`kube.stand_down`) takes no namespace any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from typing import Final

from htcdask_api import names
from htcdask_operator import metrics
from htcdask_operator.kube.claimed import Claimed
from htcdask_operator.kube.leases import read_time
from htcdask_operator.kube.port import Leases
from htcdask_operator.process.leader_election import Leadership, LeaseLost, Me
from htcdask_operator.settings import Leader


class Claims:
    """All or nothing: `held` once all are."""

    def __init__(self, leases: Sequence[Leadership]) -> None:
        """In the order in which they are taken."""
        self._leases: Final = leases
        for before, after in itertools.pairwise(leases):
            after.take_after(before)
        self.held = asyncio.Event()

    @property
    def waiting(self) -> str | None:
        """What it waits for, while it waits."""
        if self.held.is_set():
            return None
        return next((lease.waiting for lease in self._leases if lease.waiting is not None), None)

    @property
    def rival(self) -> str | None:
        """The other release that is in the way, in words: waiting does not help, a person has to."""
        if self.held.is_set():
            return None
        return next((lease.rival for lease in self._leases if lease.rival is not None), None)

    @property
    def last_seen(self) -> float | None:
        """When an operator of this release was last known to work, before this one; None: nobody wrote it."""
        own = next(lease for lease in self._leases if not lease.shared)
        return read_time(own.before.renewed)

    def valid_until(self) -> float:
        """From then on another operator may be at work."""
        return min(lease.valid_until() for lease in self._leases)

    async def run(self) -> None:
        """Wait for all leases, then renew them until cancelled; LeaseLost when one is ours no more."""
        try:
            async with asyncio.TaskGroup() as group:
                for lease in self._leases:
                    group.create_task(lease.run(), name=f"lease {lease}")
                for lease in self._leases:
                    await lease.held.wait()
                self.held.set()
                metrics.LEADER.set(1)
        except (
            BaseExceptionGroup
        ) as several:  # `except*` wraps what is raised in it, in some versions of Python
            self.held.clear()
            lost = several.subgroup(LeaseLost)
            if lost is None:
                raise
            raise LeaseLost(str(lost.exceptions[0])) from several

    async def release(self) -> None:
        """Let the next one in at once. Call it when nothing of us acts any more."""
        self.held.clear()
        metrics.LEADER.set(0)
        for lease in reversed(self._leases):  # who waits for the first finds all the others free
            await lease.release()


def holder(leader: Leader, instance: str) -> str:
    """As whom the process `instance` of this release holds the leases of namespaces."""
    return f"{leader.namespace}/{leader.name}/{instance}"


def claims(
    kube: Leases,
    leader: Leader,
    namespaces: Sequence[str],
    instance: str,
    clock: Callable[[], float],
    calendar: Callable[[], float],
) -> Claims:
    """Those of the operator whose own lease is `leader`."""
    release = f"{leader.namespace}/{leader.name}"
    wanted: dict[tuple[str, str], str | None] = {(where, names.CLAIM): release for where in namespaces}
    wanted[leader.namespace, leader.name] = None
    claimed = Claimed(kube)
    return Claims(
        [
            Leadership(
                kube if whose is None else claimed,
                *where,
                Me(instance if whose is None else holder(leader, instance), leader.lease_seconds),
                clock,
                calendar,
                release=whose,
            )
            for where, whose in sorted(wanted.items(), key=lambda lease: (lease[1] is not None, lease[0]))
        ]
    )
