"""What fails for one pool leaves the other pools of its cluster alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

import pytest

from htcdask_api import PoolStatus, WorkerLog, names
from htcdask_operator.condor.errors import CondorError, CondorRefused, CondorTimeout, CondorUnreachable
from htcdask_operator.core import reasons
from htcdask_operator.core.checks import chains
from htcdask_operator.core.model import JobStatus, PoolFacts, Role
from htcdask_operator.core.scaling import limits
from htcdask_operator.core.status import summary
from htcdask_operator.core.submit import descriptions, template
from htcdask_operator.core.workers import backoff, states
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.reconcile import courtesies
from tests.fakes.condor import Life
from tests.unit.site import Site

SECRET = "a-token-that-nobody-may-see"


class Pools:
    """One cluster: a pool that follows the gateway, a Manual one, and a third one that makes trouble."""

    def __init__(self, site: Site, default: str, manual: str, third: str) -> None:
        self.site, self.default, self.manual, self.third = site, default, manual, third

    def scale(self, replicas: int) -> None:
        """What people do to the Manual pool."""
        self.site.kube.edit_pool("gateway", "manual", replicas=replicas)

    def delete(self, name: str = "manual") -> None:
        self.site.kube.delete_pool("gateway", name)


@pytest.fixture
async def pools() -> Pools:
    """The first two have two workers each; the third is new, and older than both."""
    site = Site()
    default = site.add_cluster(wanted=4)
    manual = site.add_pool("manual", scaling="Manual", replicas=2)
    await site.settle(8)
    assert [len(site.jobs_of(uid, JobStatus.RUNNING)) for uid in (default, manual)] == [2, 2]
    site.kube.created = "2025-01-01T00:00:00Z"
    return Pools(site, default, manual, site.add_pool("third", scaling="Manual", replicas=0))


Trouble = Callable[[Site, pytest.MonkeyPatch], str]


def unreadable_secret(site: Site, patch: pytest.MonkeyPatch) -> str:
    site.kube.secrets.clear()
    return "secret"


def no_adoption(site: Site, patch: pytest.MonkeyPatch) -> str:
    del site.kube.pool_bodies["gateway", "third"]["metadata"]["ownerReferences"]

    async def forbidden(pool: PoolFacts, cluster: str) -> None:
        raise KubeError("PATCH", "forbidden", 403)

    patch.setattr(site.kube, "adopt", forbidden)
    return "forbidden"


def refused_anchor(site: Site, patch: pytest.MonkeyPatch) -> str:
    async def refuse(description: Mapping[str, str], bundle: bytes, identity: str | None = None) -> str:
        raise CondorRefused("not with this token")

    patch.setattr(site.condor, "submit_anchor", refuse)
    return "not with this token"


def hanging_anchor(site: Site, patch: pytest.MonkeyPatch) -> str:
    async def hang(description: Mapping[str, str], bundle: bytes, identity: str | None = None) -> str:
        site.schedd.now += 30
        raise CondorTimeout("no answer in 30 s")

    patch.setattr(site.condor, "submit_anchor", hang)
    return "no answer in 30 s"


def broken_bundle(site: Site, patch: pytest.MonkeyPatch) -> str:
    def render(*_: object) -> bytes:
        raise ZeroDivisionError(SECRET)

    patch.setattr("htcdask_operator.reconcile.perform.render", render)
    return "a mistake of the operator (ZeroDivisionError)"


TROUBLES = [unreadable_secret, no_adoption, refused_anchor, hanging_anchor, broken_bundle]


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_pool_of_which_an_action_fails_for_an_hour_delays_no_other(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, trouble: Trouble
) -> None:
    site = pools.site
    await site.cycle()  # the third has its owner
    for entry in list(site.schedd.queue.values()):
        if entry.job.pool_uid == pools.third:
            del site.schedd.queue[entry.job.id]
    site.schedd.now += 1
    why = trouble(site, monkeypatch)
    with caplog.at_level(logging.WARNING):
        for _ in range(60):
            await site.poll()
            again = await site.cycle()
            assert again is not None and site.clock() < again <= site.clock() + 61
            site.schedd.now += 60
    assert caplog.text.count(why) <= 2, "said once, not at every try"
    assert SECRET not in caplog.text
    ready, reason, message = await site.condition("Ready", pools.third)
    assert (ready, why in message) == ("False", True), (reason, message)
    assert SECRET not in message
    assert (await site.condition("Ready", pools.default))[0] == "True"
    assert (await site.condition("CondorReachable", pools.default))[0] == "True"

    site.scale(6)
    pools.scale(4)
    await site.cycle()
    assert len(site.jobs_of(pools.manual)) == 4, "it is scaled at once"
    pools.delete()
    await site.cycle()
    assert len(site.jobs_of(pools.manual, JobStatus.REMOVED)) == 4, "it ends at once"
    await site.settle(6)
    assert site.is_gone(pools.manual)


@pytest.mark.parametrize("trouble", [unreadable_secret, refused_anchor, hanging_anchor])
async def test_a_pool_that_failed_is_tried_again_ever_more_slowly_and_then_gets_through(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, trouble: Trouble
) -> None:
    site = pools.site
    secrets = dict(site.kube.secrets)
    with monkeypatch.context() as patch:
        trouble(site, patch)
        pauses = []
        for _ in range(9):
            await site.poll()
            again = await site.cycle()
            assert again is not None
            pauses.append(round(again - site.clock()))
            site.schedd.now = again + 0.001
    assert pauses[:3] == [1, 2, 4]
    assert max(pauses) == 60
    site.kube.secrets.update(secrets)
    await site.poll()
    await site.cycle()
    assert [entry for entry in site.schedd.queue.values() if entry.job.pool_uid == pools.third]
    assert (await site.condition("CondorReachable", pools.third))[0] == "True"


@pytest.mark.parametrize("error", [CondorTimeout("silence"), CondorUnreachable("no route")], ids=str)
async def test_a_silent_access_point_is_not_asked_by_each_pool_and_kubernetes_goes_on(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, error: CondorError
) -> None:
    site = pools.site
    adopted = site.kube.pool_bodies["gateway", "third"]["metadata"]
    asked = []

    async def silent(jobs: Sequence[str], reason: str) -> None:
        asked.append(jobs)
        raise error

    monkeypatch.setattr(site.condor, "remove", silent)
    for name in ("manual", "default-c1"):
        pools.delete(name)
    await site.cycle()
    assert len(asked) == 1
    assert adopted["ownerReferences"]
    for uid in (pools.manual, pools.default):
        assert await site.condition("CondorReachable", uid) == ("False", "CondorUnreachable", str(error))


@pytest.mark.parametrize("error", [CondorTimeout("slow"), CondorError("odd"), ValueError(SECRET)], ids=repr)
async def test_logs_that_cannot_be_read_hold_up_nobody(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    site = pools.site
    site.schedd.life = lambda _: Life(exit_code=3)
    site.schedd.tick()

    async def fails(*_: object) -> Mapping[str, str]:
        site.condor.calls.append("logs")
        raise error

    monkeypatch.setattr(site.condor, "logs", fails)
    pools.delete()
    await site.poll()
    await site.cycle()
    assert site.condor.calls.count("logs") == 1
    assert not site.jobs_of(pools.manual, JobStatus.COMPLETED)
    (failure,) = next(
        pool.status.recent_failures
        for pool in await site.kube.pools("gateway", "c1")
        if pool.uid == pools.default
    )
    assert failure.log_tail == ""
    assert (await site.condition("CondorReachable", pools.default))[0] == "True"
    assert "could not be read" in caplog.text
    assert SECRET not in caplog.text
    await site.cycle()
    assert site.condor.calls.count("logs") == 1, "nobody asks for ever"


async def test_logs_that_are_slow_are_not_waited_for_and_wake_the_cluster_when_they_come(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courtesies, "PATIENCE", 0.01)
    site, come = pools.site, asyncio.Event()
    site.schedd.life = lambda _: Life(exit_code=3)
    site.schedd.tick()

    async def slow(anchor: str, workers: Sequence[str]) -> Mapping[str, str]:
        site.condor.calls.append("logs")
        await come.wait()
        return {worker: f"htcdask: worker {worker} on node ended: last words" for worker in workers}

    monkeypatch.setattr(site.condor, "logs", slow)
    await site.poll()
    async with asyncio.timeout(5):
        await site.cycle()
        pools.delete()
        await site.cycle()
        assert not site.jobs_of(pools.manual, JobStatus.COMPLETED)
        assert site.condor.calls.count("logs") == 1
        site.task.woken.clear()
        come.set()
        await site.task.woken.wait()
        monkeypatch.undo()
        await site.cycle()
    tails = {
        failure.log_tail
        for pool in await site.kube.pools("gateway", "c1")
        if pool.uid == pools.default
        for failure in pool.status.recent_failures
    }
    assert [str(tail).rpartition(": ")[2] for tail in tails] == ["last words"]


@pytest.mark.parametrize(
    ("error", "tries"),
    [
        (KubeError("PATCH", "no answer"), 2),
        (KubeError("PATCH", "an earlier pool's", 409), 2),
        (KubeError("PATCH", "forbidden", 403), 1),
        (KubeError("PATCH", "the CRD is not there", 404), 1),
        (KubeError("GET", "the CRD is not there, in plain text", unserved=True), 1),
        (ValueError(SECRET), 1),
    ],
    ids=repr,
)
async def test_what_workers_printed_and_cannot_be_written_holds_up_nobody(
    pools: Pools,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    tries: int,
) -> None:
    site, asked = pools.site, list[str]()
    site.schedd.life = lambda name: Life(f"htcdask: worker {name} on node ended\nhello\n", exit_code=0)
    site.schedd.tick()

    async def fails(pool: PoolFacts, logs: Sequence[WorkerLog], now: float) -> int:
        asked.append(pool.uid)
        raise error

    monkeypatch.setattr(site.kube, "write_log", fails)
    for _ in range(3):
        await site.poll()
        await site.cycle()
    assert set(asked) == {pools.manual, pools.default} and len(asked) == 2
    assert not site.jobs(JobStatus.COMPLETED), "they are recorded and forgotten all the same"
    for uid in (pools.manual, pools.default):
        assert (await site.condition("CondorReachable", uid))[0] == "True"
        assert (await site.condition("Ready", uid))[1] != "ActionFailed"
    assert "what its workers printed is not written" in caplog.text
    assert SECRET not in caplog.text
    site.schedd.life = lambda _: Life()
    site.schedd.tick(11)
    await site.poll()
    await site.cycle()
    said = 2 * (1 if isinstance(error, KubeError) else tries)
    assert caplog.text.count("is not written") == said, "once a pool and reason, not at every try"
    assert len(asked) == 2 * tries, "what nobody took is tried again after a pause, what was refused is not"
    monkeypatch.undo()
    site.schedd.tick(11)
    await site.poll()
    await site.cycle()
    assert len(site.kube.log_bodies) == 2 * (tries - 1)


async def test_what_finds_no_room_in_the_store_is_written_when_there_is_some(pools: Pools) -> None:
    site = pools.site
    site.schedd.life = lambda name: Life(f"htcdask: worker {name} on node ended\nhello\n", exit_code=0)
    site.schedd.tick()
    budget = site.known.log_budget
    while budget.reserve(site.schedd.now):
        pass
    await site.poll()
    await site.cycle()
    assert not site.kube.log_bodies
    site.schedd.life = lambda _: Life()
    site.schedd.tick(11)
    await site.poll()
    await site.cycle()
    assert len(site.kube.log_bodies) == 2


# --- What frees something waits for nothing else.


def no_owner(site: Site) -> None:
    for body in site.kube.pool_bodies.values():
        body["metadata"].pop("ownerReferences", None)


def forbid(site: Site, patch: pytest.MonkeyPatch, what: str) -> list[str]:
    """Kubernetes refuses this for good; the pools for which it was asked."""
    asked = []

    async def forbidden(pool: PoolFacts, *_: object) -> None:
        asked.append(pool.uid)
        raise KubeError("PATCH", "forbidden", 403)

    patch.setattr(site.kube, what, forbidden)
    return asked


async def test_an_ended_cluster_loses_its_workers_although_its_pools_can_have_no_owner(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's tool takes the owner away, and a policy refuses to put it back."""
    site = pools.site
    no_owner(site)
    asked = forbid(site, monkeypatch, "adopt")
    site.kube.cluster_bodies["gateway", "c1"]["status"]["phase"] = "Stopped"
    for _ in range(10):
        await site.poll()
        await site.cycle()
        site.schedd.tick()
    assert not site.schedd.queue
    assert len(asked) <= 30, "ever more slowly"


async def test_what_is_left_of_a_cluster_that_is_gone_goes_although_its_pools_have_no_owner(
    pools: Pools,
) -> None:
    """Who had jobs had a cluster, and no cluster will come back for them."""
    site = pools.site
    no_owner(site)
    site.kube.delete_cluster("gateway", "c1")
    for _ in range(6):
        await site.poll()
        await site.cycle()
        site.schedd.tick()
    assert not site.schedd.queue
    assert (await site.condition("Ready", pools.third))[1] == reasons.CLUSTER_NOT_FOUND


@pytest.mark.parametrize("what", ["adopt", "force_remove", "hold"])
async def test_what_fails_for_ever_keeps_no_ended_worker_in_the_queue_and_no_surplus(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    site = pools.site

    async def fails(jobs: Sequence[str], reason: str) -> None:
        raise CondorError("no")

    if what == "adopt":
        no_owner(site)
        forbid(site, monkeypatch, what)
    else:
        monkeypatch.setattr(site.condor, what, fails)
    if what == "force_remove":
        site.schedd.silent = True
        site.schedd.remove(site.jobs_of(pools.manual)[0].id)
        site.schedd.now += 600
    if what == "hold":
        (anchor,) = (
            entry.job
            for entry in site.schedd.queue.values()
            if entry.job.pool_uid == pools.manual and entry.job.role is Role.ANCHOR
        )
        site.schedd.release(anchor.id)
    ended = site.jobs_of(pools.manual, JobStatus.RUNNING)[-1]
    site.schedd.end(ended.id, 3)
    await site.poll()
    await site.cycle()
    assert ended.id not in site.schedd.queue


# --- Release first.


def removals_refused(site: Site, patch: pytest.MonkeyPatch) -> None:
    async def refuse(jobs: Sequence[str], reason: str) -> None:
        raise CondorRefused("not with this token")

    patch.setattr(site.condor, "remove", refuse)


def silence(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.condor.failing = CondorTimeout("no answer in 30 s")


def no_identity(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.known.queue.identity = None


def unreadable_cluster(site: Site, patch: pytest.MonkeyPatch) -> None:
    async def fails(namespace: str, name: str) -> None:
        raise KubeError("GET", "forbidden", 403)

    patch.setattr(site.kube, "cluster", fails)


def nonsense_for_a_cluster(site: Site, patch: pytest.MonkeyPatch) -> None:
    async def fails(namespace: str, name: str) -> None:
        raise TypeError(SECRET)

    patch.setattr(site.kube, "cluster", fails)


def nonsense_for_a_queue(site: Site, patch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise TypeError(SECRET)

    patch.setattr(site.condor, "jobs_of", fails)


def invalid_spec(site: Site, patch: pytest.MonkeyPatch) -> None:
    site.kube.edit_pool("gateway", "manual", replicas="many")


def mistaken_plan(site: Site, patch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError(SECRET)

    for module, function in ((template, "resolve"), (states, "judge"), (summary, "summarize")):
        patch.setattr(module, function, fails)


@pytest.mark.parametrize(
    "trouble",
    [
        removals_refused,
        silence,
        no_identity,
        unreadable_cluster,
        nonsense_for_a_cluster,
        nonsense_for_a_queue,
        invalid_spec,
        mistaken_plan,
    ],
)
async def test_a_pool_that_is_released_by_hand_goes_whatever_fails(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, trouble: Callable[[Site, pytest.MonkeyPatch], None]
) -> None:
    site = pools.site
    trouble(site, monkeypatch)
    pools.delete()
    await site.cycle()
    assert not site.is_gone(pools.manual), "not before somebody says so"
    site.kube.pool_bodies["gateway", "manual"]["metadata"]["annotations"] = {names.RELEASE_ANNOTATION: "true"}
    site.schedd.now += 1
    await site.cycle()
    assert site.is_gone(pools.manual)


# --- As whom.


async def test_the_identity_that_was_written_down_is_not_taken_back_in_the_same_cycle(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither when the access point falls silent, nor when the pool cannot be planned any more."""
    site, record = pools.site, pools.site.kube.publish

    async def silent(jobs: Sequence[str], reason: str) -> None:
        raise CondorTimeout("silence")

    monkeypatch.setattr(site.condor, "remove", silent)
    pools.delete()
    await site.poll()
    await site.cycle()
    (third,) = (pool for pool in await site.kube.pools("gateway", "c1") if pool.uid == pools.third)
    assert third.submitted_as == site.condor.identity
    monkeypatch.undo()

    fourth = site.add_pool("fourth", scaling="Manual", replicas=0)

    async def then_fail(pool: PoolFacts, status: PoolStatus) -> None:
        await record(pool, status)
        if pool.uid == fourth and status.submitted_as:
            monkeypatch.setattr(descriptions, "template_hash", ZeroDivisionError)

    monkeypatch.setattr(site.kube, "publish", then_fail)
    await site.cycle()
    (found,) = (pool for pool in await site.kube.pools("gateway", "c1") if pool.uid == fourth)
    assert found.submitted_as == site.condor.identity


# --- What is published.


@pytest.mark.parametrize(
    "error",
    [KubeError("PATCH", "Invalid value", 422), KubeError("PATCH", "conflict", 409), ValueError(SECRET)],
    ids=repr,
)
async def test_a_status_that_is_refused_holds_up_no_other_and_is_written_later(
    pools: Pools, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    site, publish, tries = pools.site, pools.site.kube.publish, []

    async def refuse(pool: PoolFacts, status: PoolStatus) -> None:
        if pool.uid == pools.default:
            tries.append(site.clock())
            raise error.with_traceback(None)
        await publish(pool, status)

    monkeypatch.setattr(site.kube, "publish", refuse)
    site.scale(6)
    pools.scale(3)
    with caplog.at_level(logging.WARNING):
        for _ in range(120):
            await site.poll()
            again = await site.cycle()
            assert again is not None and again <= site.clock() + 61
            site.schedd.now += 1
    assert len(site.jobs_of(pools.default)) == 3
    found = {pool.uid: pool.status for pool in await site.kube.pools("gateway", "c1")}
    assert found[pools.manual].desired_replicas == 3
    assert found[pools.default].desired_replicas == 2
    assert len(tries) < 12, "ever more slowly"
    assert caplog.text.count("could not be written") == 1
    assert SECRET not in caplog.text
    monkeypatch.setattr(site.kube, "publish", publish)
    site.schedd.now += 60
    await site.cycle()
    found = {pool.uid: pool.status for pool in await site.kube.pools("gateway", "c1")}
    assert found[pools.default].desired_replicas == 3


# --- Mistakes of ours.

PLACES: list[tuple[object, str, Callable[..., str]]] = [
    (template, "resolve", lambda pool, *_: pool.uid),
    (states, "judged", lambda jobs, *_: jobs[0].pool_uid if jobs else ""),
    (limits, "of_pool", lambda pool, *_: pool.uid),
    (backoff, "after", lambda _, workers, *__: workers[0].job.pool_uid if workers else ""),
    (descriptions, "template_hash", lambda pool, *_: pool.uid),
    (summary, "summarize", lambda state, _: state.uid),
    (chains, "first", lambda _, state: state.uid),
]


@pytest.mark.parametrize(("module", "function", "whose"), PLACES, ids=[place[1] for place in PLACES])
async def test_a_pool_that_cannot_be_planned_stops_no_other_and_can_end(
    pools: Pools,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    module: object,
    function: str,
    whose: Callable[..., str],
) -> None:
    site, planned = pools.site, getattr(module, function)

    def fails_for_one(*arguments: object, **options: object) -> object:
        if whose(*arguments) == pools.default:
            raise ZeroDivisionError(SECRET)
        return planned(*arguments, **options)

    monkeypatch.setattr(module, function, fails_for_one)
    site.scale(5)
    pools.scale(3)
    for _ in range(3):
        await site.poll()
        await site.cycle()
        site.schedd.tick()
    assert len(site.jobs_of(pools.manual)) == 3
    assert (await site.condition("Stalled", pools.manual))[0] == "False"
    assert len(site.jobs_of(pools.default, JobStatus.RUNNING)) == 2, "nothing of it is touched"
    stalled, reason, message = await site.condition("Stalled", pools.default)
    assert (stalled, reason) == ("True", reasons.OPERATOR_MISTAKE)
    assert "a mistake of the operator" in message
    assert SECRET not in message + caplog.text
    assert caplog.text.count("cannot be planned") == 1
    assert site.scheduler.told == []

    pools.delete("default-c1")
    await site.settle(6)
    assert site.jobs_of(pools.default) == []
    assert site.is_gone(pools.default)


async def test_a_mistake_about_what_all_pools_share_lets_them_end(
    pools: Pools, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError(SECRET)

    monkeypatch.setattr(limits, "of_cluster", fails)
    pools.delete()
    await pools.site.cycle()
    assert len(pools.site.jobs_of(pools.manual, JobStatus.REMOVED)) == 2
    assert (await pools.site.condition("Stalled", pools.default))[1] == reasons.OPERATOR_MISTAKE
    assert len(pools.site.jobs_of(pools.default, JobStatus.RUNNING)) == 2
