"""`kill -9` of the operator, again and again, while workers come and go: none is doubled and none is lost.

Manual pools and their neighbours, at rest beside it, do not notice.
"""

import json
import random
import time
from dataclasses import dataclass

import pytest

from htcdask_api import names
from playground.site.site import Site
from tests.e2e import clusters, faults, steady
from tests.e2e.clusters import SMALL
from tests.e2e.look import eventually, queue, settled, status, workers
from tests.e2e.notebook import Notebook

AT_WORK = "Watching the pools"  # an operator's word, once it is


@dataclass
class Witness:
    """What the queue shows of one cluster, at each moment; how soon it follows is not its matter.

    An operator whose lives are too short does nothing for as long as they are.
    """

    cluster: str
    most: int = 0  # workers, wanted at any time
    there: set[str] | None = None  # while fewer and fewer are wanted: who was there at the last look

    def look(self, site: Site) -> None:
        """No name twice and no worker too many; and once fewer are wanted, nobody comes."""
        live = [job[names.AD_WORKER] for job in workers(site, self.cluster)]
        assert len(live) == len(set(live)), f"two jobs of one name: {sorted(live)}"
        assert len(live) <= self.most, f"{len(live)} workers, and {self.most} were wanted"
        if self.there is not None:
            assert set(live) <= self.there, f"{sorted(set(live) - self.there)} came, and fewer were wanted"
            self.there = set(live)


@pytest.fixture(scope="module")
def steady_pools(site: Site) -> steady.Steady:
    """Pools that are left alone from the first test to the last."""
    return steady.at_rest(site, Notebook(site))


@pytest.mark.usefixtures("steady_pools")  # which must not notice
def test_killing_the_operator_at_random_moments_doubles_and_loses_no_worker(site: Site) -> None:
    """Half the kills come while more and more workers are wanted, half while fewer and fewer are."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"random seed {seed}")  # noqa: T201 (pytest shows it when the test fails)
    dice = random.Random(seed)  # noqa: S311
    [computing] = clusters.new(site)
    pool = clusters.add_pool(site, computing, SMALL)
    waiting = clusters.by_hand(site, 0)
    witnesses = (Witness(computing), Witness(waiting.name))

    def want(connected: int, idle: int) -> None:
        for witness, count in zip(witnesses, (connected, idle), strict=True):
            witness.most = max(witness.most, count)
        clusters.scale(site, computing, connected)
        clusters.want(site, waiting.name, idle)

    def look() -> None:
        for witness in witnesses:
            witness.look(site)

    def at_work(operator: str) -> bool:
        look()
        return AT_WORK in site.kubectl("-n", "htcdask", "logs", operator)

    def kill(times: int) -> None:
        """One life in four ends before its work begins, the others in the first seconds of it."""
        for _ in range(times):
            life = dice.uniform(-1, 3)
            operator = faults.operator_starts(site)
            if life >= 0:
                eventually(lambda: at_work(operator), 60, "the operator is at work")  # noqa: B023 (at once)
            until = time.monotonic() + abs(life)
            while time.monotonic() < until:
                look()
            faults.kill_operator(site)

    for connected, idle in zip(steps(dice, 0, 6), steps(dice, 0, 12), strict=True):
        want(connected, idle)
        kill(2)
    settled(site, computing, 6, within=90)
    eventually(lambda: len(workers(site, waiting.name)), 30, "12 idle", lambda n: n == 12)
    up = {job[names.AD_WORKER] for job in queue(site, computing) if job[names.AD_WORKER]}
    assert ended(site, pool) == [], "while more were wanted, none was lost"
    assert scheduler_knows(site, computing) == up

    for witness in witnesses:
        witness.there = {job[names.AD_WORKER] for job in workers(site, witness.cluster)}
    for connected, idle in zip(steps(dice, 6, 2), steps(dice, 12, 3), strict=True):
        want(connected, idle)
        kill(2)
    settled(site, computing, 2, within=90)
    eventually(lambda: status(site, waiting.name).get("idle"), 60, "3 idle", lambda n: n == 3)
    assert len(workers(site, waiting.name)) == 3
    down = {job[names.AD_WORKER] for job in workers(site, computing)}
    assert scheduler_knows(site, computing) == down
    assert down <= up, "whoever is left was there before"
    for cluster, uid in ((computing, pool), (waiting.name, waiting.pool)):
        used = [*ended(site, uid), *(job[names.AD_WORKER] for job in workers(site, cluster))]
        assert len(used) == len(set(used)), "no name was used twice"
    clusters.stop(site, computing)
    clusters.delete(site, waiting.name)


def test_pools_at_rest_stay_at_rest_for_five_minutes(site: Site, steady_pools: steady.Steady) -> None:
    """No job came and none went, although the operator was killed again and again meanwhile."""
    time.sleep(max(0.0, steady_pools.since + 300 - time.monotonic()))
    assert steady.jobs(site, *steady_pools.clusters) == steady_pools.jobs
    # A job that came and went in between would be in the history.
    assert steady.gone(site, *steady_pools.numbers) == steady_pools.gone
    steady.have(site, steady_pools.numbers)
    clusters.stop(site, *steady_pools.clusters)


def steps(dice: random.Random, first: int, last: int) -> list[int]:
    """Five numbers on the way from `first` to `last`, the last included."""
    return [*sorted((dice.randint(*sorted((first, last))) for _ in range(4)), reverse=last < first), last]


def ended(site: Site, pool: str) -> list[str]:
    """The names of all workers of this pool whose jobs have left the queue."""
    mine = f'{names.AD_POOL_UID} == "{pool}" && {names.AD_ROLE} == "{names.ROLE_WORKER}"'
    return site.condor("condor_history", "-constraint", mine, "-af", names.AD_WORKER).split()


def scheduler_knows(site: Site, cluster: str) -> set[str]:
    """The names of the workers that are connected, by the scheduler's own page."""
    service = clusters.get(site, cluster)["status"]["service"]
    path = f"/api/v1/namespaces/gateway/services/{service}:8787/proxy/json/identity.json"
    shown = json.loads(site.kubectl("get", "--raw", path))
    return {worker["name"] for worker in shown["workers"].values()}
