"""How often a scheduler's number is written, and that the last one stays, however many servers there are."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from aiohttp import web
from dask_gateway.scheduler_preload import GatewaySchedulerService
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_asyncio.client.rest import ApiException

from htcdask_heartbeats import (
    ASKED_FIELD,
    BURST,
    DEADLINE,
    FLUSH,
    HELD,
    PATIENCE,
    SECONDS,
    TAKEN,
    WANTED_FIELD,
    DaskClusters,
    Heartbeats,
)
from tests.unit.virtual_time import in_virtual_time, now

CLUSTER = "gateway.c1"


def merged(there: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """As the API server does it (RFC 7396)."""
    new = dict(there)
    for key, part in change.items():
        if part is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key) or {}, part) if isinstance(part, Mapping) else part
    return new


class Store(DaskClusters):
    """The API server: it applies a write a moment later, and a watch shows it later still."""

    def __init__(self, lag: float = 0.2) -> None:
        self.spec: dict[str, Any] = {WANTED_FIELD: 0}
        self.lag = lag
        self.writes: list[tuple[float, int]] = []
        self.reads = 0
        self.refusing = 0
        self.refusal: Exception = ConnectionError("the API server went away")
        self.slow = 0.01
        self._history: list[tuple[float, dict[str, Any]]] = [(-1e9, self.spec)]

    @property
    def number(self) -> Any:
        return self.spec[WANTED_FIELD]

    @property
    def asked(self) -> Any:
        return self.spec[ASKED_FIELD].get("replicas")

    def new(self) -> None:
        """Its cluster was just made."""
        self.spec = {}
        self._history = [(-1e9, self.spec)]

    def server(self) -> Heartbeats:
        return Heartbeats(self, now)

    def shown(self, _: str) -> Mapping[str, Any]:
        return next(spec for at, spec in reversed(self._history) if at + self.lag <= now())

    async def read(self, _: str) -> tuple[Mapping[str, Any], str | None]:
        self.reads += 1
        await asyncio.sleep(0.01)
        return self.spec, str(len(self._history))

    async def write(self, _: str, fields: Mapping[str, Any], version: str | None = None) -> None:
        await asyncio.sleep(self.slow)
        if version not in (None, str(len(self._history))):
            raise ApiException(status=409)
        if self.refusing:
            self.refusing -= 1
            raise self.refusal
        if WANTED_FIELD in fields:
            self.writes.append((now(), fields[WANTED_FIELD]))
        self.spec = merged(self.spec, fields)
        self._history.append((now(), self.spec))


async def beat(server: Heartbeats, number: int) -> None:
    """As a scheduler sends it: what failed comes again."""
    while True:
        try:
            return await server.heard(CLUSTER, number, {CLUSTER})
        except web.HTTPServiceUnavailable:
            await asyncio.sleep(0.5)


async def say(server: Heartbeats, number: int | None) -> None:
    """As a user does, by scale() or adapt()."""
    async with server.asked(CLUSTER, number, {CLUSTER}):
        pass


async def say_in_vain(server: Heartbeats, number: int) -> None:
    """Likewise, and the scheduler does not hear it."""
    with pytest.raises(ConnectionError):
        async with server.asked(CLUSTER, number, {CLUSTER}):
            raise ConnectionError


class Scheduler:
    """dask-gateway's own part of a scheduler, whose heartbeats come to this server."""

    token = ""

    def __init__(self, server: Heartbeats) -> None:
        self._server, self.answered = server, 0
        self.service = GatewaySchedulerService(
            Mock(address=""), io_loop=Mock(), gateway=self, heartbeat_period=0
        )
        self.service._dashboard_address = self.service.api_address = ""
        self.service.heartbeat_task = asyncio.ensure_future(self.service.heartbeat_loop())

    async def heartbeat(self, message: dict[str, Any]) -> None:
        await self._server.heard(CLUSTER, message["count"], {CLUSTER})
        self.answered += 1

    async def told_by_its_user(self, number: int) -> None:
        async with self._server.asked(CLUSTER, number, {CLUSTER}):
            await asyncio.sleep(0.001)
            await self.service.scale(number)
            await asyncio.sleep(0.001)

    async def told_to_adapt(self, **bounds: int) -> None:
        async with self._server.asked(CLUSTER, None, {CLUSTER}):
            await asyncio.sleep(0.001)
            await self.service.adapt(**bounds)
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.004, 0.006, 0.008, 0.011, 0.02, 0.6, 0.98, 1.2])
def test_the_last_of_two_numbers_stays_however_soon_one_follows_the_other(pause: float) -> None:
    async def run() -> None:
        store = Store()
        scheduler = Scheduler(store.server())
        await asyncio.sleep(1)
        await scheduler.told_by_its_user(200)
        await asyncio.sleep(pause)
        await scheduler.told_by_its_user(0)
        await asyncio.sleep(3)
        assert store.number == 0
        await asyncio.sleep(3)
        assert store.number == 0
        scheduler.service.stop()

    in_virtual_time(run)


@pytest.mark.parametrize("apart", [0.0, 0.002, 0.004, 0.01, 0.3])
@pytest.mark.parametrize("slow", [0.01, 0.2])
def test_what_adapt_finds_at_once_is_heard_however_soon_it_follows_a_number(
    slow: float, apart: float
) -> None:
    async def run() -> None:
        store = Store()
        store.slow = slow
        scheduler = Scheduler(store.server())
        scheduler.service.scheduler.adaptive_target = lambda target_duration: 0
        await asyncio.sleep(1)
        await scheduler.told_by_its_user(2)
        await asyncio.sleep(apart)
        await scheduler.told_to_adapt(minimum=10, maximum=20)
        await asyncio.sleep(3)
        assert (scheduler.service.count, store.number) == (10, 10)
        scheduler.service.stop()

    in_virtual_time(run)


@pytest.mark.parametrize("lasts", [0.5, 1.5, 2.7, 4.0])
@pytest.mark.parametrize("moves", [1, 6, 14])
def test_the_last_move_of_adapt_is_heard_however_slow_the_api_server_is(lasts: float, moves: int) -> None:
    """And its surplus retires at once: a scheduler waits for the answer, and after each failure longer."""

    async def run() -> None:
        store = Store()
        scheduler = Scheduler(store.server())
        await asyncio.sleep(1)
        store.slow = lasts
        for number in [*range(60, 60 + moves), 5]:
            await scheduler.service._scale(number)
            await asyncio.sleep(3.01)
        await asyncio.sleep(3 * lasts)
        assert store.number == 5
        assert scheduler.answered == moves + 1
        scheduler.service.stop()

    in_virtual_time(run)


def test_a_scheduler_that_did_not_take_a_number_is_believed_in_what_it_says() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        await server.heard(CLUSTER, 4, {CLUSTER})
        await say_in_vain(server, 9)
        await server.heard(CLUSTER, 5, {CLUSTER})
        assert [number for _, number in store.writes] == [4, 5]

    in_virtual_time(run)


def test_what_adapt_finds_right_after_a_number_was_given_is_believed() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        for number in (7, None):
            await say(server, number)
        await server.heard(CLUSTER, 2, {CLUSTER})
        assert store.number == 2

    in_virtual_time(run)


def test_a_word_that_did_not_reach_the_scheduler_takes_no_later_one_with_it() -> None:
    async def run() -> None:
        store = Store()
        scheduler = Scheduler(store.server())
        await asyncio.sleep(1)

        async def fails() -> None:
            async with scheduler._server.asked(CLUSTER, 3, {CLUSTER}):
                await scheduler.service.scale(3)
                await asyncio.sleep(0.005)
                raise ConnectionError

        first = asyncio.create_task(fails())
        await asyncio.sleep(0.001)
        await scheduler.told_by_its_user(7)
        with pytest.raises(ConnectionError):
            await first
        await asyncio.sleep(3)
        assert (scheduler.service.count, store.number) == (7, 7)
        scheduler.service.stop()

    in_virtual_time(run)


def test_another_number_than_the_one_that_was_given_is_believed_a_second_later() -> None:
    """It was given through another replica, or by the operator for a pool of its own."""

    async def run() -> None:
        store = Store()
        server, began = store.server(), now()
        await say(server, 7)
        await beat(server, 2)
        assert store.number == 2
        assert 0.5 < now() - began < 2

    in_virtual_time(run)


def test_the_first_numbers_are_written_at_once() -> None:
    async def run() -> None:
        store = Store()
        server, began = store.server(), now()
        for number in (4, 0, 4):
            await server.heard(CLUSTER, number, {CLUSTER})
        assert [number for _, number in store.writes] == [4, 0, 4]
        assert now() - began < 0.1

    in_virtual_time(run)


def test_a_flood_is_written_at_a_steady_rate_and_its_last_number_stays() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        beats = []
        for number in range(1201):
            beats.append(asyncio.create_task(server.heard(CLUSTER, 1000 if number % 2 else 0, {CLUSTER})))
            await asyncio.sleep(0.05)
            assert sum(not beat.done() for beat in beats) <= HELD, "each holds memory until it is answered"
        await asyncio.sleep(SECONDS)
        assert len(store.writes) <= BURST + 60 / SECONDS + 1
        assert store.number == 0
        said = await asyncio.gather(*beats, return_exceptions=True)
        assert {None, 429} <= {getattr(one, "status_code", one) for one in said} <= {None, 429, 503}

    in_virtual_time(run)


def test_the_last_number_stays_even_if_its_heartbeat_was_turned_away() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        for number in range(BURST):
            await server.heard(CLUSTER, number, {CLUSTER})
        held = [asyncio.create_task(server.heard(CLUSTER, 100 + n, {CLUSTER})) for n in range(HELD)]
        await asyncio.sleep(0.1)
        with pytest.raises(web.HTTPTooManyRequests):
            await server.heard(CLUSTER, 7, {CLUSTER})
        await asyncio.gather(*held, return_exceptions=True)
        await asyncio.sleep(SECONDS)
        assert store.number == 7
        await beat(server, 8)
        await asyncio.sleep(SECONDS)
        assert store.number == 8

    in_virtual_time(run)


def test_an_adapt_that_moves_every_three_seconds_is_never_late() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        for number in range(200):
            began = now()
            await server.heard(CLUSTER, number, {CLUSTER})
            assert now() - began < 0.1
            await asyncio.sleep(3)

    in_virtual_time(run)


def test_what_is_there_is_not_written_again() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        for number in (4, 4, 4, 5, 4):
            await server.heard(CLUSTER, number, {CLUSTER})
            await asyncio.sleep(15)
        assert [number for _, number in store.writes] == [4, 5, 4]

    in_virtual_time(run)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 3), st.sampled_from([0.0, 0.05, 1.0, 61.0, 300.0])),
        min_size=1,
        max_size=BURST,
    ),
    st.sampled_from([0.0, 0.3, 30.0]),
)
def test_the_last_number_stays_whichever_server_heard_it(
    beats: list[tuple[int, int, float]], lag: float
) -> None:
    """A scheduler sends one after the other, each to some replica, whose watch may be behind.

    As many as are written at once: with more, replicas do not know of each other's that wait.
    """

    async def run() -> None:
        store = Store(lag)
        servers = [store.server() for _ in range(3)]
        for server, number, pause in beats:
            await beat(servers[server], number)
            assert store.number == number
            await asyncio.sleep(pause)

    in_virtual_time(run)


@pytest.mark.parametrize("away", [1, 20])
def test_an_api_server_that_is_away_gets_the_last_number_when_it_is_back(away: int) -> None:
    """Whoever waits is answered: a scheduler that fails again and again says its number hours later."""

    async def run() -> None:
        store = Store()
        server = store.server()
        store.refusing, began = away, now()
        await asyncio.gather(*(server.heard(CLUSTER, number, {CLUSTER}) for number in (1, 2, 3)))
        assert now() - began < 1.1
        await asyncio.sleep(2 * SECONDS * away)
        assert store.number == 3

    in_virtual_time(run)


def test_a_server_that_has_just_started_knows_the_number_before_by_the_store() -> None:
    async def run() -> None:
        store = Store()
        await store.write(CLUSTER, {WANTED_FIELD: 4})
        await asyncio.sleep(1)
        server = store.server()
        async with server.asked(CLUSTER, None, {CLUSTER}):  # adapt()
            await asyncio.sleep(0.1)
        with pytest.raises(web.HTTPServiceUnavailable):
            await server.heard(CLUSTER, 4, {CLUSTER})
        await server.heard(CLUSTER, 2, {CLUSTER})
        assert store.number == 2

    in_virtual_time(run)


PROXY = ApiException(status=404, reason="Not Found")
PROXY.body = b"404 page not found"


@pytest.mark.parametrize(
    "refusal", [PROXY, ApiException(status=503), ApiException(status=409)], ids=lambda refusal: refusal.status
)
def test_a_number_is_written_when_the_api_server_is_back(refusal: ApiException) -> None:
    """A proxy's 404 is no word about the cluster."""

    async def run() -> None:
        store = Store()
        server = store.server()
        store.refusing, store.refusal = 2, refusal
        await server.heard(CLUSTER, 3, {CLUSTER})
        await asyncio.sleep(4 * SECONDS)
        assert store.number == 3

    in_virtual_time(run)


@pytest.mark.parametrize(
    ("body", "gone"),
    [
        ('{"kind": "Status", "details": {"name": "c1", "kind": "daskclusters"}}', True),
        ('{"kind": "Status", "details": {"name": "another"}}', False),
        ('{"kind": "Status", "details": {}}', False),
        ("404 page not found", False),
        ("[]", False),
        (None, False),
    ],
)
def test_a_cluster_is_gone_only_if_the_api_server_names_it(body: str | None, gone: bool) -> None:
    answer = ApiException(status=404)
    answer.body = None if body is None else body.encode()
    custom = Mock(get_namespaced_custom_object=AsyncMock(side_effect=answer))
    store = DaskClusters(Mock(custom_client=custom, crd_version="v1alpha1"), ("g", "daskclusters"))
    if gone:
        assert asyncio.run(store.read("gateway.c1")) == ({}, None)
    else:
        with pytest.raises(ApiException):
            asyncio.run(store.read("gateway.c1"))


@pytest.mark.parametrize("status", [403, 422])
def test_a_number_that_the_api_server_refuses_is_an_error_for_whoever_waits_and_is_logged(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        store.refusing, store.refusal = 1, ApiException(status=status)
        beats = [asyncio.create_task(server.heard(CLUSTER, number, {CLUSTER})) for number in (1, 2, 3)]
        said = await asyncio.gather(*beats, return_exceptions=True)
        assert [type(one) for one in said] == [ApiException] * 3
        await server.heard(CLUSTER, 3, {CLUSTER})
        assert store.number == 3

    in_virtual_time(run)
    assert f"Cluster {CLUSTER} asks for 3 workers, not written" in caplog.text


def test_an_api_server_that_never_takes_a_number_is_not_asked_for_ever(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        store.refusing = 10**6
        await server.heard(CLUSTER, 1, {CLUSTER})
        await asyncio.sleep(PATIENCE + 2 * DEADLINE)
        tried = 10**6 - store.refusing
        await asyncio.sleep(3600)
        assert tried == 10**6 - store.refusing <= BURST + PATIENCE / SECONDS
        assert "went away" in caplog.text

    in_virtual_time(run)


def test_a_heartbeat_that_is_given_up_takes_nothing_with_it() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        for number in range(BURST):
            await server.heard(CLUSTER, number, {CLUSTER})
        first = asyncio.create_task(server.heard(CLUSTER, 50, {CLUSTER}))
        await asyncio.sleep(0.1)
        first.cancel()
        await beat(server, 51)
        await asyncio.sleep(SECONDS)
        assert store.number == 51

    in_virtual_time(run)


def test_one_clusters_flood_does_not_delay_another_and_clusters_that_went_are_forgotten() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        flood = [asyncio.create_task(server.heard("a.flood", number, {"a.flood"})) for number in range(50)]
        await asyncio.sleep(0.1)
        began = now()
        await server.heard("a.quiet", 3, {"a.quiet"})
        assert now() - began < 0.1
        assert set(server._numbers) == {"a.quiet"}
        await asyncio.gather(*flood, return_exceptions=True)

    in_virtual_time(run)


@pytest.mark.parametrize("there", [None, "1", True, 1.0])
def test_what_is_no_number_is_written_over(there: object) -> None:
    async def run() -> None:
        store = Store()
        store.spec = {WANTED_FIELD: there}
        store._history = [(-1e9, {WANTED_FIELD: 1})]
        await store.server().heard(CLUSTER, 1, {CLUSTER})
        assert store.number is not there

    in_virtual_time(run)


def test_what_its_user_asked_for_last_is_written_beside_the_number() -> None:
    async def run() -> None:
        store = Store()
        scheduler = Scheduler(store.server())
        await asyncio.sleep(1)
        await scheduler.told_by_its_user(3)
        await asyncio.sleep(2)
        assert (store.number, store.asked) == (3, 3)
        first = store.spec[ASKED_FIELD]["at"]
        await scheduler.service.scale(5)  # the operator's word, for a pool of its own
        await asyncio.sleep(3)
        assert (store.number, store.asked) == (5, 3)
        await scheduler.told_by_its_user(5)
        await asyncio.sleep(2)
        assert (store.number, store.asked) == (5, 5), "the same number, and another's word"
        assert store.spec[ASKED_FIELD]["at"] != first
        scheduler.service.scheduler.adaptive_target = lambda target_duration: 2
        await scheduler.told_to_adapt(minimum=1, maximum=4)
        await asyncio.sleep(5)
        assert (store.number, store.asked) == (2, None)
        scheduler.service.stop()

    in_virtual_time(run)


def test_a_word_that_the_scheduler_did_not_hear_is_written_all_the_same() -> None:
    """The operator tells it as soon as it listens."""

    async def run() -> None:
        store = Store()
        server = store.server()
        await server.heard(CLUSTER, 4, {CLUSTER})
        await say_in_vain(server, 9)
        await asyncio.sleep(1)
        assert (store.number, store.asked) == (4, 9)

    in_virtual_time(run)


@pytest.mark.parametrize("first", [0, 2])
def test_of_a_new_cluster_nobody_has_asked_anything(first: int) -> None:
    """A scheduler says its first number when it is told one: by its user, or by the operator."""

    async def run() -> None:
        store = Store()
        store.new()
        await store.server().heard(CLUSTER, first, {CLUSTER})
        assert store.number == first
        assert store.asked == 0 and store.spec[ASKED_FIELD]["wanted"] == first
        at = store.spec[ASKED_FIELD].get("at")
        await store.server().heard(CLUSTER, 0, {CLUSTER})
        assert store.spec[ASKED_FIELD].get("at") == at

    in_virtual_time(run)


@pytest.mark.parametrize("later", [5, 3])
@pytest.mark.parametrize("is_new", [True, False], ids=["rolled back and upgraded", "both serve"])
def test_what_was_asked_for_before_a_server_of_before_spoke_is_believed_no_more(
    later: int, is_new: bool
) -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        await say(server, 3)
        await asyncio.sleep(1)
        word = store.spec[ASKED_FIELD]
        await store.write(CLUSTER, {WANTED_FIELD: later})
        await asyncio.sleep(1)
        await (store.server() if is_new else server).heard(CLUSTER, later, {CLUSTER})
        assert store.spec[ASKED_FIELD]["wanted"] == later
        assert (store.spec[ASKED_FIELD]["at"] == word["at"]) == (later == 3)
        assert store.asked == (3 if later == 3 else None)

    in_virtual_time(run)


def test_a_server_that_is_slow_does_not_write_an_older_word_over_a_newer_one() -> None:
    """Each server has its own pace."""

    async def run() -> None:
        store = Store()
        one, another = store.server(), store.server()
        for number in range(2, BURST + 4):
            async with one.asked(CLUSTER, number, {CLUSTER}):
                await asyncio.sleep(0.03)
        await say(another, 1)
        await asyncio.sleep(3 * SECONDS)
        assert (store.number, store.asked) == (1, 1)

    in_virtual_time(run)


def test_a_server_that_ends_writes_what_is_on_its_way() -> None:
    """Those that wait for their turn are written now or never."""

    async def run() -> None:
        store = Store()
        server, began = store.server(), now()
        waiting = []
        for number in [*range(2, BURST + 4), None]:
            waiting.append(asyncio.ensure_future(say(server, number)))
            await asyncio.sleep(0.03)
        waiting.append(asyncio.ensure_future(server.heard(CLUSTER, 7, {CLUSTER})))
        await asyncio.sleep(0.01)
        await server.flush()
        assert (store.number, store.asked) == (7, None)
        assert now() - began < SECONDS
        for one in waiting:
            one.cancel()

    in_virtual_time(run)


def test_a_server_that_ends_waits_for_no_api_server() -> None:
    async def run() -> None:
        store = Store()
        store.slow, began = 60, now()
        server = store.server()
        beat = asyncio.ensure_future(server.heard(CLUSTER, 7, {CLUSTER}))
        await asyncio.sleep(0.01)
        await server.flush()
        assert now() - began < FLUSH + 1
        beat.cancel()

    in_virtual_time(run)


@pytest.mark.parametrize("by_hand", [True, 1.0, "1"])
def test_what_only_equals_its_number_is_somebody_elses(by_hand: object) -> None:
    """As to the operator, who reads 0 there."""

    async def run() -> None:
        store = Store()
        server = store.server()
        await say(server, 1)
        await asyncio.sleep(1)
        word = store.spec[ASKED_FIELD]
        await store.write(CLUSTER, {WANTED_FIELD: by_hand})
        await asyncio.sleep(1)
        await server.heard(CLUSTER, 1, {CLUSTER})
        assert store.spec[WANTED_FIELD] == 1 and type(store.spec[WANTED_FIELD]) is int
        assert store.asked is None and store.spec[ASKED_FIELD]["at"] > word["at"]

    in_virtual_time(run)


@pytest.mark.parametrize("first", [0, 3])
def test_adapt_of_a_new_cluster_is_its_users_word(first: int) -> None:
    """Its first number comes when there is work."""

    async def run() -> None:
        for lag in (0.2, 30.0):
            store = Store(lag)
            store.new()
            await say(store.server(), None)
            at = store.spec[ASKED_FIELD]["at"]
            await asyncio.sleep(2)
            await store.server().heard(CLUSTER, first, {CLUSTER})
            assert store.spec == {WANTED_FIELD: first, ASKED_FIELD: {"at": at, "wanted": first}}

    in_virtual_time(run)


@pytest.mark.parametrize("number", [7, None])
def test_who_has_asked_is_answered_when_it_is_written_or_takes_too_long(number: int | None) -> None:
    """A server that is killed after its answer has lost nothing."""

    async def run() -> None:
        for slow, written in ((2.0, True), (60.0, False)):
            store = Store()
            store.slow, began = slow, now()
            await say(store.server(), number)
            assert (ASKED_FIELD in store.spec) == written
            assert now() - began < TAKEN + 0.1

    in_virtual_time(run)


@pytest.mark.parametrize("ahead", [0.0, 0.005, 0.02, 0.5])
def test_a_users_first_word_through_one_server_is_not_undone_by_its_heartbeat_at_another(
    ahead: float,
) -> None:
    """The scheduler says its first number before the server that has told it could write the word."""

    async def run() -> None:
        for slow in (0.01, 0.3):
            store = Store()
            store.new()
            store.slow = slow
            one, another = store.server(), store.server()
            async with one.asked(CLUSTER, 5, {CLUSTER}):
                beat = asyncio.ensure_future(another.heard(CLUSTER, 5, {CLUSTER}))
                await asyncio.sleep(ahead)
            await beat
            await asyncio.sleep(2 * SECONDS)
            assert (store.number, store.asked, store.spec[ASKED_FIELD]["wanted"]) == (5, 5, 5)

    in_virtual_time(run)


def test_a_later_word_is_later_whatever_the_clocks_say() -> None:
    async def run() -> None:
        store, dates = Store(), [1_800_000_000.0, 1_799_999_000.0, 1_799_998_000.0]
        one = Heartbeats(store, now, lambda: dates[0])
        another = Heartbeats(store, now, lambda: dates[1])
        for server, number in ((one, 3), (another, 4), (another, None), (one, 6), (another, 7)):
            await say(server, number)
            assert store.asked == number
            await asyncio.sleep(1)
        dates[0] = dates[2]  # its clock is set
        await say(one, 8)
        await say(one, 9)
        assert store.asked == 9
        await store.write(CLUSTER, {ASKED_FIELD: {"at": "once upon a time"}})
        await asyncio.sleep(1)
        store.spec[ASKED_FIELD]["at"] = ""
        await say(one, 2)
        assert store.asked == 2

    in_virtual_time(run)


def test_a_number_that_was_heard_since_is_written_though_the_word_before_it_is_older_than_anothers() -> None:
    async def run() -> None:
        store = Store()
        one, another = store.server(), store.server()
        said = [asyncio.ensure_future(say(one, number)) for number in range(2, BURST + 4)]
        await asyncio.sleep(0.5)
        await say(another, 1)
        await asyncio.sleep(0.5)
        while True:
            try:
                await one.heard(CLUSTER, 8, {CLUSTER})  # the operator's, for a pool of its own
                break
            except web.HTTPException:
                await asyncio.sleep(0.5)
        await asyncio.gather(*said)
        await asyncio.sleep(3 * SECONDS)
        assert (store.number, store.asked) == (8, 1)

    in_virtual_time(run)


def test_who_ends_adapt_asks_for_nothing() -> None:
    async def run() -> None:
        store = Store()
        server = store.server()
        await say(server, 3)
        await asyncio.sleep(1)
        there = store.spec
        async with server.asked(CLUSTER, None, {CLUSTER}, asks=False):
            pass
        await asyncio.sleep(1)
        assert store.spec == there and store.asked == 3

    in_virtual_time(run)


def test_adapt_through_another_server_does_not_write_the_number_that_this_one_heard_last() -> None:
    async def run() -> None:
        store = Store()
        one, another = store.server(), store.server()
        await one.heard(CLUSTER, 3, {CLUSTER})
        await another.heard(CLUSTER, 5, {CLUSTER})
        await say(one, None)
        await asyncio.sleep(1)
        assert (store.number, store.asked) == (5, None)

    in_virtual_time(run)


def test_no_server_writes_a_word_again_that_another_has_heard_since() -> None:
    async def run() -> None:
        store = Store()
        one, another = store.server(), store.server()
        await say(one, 3)
        await asyncio.sleep(1)
        await say(another, 7)
        await asyncio.sleep(1)
        await beat(one, 8)
        assert (store.number, store.asked) == (8, 7)

    in_virtual_time(run)
