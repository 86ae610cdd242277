"""Ctrl-C leaves no cluster behind, whenever it comes, and says what it could not learn."""

import asyncio
import subprocess
import sys
import time
from typing import Any

import pytest

from htcdaskgateway import HTCGateway
from tests.client.gateway_site import PASSWORD, Site

# The gateway answers a "slow" user's POST a second late.
SCRIPT = """
import os, signal, threading, time
from htcdaskgateway import BasicAuth, HTCGateway, HTCGatewayCluster
auth = BasicAuth("{user}", "{password}")
gateway = HTCGateway("{address}", auth=auth)
gateway.list_clusters()
{more}
called = time.monotonic()
try:
    threading.Timer({seconds}, os.kill, (os.getpid(), signal.SIGINT)).start()
    {call}
    time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - called < 15)
"""
IMPATIENT = "from htcdaskgateway import _exit; _exit._ANSWER_SECONDS = 0.2"
STUBBORN = """
from htcdaskgateway import GatewayServerError
async def refuse(self, name):
    raise GatewayServerError("not today")
HTCGateway._stop_cluster = refuse
"""
# The pool is never answered, and the end of its cluster takes longer than one cancellation and the next.
SLOW_POOL = """
import asyncio
ask = HTCGateway._request
async def slow(self, method, url, json=None):
    if url.endswith("/htcondor/pools") and method == "POST":
        await asyncio.sleep(60)
    if method == "DELETE":
        await asyncio.sleep(1.2)
        {then}
    return await ask(self, method, url, json=json)
HTCGateway._request = slow
"""
CALLS = {
    "new_cluster": "cluster = gateway.new_cluster()",
    "class": 'cluster = HTCGatewayCluster("{address}", auth=auth)',
    "submit": "gateway.submit(); signal.pause()",
}


def interrupted(site: Site, user: str, call: str, seconds: float, more: str = "") -> tuple[str, str]:
    """What a script prints whose `call` is interrupted after `seconds`; and what it logs."""
    script = SCRIPT.format(
        user=user, password=PASSWORD, address=site.address, seconds=seconds, call=call, more=more
    ).replace("{address}", site.address)
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    return ran.stdout, ran.stderr


@pytest.mark.parametrize("seconds", [0.05, 0.3])
@pytest.mark.parametrize("call", CALLS)
def test_a_cluster_that_was_asked_for_and_not_answered_is_ended(
    site: Site, call: str, seconds: float
) -> None:
    assert interrupted(site, "slow-answer", CALLS[call], seconds) == ("interrupted True\n", "")
    with site.gateway("slow-answer") as gateway:
        assert becomes_empty(gateway)


@pytest.mark.parametrize("keywords", ["", "shutdown_on_close=False"])
@pytest.mark.parametrize("call", ["new_cluster", "class"])
def test_a_cluster_that_is_starting_is_ended_without_a_false_alarm(
    site: Site, call: str, keywords: str
) -> None:
    """Also one that was to outlive its object: nobody got that, nor its name."""
    asked = CALLS[call].replace(")", f", {keywords})" if "auth" in CALLS[call] else f"{keywords})")
    assert interrupted(site, "slow-start", asked, 1.2) == ("interrupted True\n", "")
    with site.gateway("slow-start") as gateway:
        assert becomes_empty(gateway)


@pytest.mark.parametrize("call", ["new_cluster", "submit"])
def test_an_answer_that_does_not_come_is_warned_of(site: Site, call: str) -> None:
    printed, warned = interrupted(site, "slow-silent", CALLS[call], 0.5, IMPATIENT)
    assert printed == "interrupted True\n"
    assert "did not say whether it made a cluster: look with gateway.list_clusters()" in warned
    assert len(warned.splitlines()) == 1
    stop_all(site, "slow-silent")


@pytest.mark.parametrize(("call", "seconds"), [("submit", 0.5), ("new_cluster", 0.5), ("new_cluster", 1.2)])
def test_a_cluster_that_cannot_be_ended_is_named(site: Site, call: str, seconds: float) -> None:
    printed, warned = interrupted(site, "slow-stubborn", CALLS[call], seconds, STUBBORN)
    assert printed == "interrupted True\n"
    [name] = stop_all(site, "slow-stubborn")
    assert f"cluster {name} may go on: end it by gateway.stop_cluster({name!r})" in warned


@pytest.mark.parametrize("call", CALLS)
def test_a_cluster_whose_pool_is_being_made_is_ended_however_slowly(site: Site, call: str) -> None:
    more = SLOW_POOL.format(then="")
    assert interrupted(site, "pool-slow", CALLS[call], 1.5, more) == ("interrupted True\n", "")
    with site.gateway("pool-slow") as gateway:
        assert becomes_empty(gateway)


@pytest.mark.parametrize("call", CALLS)
def test_a_cluster_whose_pool_is_being_made_and_that_cannot_be_ended_is_named(site: Site, call: str) -> None:
    more = SLOW_POOL.format(then='raise ValueError("not today")')
    printed, warned = interrupted(site, "pool-stubborn", CALLS[call], 1.5, more)
    assert printed == "interrupted True\n"
    [name] = stop_all(site, "pool-stubborn")
    assert f"cluster {name} may go on: end it by gateway.stop_cluster({name!r})" in warned


# Whenever a cluster's end is asked for, the user presses Ctrl-C, which the end outlasts.
IMPATIENT_USER = """
import os, signal, threading, time
from htcdaskgateway import BasicAuth, HTCGateway, HTCGatewayCluster
auth = BasicAuth("{user}", "{password}")
gateway = HTCGateway("{address}", auth=auth)
gateway.list_clusters()
{more}
ask_once = HTCGateway._request
async def impatient(self, method, url, json=None):
    if method == "DELETE":
        interrupt_in(0.3)
    return await ask_once(self, method, url, json=json)
HTCGateway._request = impatient

def interrupt_in(seconds):
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()

{call}
"""
ONCE_MORE = {
    "close": "cluster = gateway.new_cluster(); cluster.close()",
    "with": "with gateway.new_cluster(): interrupt_in(0.5); time.sleep(60)",
    "script": "cluster = gateway.new_cluster(); interrupt_in(0.5); time.sleep(60)",
    "class": "cluster = HTCGatewayCluster('{address}', auth=auth); interrupt_in(0.5); time.sleep(60)",
}
# dask-gateway's own client ends what nobody else can.
CLOSED_GATEWAY = """
from dask_gateway import Gateway
cluster = HTCGatewayCluster('{address}', auth=auth); cluster.gateway.close()
ask, Gateway._request = Gateway._request, impatient
interrupt_in(0.5); time.sleep(60)
"""
ONCE_MORE_MEANWHILE = {
    "new_cluster": "interrupt_in(1.5); cluster = gateway.new_cluster()",
    "class": "interrupt_in(1.5); cluster = HTCGatewayCluster('{address}', auth=auth)",
    "submit": "interrupt_in(1.5); gateway.submit()",
}


def impatient(site: Site, user: str, call: str, more: str) -> str:
    """What the script logs."""
    script = IMPATIENT_USER.format(user=user, password=PASSWORD, address=site.address, more=more, call=call)
    ran = subprocess.run(
        [sys.executable, "-c", script.replace("{address}", site.address)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "KeyboardInterrupt" in ran.stderr
    return ran.stderr


@pytest.mark.parametrize("call", ONCE_MORE)
def test_who_interrupts_the_end_of_a_cluster_leaves_none(site: Site, call: str) -> None:
    # Its pool is made: only the end is slow.
    more = SLOW_POOL.format(then="").replace("/htcondor/pools", "/nothing")
    said = impatient(site, f"hasty-{call}", ONCE_MORE[call], more)
    with site.gateway(f"hasty-{call}") as gateway:
        assert becomes_empty(gateway), said


@pytest.mark.parametrize("call", ["close", "with", CLOSED_GATEWAY])
def test_who_interrupts_an_end_that_fails_reads_the_cluster_s_name(site: Site, call: str) -> None:
    more = SLOW_POOL.format(then='raise ValueError("not today")').replace("/htcondor/pools", "/nothing")
    said = impatient(site, "hasty-stubborn", ONCE_MORE.get(call, call), more)
    [name] = stop_all(site, "hasty-stubborn")
    assert f"luster {name} may go on: " in said


@pytest.mark.parametrize("call", ONCE_MORE_MEANWHILE)
def test_who_interrupts_once_more_is_told_that_the_cluster_is_being_ended(site: Site, call: str) -> None:
    said = impatient(site, f"again-{call}", ONCE_MORE_MEANWHILE[call], SLOW_POOL.format(then=""))
    assert said.count("what this would leave behind is being ended: a moment\n") == 1
    with site.gateway(f"again-{call}") as gateway:
        assert becomes_empty(gateway)


async def test_a_close_that_is_cancelled_ends_the_cluster_or_names_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ask = HTCGateway._request
    refused = False

    async def slow(self: HTCGateway, method: str, url: str, json: Any = None) -> Any:
        if method == "DELETE":
            await asyncio.sleep(0.5)
            if refused:
                raise ValueError("not today")
        return await ask(self, method, url, json=json)

    monkeypatch.setattr(HTCGateway, "_request", slow)
    async with site.gateway("closer", asynchronous=True) as gateway:
        for refused in (False, True):
            cluster = await gateway.new_cluster()
            closing = asyncio.ensure_future(cluster.close())
            for _ in range(3):
                await asyncio.sleep(0.1)
                closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            assert cluster.is_shutdown is not refused
            assert (f"cluster {cluster.name} may go on: end it by" in caplog.text) is refused
        refused = False
        await gateway.stop_cluster(cluster.name)
        kept = await gateway.new_cluster(shutdown_on_close=False)
        closing = asyncio.ensure_future(kept.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert [report.name for report in await gateway.list_clusters()] == [kept.name]
        await gateway.stop_cluster(kept.name)


async def test_a_submit_that_is_cancelled_ends_its_cluster_too(site: Site) -> None:
    async with site.gateway("slow-async", asynchronous=True) as gateway:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(gateway.submit(), 0.5)
        for _ in range(100):
            if not await gateway.list_clusters():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(await gateway.list_clusters())


def stop_all(site: Site, user: str) -> list[str]:
    with site.gateway(user) as gateway:
        names = [report.name for report in gateway.list_clusters()]
        for name in names:
            gateway.stop_cluster(name)
        assert becomes_empty(gateway)
        return names


def becomes_empty(gateway: HTCGateway) -> bool:
    """The gateway says that a cluster ends before it has."""
    until = time.monotonic() + 10
    while gateway.list_clusters():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True
