"""Whether /healthz can tell a cycle that hangs from one that waits for slow answers, or for its turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from htcdask_operator.condor.process import AgentProcess
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.core.plan import plan
from htcdask_operator.core.polling import PollIntervals
from htcdask_operator.ports import ClusterKey, Ports
from htcdask_operator.reconcile.cycle import ClusterTask, Cycle
from htcdask_operator.reconcile.loop import Reconciler
from htcdask_operator.watch.orphans import Orphans
from htcdask_operator.watch.poller import Poller
from tests.fakes.condor import FakeCondor
from tests.unit.site import LEASE, Site
from tests.unit.virtual_time import VirtualLoop, in_virtual_time, now

CLUSTERS = 20
SLOW = 5.0  # seconds for an answer: no silence yet
HANGS = 300.0  # as in __main__


class SlowAgent(AgentProcess):
    """Of a real agent all but the process: one question at a time, each answered so slowly."""

    def __init__(self, condor: FakeCondor) -> None:
        super().__init__(("c", "s"), Path("/nowhere"), {}, 30.0, lambda: math.inf)
        self._condor = condor
        self.seconds = SLOW

    async def _exchange(self, method: str, arguments: tuple[Any, ...]) -> Any:
        await asyncio.sleep(self.seconds)
        return await getattr(self._condor, method)(*arguments)

    def __getattr__(self, method: str) -> Callable[..., Awaitable[Any]]:
        return lambda *arguments: self.ask(method, *arguments)


class Operator:
    """A poller and many clusters, each of which wants one worker; to be made in virtual time."""

    def __init__(self) -> None:
        self.site = site = Site()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.now = site.schedd.now
        loop._clock_resolution = 1e-6  # type: ignore[attr-defined]  # a float of today is no finer
        self.agent = SlowAgent(site.condor)
        ports = Ports(self.agent, site.kube, site.scheduler)  # type: ignore[arg-type]
        self.cycle = Cycle(ports, site.known, site.policy, now, plan)
        self.longest = 0.0
        self.reconciler = Reconciler(self.cycle)
        self.keys = [ClusterKey("gateway", f"c{number}") for number in range(CLUSTERS)]
        for key in self.keys:
            site.add_cluster(key.cluster, wanted=1)
        orphans = Orphans(ports, site.known, ("gateway",))
        self.poller = Poller(ports, site.known, PollIntervals(), LEASE, orphans, self.reconciler.wake, now)
        self._run, self.cycle.run = self.cycle.run, self._timed  # type: ignore[method-assign]
        self._tasks: list[asyncio.Task[None]] = []

    async def _timed(self, key: ClusterKey, cluster: ClusterTask) -> float | None:
        began = now()
        try:
            return await self._run(key, cluster)
        finally:
            self.longest = max(self.longest, now() - began)

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self.poller.run())]
        await self.poller.asked_once.wait()
        self._tasks.append(asyncio.create_task(self.reconciler.run()))
        for key in self.keys:
            self.reconciler.wake(key)

    async def watched(self, seconds: float) -> tuple[float, float]:
        """The longest standstill of any cycle and of the poller, in this time."""
        cycles = poller = 0.0
        for _ in range(int(seconds)):
            await asyncio.sleep(1)
            self.site.schedd.tick()
            cycles = max(cycles, self.reconciler.standstill())
            poller = max(poller, self.poller.progress.standstill())
        return cycles, poller

    def pools_with_workers(self) -> int:
        return len({job.pool_uid for job in self.site.jobs()})

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()


def run(story: Callable[[Operator], Awaitable[None]]) -> None:
    async def told() -> None:
        operator = Operator()
        await operator.start()
        await story(operator)
        operator.stop()

    in_virtual_time(told)


def test_behind_an_access_point_that_answers_slowly_nobody_stands_still() -> None:
    async def story(operator: Operator) -> None:
        cycles, poller = await operator.watched(3000)
        assert operator.pools_with_workers() == CLUSTERS
        assert operator.longest > 2 * HANGS, "each question waits for those of all other clusters"
        assert cycles <= 2 * SLOW and poller < 60, "the poller's pause counts too"

    run(story)


def test_an_agent_that_never_comes_to_an_end_is_a_standstill_of_all_that_wait_for_it() -> None:
    async def story(operator: Operator) -> None:
        async def never() -> None:  # such as a process that the kernel does not let end
            await asyncio.Event().wait()

        operator.agent._kill = never  # type: ignore[method-assign]
        operator.agent.seconds = math.inf
        cycles, poller = await operator.watched(600)
        assert min(cycles, poller) > HANGS

    run(story)


def test_a_cycle_that_hangs_is_found_though_all_others_go_on() -> None:
    async def story(operator: Operator) -> None:
        operator.agent.seconds = 1.0
        adopt = operator.site.kube.adopt

        async def hangs(pool: PoolFacts, cluster: str) -> None:
            if pool.name == "default-c3":
                await asyncio.Event().wait()
            await adopt(pool, cluster)

        operator.site.kube.adopt = hangs  # type: ignore[method-assign]
        cycles, poller = await operator.watched(600)
        assert cycles > HANGS and poller < 90
        assert operator.pools_with_workers() == CLUSTERS - 1

    run(story)


def test_who_waits_until_others_have_read_their_pools_does_not_stand_still() -> None:
    async def story(operator: Operator) -> None:
        operator.agent.seconds = 0.0
        pools, waited = operator.site.kube.pools, 4 * HANGS / CLUSTERS

        async def slow(namespace: str, cluster: str | None = None) -> tuple[PoolFacts, ...]:
            await asyncio.sleep(waited)
            return await pools(namespace, cluster)

        operator.site.kube.pools = slow  # type: ignore[method-assign]
        cycles, _ = await operator.watched(600)
        assert operator.longest > HANGS and cycles <= 2 * waited

    run(story)
