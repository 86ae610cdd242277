"""A Manual pool alone and one beside a pool that follows the gateway: brought to rest, then left alone.

Other tests go on meanwhile, so that nobody waits only to see that nothing happens.
"""

import json
import time
from dataclasses import dataclass
from typing import Any

from htcdask_api import names
from playground.site.site import Site
from tests.e2e import clusters, manifest
from tests.e2e.clusters import SMALL
from tests.e2e.look import bare, eventually, queue
from tests.e2e.notebook import Notebook

REMOVED = 3  # HTCondor's JobStatus

RETIRE = """
client = gateway.connect(cluster).get_client()
client.retire_workers(names=workers, close_workers=True)
"""


@dataclass(frozen=True)
class Steady:
    """Clusters at rest, and what the queue held then."""

    clusters: tuple[str, ...]
    jobs: frozenset[str]
    numbers: dict[str, int]  # how many workers each pool had
    gone: frozenset[str]  # the jobs that these pools had had
    since: float


def at_rest(site: Site, notebook: Notebook) -> Steady:
    """Both Manual pools follow kubectl and GitOps; so do the others, whoever the scheduler retires."""
    alone, beside = clusters.new(site, 2)
    night = apply(site, "night", alone, 1)
    day = names.pool_name("default", bare(beside))
    clusters.add_pool(site, beside, SMALL)
    clusters.scale(site, beside, 2)
    have(site, {day: 2})
    evening = apply(site, "evening", beside, 1)
    have(site, {night: 1, day: 1, evening: 1})

    kubectl_scale(site, night, 2)
    kubectl_scale(site, evening, 2)  # of two workers in all: the other pool gives way
    have(site, {night: 2, day: 0, evening: 2})

    apply(site, "night", alone, 1)
    clusters.scale(site, beside, 3)
    have(site, {night: 1, day: 1, evening: 2})

    retired = [workers(site, pool)[0] for pool in (day, evening)]
    notebook.run(RETIRE, cluster=beside, workers=retired)
    eventually(
        lambda: {*workers(site, day), *workers(site, evening)},
        60,
        "others take the place of those that the scheduler retired",
        lambda found: len(found) == 3 and not found.intersection(retired),
    )
    apply(site, "evening", beside, 1)
    numbers = {night: 1, day: 2, evening: 1}
    have(site, numbers)
    eventually(
        lambda: [job for each in (alone, beside) for job in queue(site, each) if job["JobStatus"] == REMOVED],
        60,
        "who was one too many has handed over its data and left",
        lambda leaving: not leaving,
    )
    there = jobs(site, alone, beside)
    return Steady((alone, beside), there, numbers, gone(site, *numbers), time.monotonic())


def apply(site: Site, name: str, cluster: str, replicas: int) -> str:
    """`kubectl apply` of a Manual pool, as GitOps does it; the pool's name."""
    pool = names.pool_name(name, bare(cluster))
    text = json.loads(manifest.pool(pool, bare(cluster), **SMALL))
    text["spec"] |= {"scaling": "Manual", "replicas": replicas}
    site.kubectl("apply", "-f", "-", input=json.dumps(text))
    return pool


def kubectl_scale(site: Site, pool: str, replicas: int) -> None:
    """`kubectl scale`."""
    site.kubectl("-n", "gateway", "scale", names.PLURAL, pool, f"--replicas={replicas}")


def have(site: Site, numbers: dict[str, int]) -> None:
    """Wait until each pool wants, has and sees connected so many workers."""
    wanted = {pool: (count,) * 3 for pool, count in numbers.items()}
    eventually(lambda: {pool: seen(site, pool) for pool in numbers}, 90, f"{numbers}", wanted.__eq__)


def seen(site: Site, pool: str) -> tuple[int, ...]:
    """Desired, live, connected."""
    text = site.kubectl("-n", "gateway", "get", names.PLURAL, pool, "-o", "json")
    status: dict[str, Any] = json.loads(text).get("status", {})
    return tuple(status.get(field, 0) for field in ("desiredReplicas", "replicas", "connected"))


def workers(site: Site, pool: str) -> list[str]:
    """The names of a pool's workers that run."""
    found = [job for job in queue(site) if job[names.AD_POOL] == f"gateway/{pool}" and job["JobStatus"] == 2]
    return [job[names.AD_WORKER] for job in found]


def jobs(site: Site, *of: str) -> frozenset[str]:
    """All jobs of these clusters."""
    found = [job for cluster in of for job in queue(site, cluster)]
    return frozenset(f"{job['ClusterId']}.{job['ProcId']}" for job in found)


def gone(site: Site, *pools: str) -> frozenset[str]:
    """All jobs of these pools that have left the queue."""
    mine = " || ".join(f'{names.AD_POOL} == "gateway/{pool}"' for pool in pools)
    which = 'strcat(ClusterId, ".", ProcId)'
    return frozenset(site.condor("condor_history", "-constraint", mine, "-af", which).split())
