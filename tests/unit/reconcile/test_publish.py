"""A status is written when it changed, once, and Events tell what changed."""

import pytest

from htcdask_api import PoolStatus, manifest
from htcdask_api.status import Condition
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.core.token_bucket import Publicity
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.reconcile.publish import Published, publish
from tests.builders import NOW
from tests.fakes.kube import FakeKube

POOL = manifest.pool("gateway", "default-c1", "c1")
STATUS = PoolStatus(
    desired_replicas=4,
    conditions=(
        Condition(
            type="CondorReachable",
            status="False",
            reason="CondorUnreachable",
            message="no route",
            last_transition_time="2026-01-01T00:00:00Z",
        ),
    ),
)


async def pool_in(kube: FakeKube) -> PoolFacts:
    (pool,) = await kube.pools("gateway")
    return pool


async def test_a_change_is_written_once_and_told_once() -> None:
    kube = FakeKube()
    kube.make_pool(POOL)
    published = await publish(kube, await pool_in(kube), STATUS, Publicity(), NOW)
    assert kube.status_writes == 1
    told = list(kube.events)
    assert [reason for _, _, reason, _ in told] == ["Scaled", "CondorUnreachable"]
    assert await publish(kube, await pool_in(kube), STATUS, published.publicity, NOW) == published
    assert kube.status_writes == 1
    assert kube.events == told


async def test_a_pool_that_went_away_is_no_error() -> None:
    kube = FakeKube()
    kube.make_pool(POOL)
    pool = await pool_in(kube)
    kube.delete_pool("gateway", "default-c1")
    assert await publish(kube, pool, STATUS, Publicity(), NOW) == Published(Publicity())
    assert kube.events == []


async def test_an_api_server_that_does_not_answer_is_an_error_for_the_cycle() -> None:
    kube = FakeKube()
    kube.make_pool(POOL)
    pool = await pool_in(kube)
    kube.failing = "no route"
    with pytest.raises(KubeError, match="no route"):
        await publish(kube, pool, STATUS, Publicity(), NOW)


async def test_a_conflict_is_not_taken_for_a_pool_that_went_away(monkeypatch: pytest.MonkeyPatch) -> None:
    kube = FakeKube()
    kube.make_pool(POOL)

    async def conflict(*_: object) -> None:
        raise KubeError("PATCH", "please apply your changes to the latest version", 409)

    monkeypatch.setattr(kube, "publish", conflict)
    with pytest.raises(KubeError, match="latest version"):
        await publish(kube, await pool_in(kube), STATUS, Publicity(), NOW)
