"""A cluster that does not start says what its scheduler's pod waits for, at the cost of few questions."""

from __future__ import annotations

from typing import Any

import pytest

from htcdask_operator.kube import scheduler_pods
from htcdask_operator.kube.errors import KubeError
from tests.unit.site import KEY, Site

NO_IMAGE = {"reason": "ErrImagePull", "message": "nobody/nothing:latest: not found."}


@pytest.fixture
async def site() -> Site:
    """A cluster with a pool, whose scheduler does not start."""
    site = Site()
    site.add_cluster(wanted=2)
    _status(site)["phase"] = "Pending"
    return site


def _status(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = site.kube.cluster_bodies["gateway", "c1"]["status"]
    return found


async def _after(site: Site, seconds: float) -> str:
    """What the pool says, when time has passed and a cycle was due every ten seconds."""
    for _ in range(round(seconds / 10)):
        await site.cycle()
        site.schedd.now += 10
    await site.cycle()
    ready = (await site.pool()).status.condition("Ready")
    assert ready is not None and ready.reason == "ClusterPending"
    return ready.message


def _pod(site: Site, **state: Any) -> None:
    body = {"status": {"containerStatuses": [{"name": "dask-scheduler", "state": state}]}}
    site.kube.pod_bodies["gateway", scheduler_pods.name("c1")] = body


async def test_nobody_is_asked_while_it_may_just_be_starting(site: Site) -> None:
    assert await _after(site, 0) == "The scheduler of cluster c1 is starting (phase Pending)."
    assert site.kube.pods_asked == 0


async def test_what_its_pod_waits_for_is_said_in_kubernetes_own_words(site: Site) -> None:
    _pod(site, waiting=NO_IMAGE)
    assert await _after(site, 20) == (
        "The scheduler of cluster c1 is starting (phase Pending): "
        "its pod waits: ErrImagePull: nobody/nothing:latest: not found."
    )


async def test_that_there_is_no_pod_and_that_it_could_not_be_read_are_said_apart(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await _after(site, 20)).endswith(
        "it has no pod yet: the log of dask-gateway's controller says why."
    )
    monkeypatch.setattr(site.kube, "scheduler_pod", _refused)
    assert "what its pod waits for could not be read: GET pods: forbidden" in await _after(site, 120)


async def _refused(namespace: str, cluster: str) -> str:
    raise KubeError("GET pods", "forbidden", 403)


async def test_it_is_asked_less_and_less_often_and_wakes_itself_for_it(site: Site) -> None:
    _pod(site, waiting=NO_IMAGE)
    await _after(site, 1200)
    assert 8 <= site.kube.pods_asked <= 14, "after 10 s, 20 s, 40 s, ... and then every two minutes"
    assert site.task.scheduler_pod.ask_at is not None
    wake_at = await site.reconciler.cycle.run(KEY, site.task)
    assert wake_at is not None and wake_at <= site.task.scheduler_pod.ask_at


async def test_once_it_runs_nothing_is_said_and_nobody_is_asked(site: Site) -> None:
    _pod(site, waiting=NO_IMAGE)
    await _after(site, 20)
    asked = site.kube.pods_asked
    _status(site)["phase"] = "Running"
    await site.settle(8)
    ready = (await site.pool()).status.condition("Ready")
    assert ready is not None and ready.reason == "WorkersConnected"
    assert (site.kube.pods_asked, site.task.scheduler_pod.said) == (asked, "")


async def test_while_the_cluster_cannot_be_read_nobody_hurries(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _after(site, 10)
    site.schedd.now += 60  # it is long due

    async def fails(namespace: str, name: str) -> None:
        raise KubeError("GET", "gateway timeout", 504)

    monkeypatch.setattr(site.kube, "cluster", fails)
    wake_at = await site.cycle()
    assert wake_at is not None and wake_at > site.schedd.now
