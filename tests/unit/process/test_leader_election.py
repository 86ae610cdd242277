"""The lease: what is decided about it, and that two operators never work at the same time."""

import ast
import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import htcdask_operator
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.leases import Lease, read
from htcdask_operator.process.claims import Claims, claims
from htcdask_operator.process.leader_election import (
    Acquire,
    Leadership,
    LeaseLost,
    Lost,
    Me,
    Renew,
    Wait,
    decide,
)
from htcdask_operator.settings import Leader
from tests.fakes.kube import FakeKube
from tests.unit.virtual_time import in_virtual_time, now

T = TypeVar("T")

NOW = 1000.0
A = Me("a", 15)
HELD = Lease("b", 15, "t0", "t9", 3, "77")
MINE = replace(HELD, holder="a", acquired="t1")


@pytest.mark.parametrize(
    ("lease", "seen", "decision"),
    [
        (None, NOW, Acquire()),
        (replace(HELD, holder=""), NOW, Acquire()),
        (MINE, NOW, Acquire()),  # of this container's last process
        (HELD, NOW, Wait(NOW + 15, "b")),
        (HELD, NOW - 14.9, Wait(NOW + 0.1, "b")),
        (HELD, NOW - 15, Acquire()),
        (replace(HELD, seconds=40), NOW - 15, Wait(NOW + 25, "b")),  # the holder's duration, not ours
        (replace(HELD, seconds=None), NOW, Wait(NOW + 15, "b")),
        (replace(HELD, seconds=0), NOW - 15, Acquire()),
        (replace(HELD, seconds=10**9), NOW, Wait(NOW + 300, "b")),
        (replace(HELD, renewed="2099-01-01T00:00:00.000000Z"), NOW - 15, Acquire()),
        (replace(HELD, renewed="1999-01-01T00:00:00.000000Z"), NOW, Wait(NOW + 15, "b")),
    ],
)
def test_who_waits_takes_a_lease_only_when_nobody_can_hold_it(
    lease: Lease | None, seen: float, decision: object
) -> None:
    found = decide(lease, A, NOW, seen)
    if isinstance(decision, Wait) and isinstance(found, Wait):
        found = replace(found, until=round(found.until, 3))
    assert found == decision


@pytest.mark.parametrize(
    ("lease", "written", "decision"),
    [
        (MINE, NOW - 2, Renew()),
        (MINE, NOW - 9.9, Renew()),
        (MINE, NOW - 10, Lost("it could not be renewed for 10.0 s")),
        (MINE, NOW - 500, Lost("it could not be renewed for 500.0 s")),
        (HELD, NOW - 2, Lost("b holds it now")),
        (replace(MINE, acquired="t2"), NOW - 2, Lost("a holds it now")),  # another process of our name
        (replace(MINE, holder=""), NOW - 2, Lost("nobody holds it now")),
        (None, NOW - 2, Lost("somebody deleted it")),
    ],
)
def test_who_holds_it_renews_it_or_ends(lease: Lease | None, written: float, decision: object) -> None:
    assert decide(lease, replace(A, since="t1"), NOW, written) == decision


def test_any_object_can_be_read_as_a_lease() -> None:
    assert read({}) == read({"spec": None, "metadata": None}) == Lease()
    nothing = {"holderIdentity": None, "acquireTime": None, "leaseTransitions": None}
    assert read({"metadata": {"resourceVersion": "7"}, "spec": nothing}) == Lease(version="7")
    odds: list[object] = [True, -1, 1.5, "x", [], {}, [1]]
    for odd in odds:
        spec = dict.fromkeys(("leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"), odd)
        found = read({"metadata": {"resourceVersion": [odd]}, "spec": spec})
        assert (found.seconds, found.transitions, found.version) == (None, 0, None)
    assert read({"metadata": "x", "spec": "y"}) == Lease()


@dataclass
class Fault:
    """What becomes of one request: it arrives late or not at all, its answer comes late or not at all.

    `stopped`: it is the process that stands still until the answer is read, its timers too.
    """

    before: float = 0.0
    arrives: bool = True
    after: float = 0.0
    answered: bool = True
    stopped: bool = False


async def stand_still(seconds: float) -> None:
    until = now() + seconds
    while now() < until:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(until - now())


VERSIONS = itertools.count(1)  # of all leases


class FaultyKube(FakeKube):
    """The connection of one operator to what all share."""

    def __init__(self, leases: dict[tuple[str, str], Lease], faults: Sequence[Fault] = ()) -> None:
        super().__init__()
        self.leases = leases
        self.faults = list(faults)
        self.asking: set[asyncio.Task[object]] = set()
        self._uids = (f"v{number}" for number in VERSIONS)

    async def lease(self, namespace: str, name: str) -> Lease | None:
        return await self._by_wire(lambda: super(FaultyKube, self).lease(namespace, name))

    async def write_lease(self, namespace: str, name: str, lease: Lease) -> Lease:
        return await self._by_wire(lambda: super(FaultyKube, self).write_lease(namespace, name, lease))

    async def _by_wire(self, call: Callable[[], Awaitable[T]]) -> T:
        fault = self.faults.pop(0) if self.faults else Fault()
        task = asyncio.current_task()
        assert task is not None
        self.asking.add(task)
        await asyncio.sleep(fault.before)
        if not fault.arrives:
            raise KubeError("lease", "the API server cannot be reached")
        answer = await call()
        await (stand_still if fault.stopped else asyncio.sleep)(fault.after)
        if not fault.answered:
            raise KubeError("lease", "the answer was lost")
        return answer


def leadership(name: str, kube: FakeKube, seconds: int = 15) -> Leadership:
    return Leadership(kube, "htcdask", "htcdask", Me(name, seconds), now, lambda: 1_800_000_000 + now())


def test_the_first_takes_it_at_once_and_keeps_it() -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        assert now() == 0
        await asyncio.sleep(600)
        assert one.valid_until() > now()
        lease = kube.leases["htcdask", "htcdask"]
        assert (lease.holder, lease.seconds, lease.transitions) == ("a", 15, 0)
        assert lease.renewed > lease.acquired
        assert not keeping.done()
        keeping.cancel()

    in_virtual_time(run)


def test_the_next_waits_and_says_for_whom_and_takes_over_from_one_who_fell_silent() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one, two = leadership("a", FaultyKube(leases)), leadership("b", FaultyKube(leases))
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        waiting = asyncio.create_task(two.run())
        await asyncio.sleep(100)
        said = "waiting for the lease htcdask/htcdask, held by a; it is over in "
        assert two.waiting is not None and two.waiting.startswith(said)
        assert 13 <= float(two.waiting.removeprefix(said).split()[0]) <= 15
        assert two.waiting.endswith(" s at most, unless it is renewed")
        assert two.valid_until() < now()
        keeping.cancel()  # like a process that was killed
        until = one.valid_until()
        await two.held.wait()
        assert until <= now() <= until + 4
        assert leases["htcdask", "htcdask"].transitions == 1
        waiting.cancel()

    in_virtual_time(run)


def test_the_next_takes_over_soon_from_one_who_released_it() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one, two = leadership("a", FaultyKube(leases)), leadership("b", FaultyKube(leases))
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        waiting = asyncio.create_task(two.run())
        await asyncio.sleep(7)
        keeping.cancel()
        await one.release()
        assert one.valid_until() < now()
        released = now()
        await two.held.wait()
        assert now() <= released + 2
        waiting.cancel()

    in_virtual_time(run)


def test_a_restarted_container_takes_its_own_lease_over_at_once() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one = leadership("a", FaultyKube(leases))
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        keeping.cancel()
        again = leadership("a", FaultyKube(leases))
        keeping = asyncio.create_task(again.run())
        await again.held.wait()
        assert now() == 0
        keeping.cancel()

    in_virtual_time(run)


def test_one_who_cannot_renew_ends_while_the_lease_still_lasts() -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        until = one.valid_until()
        kube.failing = "the API server cannot be reached"
        with pytest.raises(LeaseLost, match=r"could not be renewed for 1[0-9.]+ s"):
            await keeping
        assert now() < until - 2
        assert one.valid_until() < now()

    in_virtual_time(run)


def test_one_whose_renewal_hangs_ends_while_the_lease_still_lasts() -> None:
    async def run() -> None:
        one = leadership("a", FaultyKube({}, [Fault(), Fault(), Fault(before=60)]))
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        until = one.valid_until()
        with pytest.raises(LeaseLost):
            await keeping
        assert now() < until - 2

    in_virtual_time(run)


def test_one_that_slept_while_it_renewed_counts_from_when_it_began() -> None:
    async def run() -> None:
        one = leadership("a", FaultyKube({}, [Fault(), Fault(), Fault(after=12, stopped=True)]))
        with pytest.raises(LeaseLost, match="could not be renewed"):
            await one.run()

    in_virtual_time(run)


def test_one_that_slept_while_it_took_the_lease_never_begins_to_work() -> None:
    async def run() -> None:
        one = leadership("a", FaultyKube({}, [Fault(), Fault(after=20, stopped=True)]))
        began = asyncio.create_task(one.held.wait())
        with pytest.raises(LeaseLost):
            await one.run()
        assert not began.done()
        began.cancel()

    in_virtual_time(run)


def test_a_renewal_counts_only_when_it_was_answered() -> None:
    async def run() -> None:
        kube = FaultyKube({}, [Fault(), Fault(), Fault(answered=False), Fault(), Fault(arrives=False)])
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        await asyncio.sleep(5)
        assert kube.faults == []
        assert one.valid_until() == 15
        keeping.cancel()

    in_virtual_time(run)


def test_a_short_outage_and_lost_answers_are_lived_through() -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        for _ in range(20):
            kube.faults = [Fault(arrives=False), Fault(answered=False), Fault(answered=False)]
            await asyncio.sleep(20)
        assert not keeping.done()
        assert one.valid_until() > now()
        keeping.cancel()

    in_virtual_time(run)


def test_one_whose_lease_was_deleted_ends_and_does_not_release_the_next_ones() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one, two = leadership("a", FaultyKube(leases)), leadership("b", FaultyKube(leases))
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        leases.clear()
        waiting = asyncio.create_task(two.run())
        with pytest.raises(LeaseLost, match="b holds it now"):
            await keeping
        await one.release()
        assert leases["htcdask", "htcdask"].holder == "b"
        waiting.cancel()

    in_virtual_time(run)


faults = st.builds(
    Fault,
    before=st.sampled_from([0, 0, 0.5, 3, 20]),
    arrives=st.booleans() | st.just(True),
    after=st.sampled_from([0, 0, 0.5, 3, 20]),
    answered=st.booleans() | st.just(True),
    stopped=st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(wires=st.lists(st.lists(faults, max_size=30), min_size=2, max_size=3), releases=st.booleans())
def test_whatever_happens_on_the_wire_two_never_work_at_once(
    wires: list[list[Fault]], releases: bool
) -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        working: dict[str, Leadership] = {}

        async def operator(name: str, wire: list[Fault]) -> None:
            """As a Deployment runs it: a new pod, under a new name, whenever one has ended."""
            for life in range(4):
                one = leadership(f"{name}{life}", FaultyKube(leases, wire[life * 7 : life * 7 + 7]))
                keeping = asyncio.create_task(one.run())
                holding = asyncio.create_task(one.held.wait())
                await asyncio.wait({keeping, holding}, return_when=asyncio.FIRST_COMPLETED)
                holding.cancel()
                if one.held.is_set():
                    assert all(other.valid_until() <= now() for other in working.values())
                    working[name] = one
                await asyncio.wait({keeping}, timeout=30)
                while not keeping.done():
                    keeping.cancel()
                    await asyncio.wait({keeping}, timeout=1)
                await asyncio.gather(keeping, return_exceptions=True)
                if releases:
                    await one.release()

        async with asyncio.TaskGroup() as group:
            for number, wire in enumerate(wires):
                group.create_task(operator(f"operator-{number}-", wire))

    in_virtual_time(run)


# --- several leases together


def claimant(release: str, pod: str, kube: FakeKube, *namespaces: str) -> Claims:
    leader = Leader.model_validate({"namespace": "htcdask", "name": release, "leaseSeconds": 15})
    return claims(kube, leader, namespaces, pod, now, lambda: 1_800_000_000 + now())


def test_a_release_holds_its_own_lease_and_one_for_each_namespace() -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = claimant("one", "pod-1", kube, "zoo", "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        assert now() == 0
        assert {where: lease.holder for where, lease in kube.leases.items()} == {
            ("gateway", "htcdask-worker-pools"): "htcdask/one/pod-1",
            ("htcdask", "one"): "pod-1",
            ("zoo", "htcdask-worker-pools"): "htcdask/one/pod-1",
        }
        await asyncio.sleep(600)
        assert one.valid_until() > now()
        assert not keeping.done()
        assert (one.waiting, one.rival) == (None, None)
        keeping.cancel()

    in_virtual_time(run)


def test_a_second_release_says_whose_the_namespace_is_and_follows_when_that_one_goes() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one = claimant("one", "pod-1", FaultyKube(leases), "gateway")
        two = claimant("two", "pod-2", FaultyKube(leases), "another", "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        waiting = asyncio.create_task(two.run())
        await asyncio.sleep(100)
        assert not two.held.is_set()
        assert two.valid_until() < now()
        said = two.rival
        assert said is not None
        assert said.startswith("the HTCDask release htcdask/one works for the namespace gateway")
        lease = "waiting for the lease gateway/htcdask-worker-pools, held by htcdask/one/pod-1"
        assert two.waiting is not None
        assert two.waiting.startswith(f"{lease}; it is over in ") and two.waiting.endswith(f": {said}")
        keeping.cancel()
        await one.release()
        released = now()
        await two.held.wait()
        assert now() <= released + 3
        assert two.waiting is None
        waiting.cancel()

    in_virtual_time(run)


def test_the_next_pod_of_a_release_is_no_rival() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one = claimant("one", "pod-1", FaultyKube(leases), "gateway", "zoo")
        two = claimant("one", "pod-2", FaultyKube(leases), "gateway", "zoo")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        waiting = asyncio.create_task(two.run())
        await asyncio.sleep(7)
        assert two.waiting is not None
        assert two.waiting.startswith("waiting for the lease htcdask/one, held by pod-1; ")
        assert two.rival is None
        keeping.cancel()
        await one.release()
        released = now()
        await two.held.wait()
        assert now() <= released + 3  # as with one lease
        waiting.cancel()

    in_virtual_time(run)


def test_all_leases_of_one_who_fell_silent_are_taken_over_together() -> None:
    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        one = claimant("one", "pod-1", FaultyKube(leases), "a", "b", "z")
        two = claimant("one", "pod-2", FaultyKube(leases), "a", "b", "z")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        waiting = asyncio.create_task(two.run())
        await asyncio.sleep(100)
        keeping.cancel()  # like a process that was killed
        until = one.valid_until()
        await two.held.wait()
        assert until <= now() <= until + 5
        waiting.cancel()

    in_virtual_time(run)


@pytest.mark.parametrize("where", [("gateway", "htcdask-worker-pools"), ("htcdask", "one")])
def test_one_who_loses_any_of_its_leases_ends(where: tuple[str, str]) -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = claimant("one", "pod-1", kube, "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        kube.leases[where] = replace(kube.leases[where], holder="x", version="stolen")
        with pytest.raises(LeaseLost, match="is lost: x holds it now"):
            await keeping
        assert one.valid_until() < now()
        await one.release()
        assert kube.leases[where].holder == "x"
        assert {lease.holder for name, lease in kube.leases.items() if name != where} == {""}

    in_virtual_time(run)


def test_the_end_of_the_lease_that_ends_first_is_the_end() -> None:
    async def run() -> None:
        one = claimant("one", "pod-1", FaultyKube({}), "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        first, second = one._leases
        await asyncio.sleep(5)
        second._changed_at -= 1
        assert one.valid_until() == second.valid_until() < first.valid_until()
        keeping.cancel()

    in_virtual_time(run)


def test_a_namespace_that_is_being_deleted_has_no_lease_and_its_pools_are_still_looked_after() -> None:
    async def run() -> None:
        kube = FaultyKube({})
        one = claimant("one", "pod-1", kube, "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        kube.ending_namespaces.add("gateway")
        del kube.leases["gateway", "htcdask-worker-pools"]
        await asyncio.sleep(100)
        assert not keeping.done()
        assert one.valid_until() > now()
        again = claimant("one", "pod-1", kube, "gateway")  # and after a restart, too
        keeping.cancel()
        keeping = asyncio.create_task(again.run())
        await asyncio.sleep(100)
        assert again.held.is_set()
        assert again.valid_until() > now()
        assert ("gateway", "htcdask-worker-pools") not in kube.leases
        await again.release()
        keeping.cancel()

    in_virtual_time(run)


@settings(max_examples=60, deadline=None)
@given(wires=st.lists(st.lists(faults, max_size=40), min_size=2, max_size=3), releases=st.booleans())
def test_whatever_happens_two_never_work_for_one_namespace_at_once(
    wires: list[list[Fault]], releases: bool
) -> None:
    watched = (("a", "b"), ("b", "c"), ("a", "c"))

    async def run() -> None:
        leases: dict[tuple[str, str], Lease] = {}
        working: dict[str, tuple[Claims, set[str]]] = {}

        async def operator(number: int, wire: list[Fault]) -> None:
            namespaces = watched[number]
            for life in range(3):
                name = f"{number}-{life}"
                kube = FaultyKube(leases, wire[life * 20 : life * 20 + 20])
                one = claimant(f"release-{number}", name, kube, *namespaces)
                keeping = asyncio.create_task(one.run())
                holding = asyncio.create_task(one.held.wait())
                await asyncio.wait({keeping, holding}, return_when=asyncio.FIRST_COMPLETED, timeout=300)
                holding.cancel()
                if one.held.is_set():
                    for other, its in working.values():
                        assert other.valid_until() <= now() or not its & set(namespaces)
                    working[name] = (one, set(namespaces))
                await asyncio.wait({keeping}, timeout=30)
                while not keeping.done():
                    # A task group cancels its tasks once, and who stands still does not hear it.
                    for task in (keeping, *kube.asking):
                        task.cancel()
                    await asyncio.wait({keeping}, timeout=1)
                await asyncio.gather(keeping, return_exceptions=True)
                if releases:
                    await one.release()

        async with asyncio.TaskGroup() as group:
            for number, wire in enumerate(wires):
                group.create_task(operator(number, wire))

    in_virtual_time(run)


class LosesAtOnce(Leadership):
    """Held, and then lost, or broken by a mistake."""

    def __init__(self, error: BaseException | None) -> None:
        super().__init__(FakeKube(), "a", "b", A, now, now)
        self._error = error

    async def run(self) -> None:
        self.held.set()
        await asyncio.sleep(1)
        if self._error is not None:
            raise self._error
        await asyncio.sleep(1000)


@pytest.mark.parametrize(
    "errors",
    [
        (LeaseLost("the lease a/b is lost: x"),),
        (LeaseLost("the lease a/b is lost: x"), None),
        (LeaseLost("the lease a/b is lost: x"), LeaseLost("the lease a/c is lost: x")),
        (LeaseLost("the lease a/b is lost: x"), ValueError("because of that")),
    ],
)
def test_a_lost_lease_is_told_as_such_and_never_within_a_group(
    errors: tuple[BaseException | None, ...],
) -> None:
    async def run() -> None:
        several = Claims([LosesAtOnce(error) for error in errors])
        with pytest.raises(LeaseLost) as caught:
            await several.run()
        assert type(caught.value) is LeaseLost
        assert str(caught.value) == "the lease a/b is lost: x"
        assert not several.held.is_set()

    in_virtual_time(run)


def test_a_mistake_is_not_taken_for_a_lost_lease() -> None:
    async def run() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await Claims([LosesAtOnce(ValueError("odd"))]).run()
        assert caught.group_contains(ValueError)

    in_virtual_time(run)


def test_nothing_of_the_operator_raises_within_an_except_of_groups() -> None:
    """Python 3.11.2 wraps that into a group, 3.11.7 does not."""
    root = Path(htcdask_operator.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in root.rglob("*.py")]
    assert not [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.TryStar)]


@pytest.mark.parametrize("slow", [True, False])
def test_a_lease_that_is_lost_for_want_of_answers_in_time_names_the_setting(
    slow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        faults = [Fault(), Fault(), Fault(before=60)] if slow else [Fault(), Fault()]
        kube = FaultyKube({}, faults)
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        kube.failing = "" if slow else "the API server cannot be reached"
        with pytest.raises(LeaseLost, match="could not be renewed for") as caught:
            await keeping
        advice = "raise settings.leader.leaseSeconds, which is 15 now"
        assert (advice in str(caught.value)) is slow
        assert (advice in caplog.text) is slow

    in_virtual_time(run)


def test_who_waits_says_it_once_for_each_holder(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        kube = FaultyKube({("htcdask", "htcdask"): Lease("uninstall", 20, "t", "t", version="1")})
        one = leadership("a", kube)
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        assert 20 <= now() <= 23
        keeping.cancel()

    in_virtual_time(run)
    waiting = [record.message for record in caplog.records if "aiting" in record.message]
    assert waiting == [
        "Waiting for the lease htcdask/htcdask, held by uninstall; it is over in 20 s at most, unless it is "
        "renewed"
    ]


def test_an_operator_that_was_told_to_end_gives_its_namespace_back_and_takes_it_no_more() -> None:
    """As `uninstall` does: its own Lease is taken away. Its container starts again, in the same pod."""

    async def run() -> None:
        kube = FaultyKube({})
        one = claimant("one", "pod-1", kube, "gateway")
        keeping = asyncio.create_task(one.run())
        await one.held.wait()
        own, claim = ("htcdask", "one"), ("gateway", "htcdask-worker-pools")
        kube.leases[own] = Lease("uninstall", 20, "t", "t", version="taken")
        with pytest.raises(LeaseLost):
            await keeping
        await one.release()
        again = claimant("one", "pod-1", kube, "gateway")
        keeping = asyncio.create_task(again.run())
        await asyncio.sleep(15)
        assert kube.leases[claim].holder == ""
        began = now()
        other = claimant("two", "pod-2", kube, "gateway")  # another release, or this one under a new name
        taking = asyncio.create_task(other.run())
        await other.held.wait()
        assert now() - began < 1
        for task in (keeping, taking):
            task.cancel()

    in_virtual_time(run)
