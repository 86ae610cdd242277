"""The operator's running parts, wired once: the program and the simulation both call `assemble`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import kopf

from htcdask_operator.core.plan import plan
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.ports import Ports
from htcdask_operator.reconcile.announce import Announcer
from htcdask_operator.reconcile.cycle import Cycle, Planner
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.state.known import Known
from htcdask_operator.watch import handlers
from htcdask_operator.watch.orphans import Orphans
from htcdask_operator.watch.poller import Poller
from htcdask_operator.watch.resync import Resync


@dataclass(frozen=True, slots=True)
class Parts:
    """What runs, but for what no policy touches (`process`)."""

    known: Known
    poller: Poller
    reconciler: Reconciler
    resync: Resync
    announcer: Announcer
    registry: kopf.OperatorRegistry

    async def reconcile(self) -> None:
        """Work until cancelled, from the first answer of the access point on."""
        await self.poller.asked_once.wait()  # else every start would tell all pools that HTCondor is silent
        await self.reconciler.run()


def assemble(
    ports: Ports,
    policy: Policy,
    namespaces: Sequence[str],
    clock: Callable[[], float],
    *,
    lease: tuple[str, str],
    intervals: PollIntervals | None = None,
    last_seen: Callable[[], float | None] = lambda: None,
    planner: Planner = plan,
) -> Parts:
    """The parts of an operator for the pools of these namespaces, at rest.

    `lease`: namespace and name of the operator's own. `clock`: seconds since the epoch, by a clock that
    nobody sets. `last_seen`: when an operator of this installation was last at work before this one.
    """
    known, expiry, intervals = Known(), policy.job_expiry_seconds, intervals or PollIntervals()
    reconciler = Reconciler(Cycle(ports, known, policy, clock, planner))
    orphans = Orphans(ports, known, namespaces, expiry / 2, last_seen)
    poller = Poller(ports, known, intervals, expiry, orphans, reconciler.wake, clock)
    reconciler.cycle.on_action = poller.poll_soon
    registry = kopf.OperatorRegistry()
    handlers.register(registry, reconciler, known)
    resync = Resync(ports, known, namespaces, reconciler)
    announcer = Announcer(ports.kube, known, lease, clock)
    return Parts(known, poller, reconciler, resync, announcer, registry)
