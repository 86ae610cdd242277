"""The hook before an uninstallation: it always ends, tells why, and counts only what was listed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from htcdask_api import names
from htcdask_operator import uninstall
from htcdask_operator.kube.draining import Held, NotServedError, Progress
from htcdask_operator.kube.errors import KubeError

FORBIDDEN = KubeError("DELETE", 'User "a" cannot delete resource "htcworkerpools" in the namespace "gw"', 403)
TROUBLES = [
    KubeError("GET", "the API server cannot be reached: connection refused"),
    KubeError("GET", "no answer from the API server in 5 s"),
    KubeError("GET", "the object has been modified", 409),
    KubeError("GET", "too many requests", 429),
    KubeError("GET", "etcdserver: leader changed", 500),
    KubeError("GET", "apiserver is shutting down", 503),
    KubeError("GET", "Unauthorized", 401),
    KubeError("GET", "404, and not in the API server's words (9 bytes)"),
    KubeError("GET", "not found", 404),
]


class Clock:
    """Seconds that pass when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: list[tuple[float, Callable[[], None]]] = []

    def __call__(self) -> float:
        return self.now

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        for due, what in [entry for entry in self.then if entry[0] <= self.now]:
            self.then.remove((due, what))
            what()


@dataclass
class FakePools:
    """A namespace whose operator takes `life` seconds for the jobs of a pool that is deleted."""

    clock: Clock
    life: float | None = None
    there: dict[str, Held] = field(default_factory=dict)
    failing: dict[str, list[KubeError]] = field(
        default_factory=dict
    )  # method -> what it says before it works
    always: dict[str, KubeError] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def add(self, name: str, *finalizers: str) -> None:
        kept = finalizers or (names.FINALIZER,)
        self.there[name] = Held(name, f"uid-{name}", "1", False, kept)

    async def every(self) -> Sequence[Held]:
        self._called("every")
        return list(self.there.values())

    async def delete(self, pool: Held) -> None:
        self._called("delete")
        self.there[pool.name] = replace(pool, deleting=True)
        if self.life is not None:
            self.clock.then.append((self.clock.now + self.life, lambda: self.free(pool.name)))

    async def release(self, pool: Held) -> None:
        self._called("release")
        assert pool.deleting
        self.free(pool.name)

    def free(self, name: str) -> None:
        pool = self.there.pop(name, None)
        others = tuple(f for f in pool.finalizers if f != names.FINALIZER) if pool else ()
        if pool and others:
            self.there[name] = replace(pool, finalizers=others)

    def _called(self, method: str) -> None:
        self.calls.append(method)
        if method in self.always:
            raise self.always[method]
        if self.failing.get(method):
            raise self.failing[method].pop(0)


def run(clock: Clock, seconds: float = 60, **namespaces: FakePools) -> tuple[list[Progress], list[str]]:
    """What became of it, and what was said on the way."""
    said: list[str] = []
    every = asyncio.run(uninstall.drain(namespaces, seconds, said.append, clock, clock.pause))
    return every, said


def test_pools_end_in_order_and_progress_is_told() -> None:
    clock = Clock()
    pools = FakePools(clock, life=12)
    for name in ("a", "b"):
        pools.add(name)
    [progress], said = run(clock, gw=pools)
    assert (progress.done, progress.released) == (True, {})
    assert "2 of 2 pools left (a, b)" in said[0]
    assert clock.now < 15
    assert "condor_rm" not in uninstall.report([progress], "ap")
    assert "2 pools ended, 0 released" in uninstall.report([progress], "ap")


def test_what_does_not_end_is_released_and_its_jobs_are_named() -> None:
    clock = Clock()
    pools = FakePools(clock)
    pools.add("a")
    pools.add("b", names.FINALIZER, "a.b/c")
    pools.add("c", "a.b/c")
    [progress], _ = run(clock, gw=pools)
    assert progress.done
    assert set(pools.there) == {"b", "c"}  # other people's finalizers are theirs
    assert 60 <= clock.now < 65
    text = uninstall.report([progress], "ap@condor")
    assert "gw/a, gw/b" in text
    assert """condor_rm -constraint 'member(HTCDaskPoolUID, {"uid-a", "uid-b"})'""" in text
    assert "ap@condor" in text


def test_without_any_patience_nothing_is_released_that_was_not_deleted_first() -> None:
    clock = Clock()
    pools = FakePools(clock)
    pools.add("a")
    [progress], _ = run(clock, seconds=0, gw=pools)
    assert progress.done
    assert pools.calls[:4] == ["every", "delete", "every", "release"]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("method", ["every", "delete", "release"])
def test_every_failure_is_tried_again(method: str, trouble: KubeError) -> None:
    clock = Clock()
    pools = FakePools(clock, failing={method: [trouble] * 4})
    pools.add("a")
    [progress], _ = run(clock, seconds=5, gw=pools)
    assert progress.done
    assert not pools.there
    assert pools.calls.count(method) >= 5


@pytest.mark.parametrize("method", ["every", "delete", "release"])
def test_what_never_works_ends_in_time_and_is_explained(method: str) -> None:
    clock = Clock()
    pools = FakePools(clock, always={method: FORBIDDEN})
    pools.add("a")
    [progress], said = run(clock, seconds=20, gw=pools)
    assert not progress.done
    assert clock.now <= 20 + uninstall.RELEASE_SECONDS + 1
    text = uninstall.report([progress], "ap")
    assert 'cannot delete resource "htcworkerpools"' in text
    assert "run `helm uninstall` again" in text
    if method == "delete":
        assert any("cannot delete" in line for line in said)


def test_a_resource_that_is_not_there_is_believed_after_a_while() -> None:
    clock = Clock()
    missing = NotServedError("GET", "there is no CRD htcworkerpools.htcdask.org")
    [progress], _ = run(clock, gw=FakePools(clock, always={"every": missing}))
    assert progress.done
    assert progress.missing
    assert 10 <= clock.now < 12
    assert "condor_q -allusers -constraint 'HTCDaskOperator =!= undefined'" in uninstall.report(
        [progress], "ap"
    )


def test_an_api_server_that_forgets_its_resources_for_a_moment_is_not_believed() -> None:
    clock = Clock()
    missing = NotServedError("GET", "there is no CRD htcworkerpools.htcdask.org")
    pools = FakePools(clock, life=3, failing={"every": [missing] * 8})
    pools.add("a")
    [progress], _ = run(clock, gw=pools)
    assert progress.done
    assert not progress.missing
    assert not pools.there


def test_a_pool_that_is_made_meanwhile_ends_too() -> None:
    clock = Clock()
    pools = FakePools(clock, life=10)
    pools.add("a")
    clock.then.append((5, lambda: pools.add("late")))
    [progress], _ = run(clock, gw=pools)
    assert progress.done
    assert not pools.there
    assert not progress.released


def test_namespaces_share_the_time_and_no_trouble() -> None:
    clock = Clock()
    slow, broken, well = (
        FakePools(clock),
        FakePools(clock, always={"every": FORBIDDEN}),
        FakePools(clock, life=2),
    )
    for pools in (slow, broken, well):
        pools.add("a")
    every, _ = run(clock, seconds=30, slow=slow, broken=broken, well=well)
    assert [progress.done for progress in every] == [True, False, True]
    assert clock.now <= 30 + uninstall.RELEASE_SECONDS + 1
    assert [bool(progress.released) for progress in every] == [True, False, False]


def test_an_api_server_that_is_away_is_not_asked_a_thousand_times_a_step() -> None:
    clock = Clock()
    pools = FakePools(clock, always={"delete": TROUBLES[0]})
    for number in range(1000):
        pools.add(f"p{number}")
    run(clock, seconds=3, gw=pools)
    assert pools.calls.count("delete") <= 3 * (4 + uninstall.RELEASE_SECONDS)


def test_many_released_pools_make_lines_of_bearable_length() -> None:
    clock = Clock()
    pools = FakePools(clock)
    for number in range(120):
        pools.add(f"p{number}")
    [progress], _ = run(clock, seconds=2, gw=pools)
    text = uninstall.report([progress], "ap")
    assert text.count("condor_rm") == 3
    assert "and 115 more" in text


@dataclass
class FakeOperator:
    """Takes on one more pool while it stops."""

    clock: Clock
    pools: FakePools
    failing: KubeError | None = None
    asked: list[float] = field(default_factory=list)

    async def stand_down(self, now: float) -> float:
        self.asked.append(self.clock.now)
        if self.failing is not None:
            raise self.failing
        if len(self.asked) == 1:
            self.clock.then.append((self.clock.now + 2, lambda: self.pools.add("late")))
        return 4.0


def test_what_the_operator_takes_on_while_it_stops_is_released_and_named() -> None:
    clock = Clock()
    pools = FakePools(clock)
    operator = FakeOperator(clock, pools)
    [late] = asyncio.run(uninstall.finish({"gw": pools}, operator, lambda _: None, clock, clock.pause))
    assert late.done
    assert late.released == {"uid-late": "gw/late"}
    assert not pools.there
    assert len(operator.asked) == 2, "once more at the end: the operator waits from then on"


def test_an_operator_that_cannot_be_stopped_is_no_obstacle() -> None:
    clock = Clock()
    said: list[str] = []
    pools = FakePools(clock)
    operator = FakeOperator(clock, pools, failing=FORBIDDEN)
    late = asyncio.run(uninstall.finish({"gw": pools}, operator, said.append, clock, clock.pause))
    assert late == []
    assert "cannot be told to stop" in said[0]


@dataclass
class FakeClaim:
    """Given back by its operator after so many seconds."""

    clock: Clock
    until: float
    failing: KubeError | None = None

    async def free(self) -> float:
        if self.failing is not None:
            raise self.failing
        return max(0.0, self.until - self.clock.now)


@pytest.mark.parametrize("seconds", [0.0, 8.0])
def test_the_hook_ends_when_the_claims_are_free(seconds: float) -> None:
    clock = Clock()
    said: list[str] = []
    pools = FakePools(clock)
    operator = FakeOperator(clock, pools)
    claims = {"gw": FakeClaim(clock, 6 + seconds), "zoo": FakeClaim(clock, 0)}
    finishing = uninstall.finish({"gw": pools}, operator, said.append, clock, clock.pause, claims)
    asyncio.run(finishing)
    assert claims["gw"].until <= clock.now < claims["gw"].until + 10
    assert not any("given" in line for line in said)
    assert all(after - before < 10 for before, after in itertools.pairwise(operator.asked))  # it never works


@pytest.mark.parametrize("failing", [None, KubeError("PATCH", "the object has been modified", 409)])
def test_a_claim_that_stays_held_is_told_with_its_time_and_holds_nothing_up(
    failing: KubeError | None,
) -> None:
    clock = Clock()
    said: list[str] = []
    pools = FakePools(clock)
    operator = FakeOperator(clock, pools)
    claims = {"gw": FakeClaim(clock, 300, failing)}
    asyncio.run(uninstall.finish({"gw": pools}, operator, said.append, clock, clock.pause, claims))
    assert clock.now < 30
    [line] = [each for each in said if "given" in each]
    assert "The operator has not given the Lease htcdask-worker-pools in gw back" in line
    assert " s at most" in line


def test_a_pod_without_a_token_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert uninstall.main(["--namespace=gateway", "--lease=a/b", "--seconds=0"]) == uninstall.EXPLAINED
    assert "service account's token" in capsys.readouterr().out
