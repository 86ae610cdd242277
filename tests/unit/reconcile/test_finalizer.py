"""Our finalizer by the shell: conflicts are decided anew in the next round, refusals are one pool's alone."""

from __future__ import annotations

import pytest

from htcdask_api import names
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.kube.errors import KubeError
from tests.unit.site import Site

THEIRS = "example.org/audit"


def finalizers(site: Site, name: str = "default-c1") -> list[str]:
    return list(site.kube.pool_bodies["gateway", name]["metadata"].get("finalizers", []))


def meanwhile(site: Site, patch: pytest.MonkeyPatch, method: str, *changes: list[str]) -> list[str]:
    """Somebody changes the finalizers right before each of the first calls; the calls."""
    does, calls, waiting = getattr(site.kube, method), [], list(changes)

    async def do(pool: PoolFacts) -> None:
        calls.append(pool.name)
        if waiting:
            site.kube.set_finalizers(pool.namespace, pool.name, waiting.pop(0))
        await does(pool)

    patch.setattr(site.kube, method, do)
    return calls


def refused(site: Site, patch: pytest.MonkeyPatch, method: str) -> list[float]:
    """The API server refuses it for one pool; when it was asked."""
    does, asked = getattr(site.kube, method), []

    async def do(pool: PoolFacts) -> None:
        if pool.name == "default-c1":
            asked.append(site.clock())
            raise KubeError("PATCH", "forbidden", 403)
        await does(pool)

    patch.setattr(site.kube, method, do)
    return asked


async def test_a_pool_has_it_before_anything_is_submitted(site: Site) -> None:
    site.kube.set_finalizers("gateway", "default-c1", [THEIRS])
    await site.settle()
    assert finalizers(site) == [THEIRS, names.FINALIZER]
    assert len(site.jobs()) == 2


async def test_a_conflict_is_decided_anew_in_the_next_round(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    site.kube.set_finalizers("gateway", "default-c1", [])
    calls = meanwhile(site, monkeypatch, "add_finalizer", [THEIRS], ["example.org/more"])
    await site.poll()
    await site.cycle()
    assert len(calls) == 3
    assert finalizers(site) == ["example.org/more", names.FINALIZER]
    assert "changed meanwhile" not in caplog.text


async def test_a_conflict_at_the_end_leaves_others_finalizers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.settle()
    calls = meanwhile(site, monkeypatch, "remove_finalizer", [THEIRS, names.FINALIZER])
    site.kube.delete_pool("gateway", "default-c1")
    await site.settle(8)
    assert len(calls) == 2
    assert finalizers(site) == [THEIRS]


@pytest.mark.parametrize("method", ["add_finalizer", "remove_finalizer"])
async def test_a_refusal_is_one_pools_and_is_repeated_ever_more_slowly(
    site: Site, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    site.add_pool("manual-c1", scaling="Manual", replicas=1)
    site.scale(1)
    asked = refused(site, monkeypatch, method)
    if method == "add_finalizer":
        site.kube.set_finalizers("gateway", "default-c1", [])
        await site.settle(60)
        assert site.kube.pool_bodies["gateway", "manual-c1"]["status"]["connected"] == 1
    else:
        await site.settle()
        for name in ("default-c1", "manual-c1"):
            site.kube.delete_pool("gateway", name)
        await site.settle(60)
        assert ("gateway", "manual-c1") not in site.kube.pool_bodies
    assert 5 <= len(asked) <= 12
    uid = site.kube.pool_bodies["gateway", "default-c1"]["metadata"]["uid"]
    status, reason, message = await site.condition("Stalled", uid)
    assert (status, reason, "forbidden" in message) == ("True", "ActionFailed", True)


@pytest.fixture
def site() -> Site:
    """A pool of which two workers are wanted."""
    made = Site()
    made.add_cluster(wanted=2)
    return made
