"""The loop of the checks: what one of them breaks, and what an end that fails is told as."""

import asyncio
import time
from functools import partial
from typing import Any

import pytest
from dask_gateway import Gateway

from htcdaskgateway import HTCGateway
from htcdaskgateway._doctor import examination, probe
from htcdaskgateway._doctor.case import Case
from htcdaskgateway._doctor.report import Finding
from tests.client._doctor import servers
from tests.client._doctor.test_planted_faults import examined, failed
from tests.client.gateway_site import Site


def test_each_check_needs_earlier_ones_only() -> None:
    names = [check.name for check in examination.CHECKS]
    for number, check in enumerate(examination.CHECKS):
        assert set(check.needs) <= set(names[:number])
    assert len({*names, examination.SHUTDOWN.name}) == len(names) + 1


def test_a_check_that_breaks_is_a_finding_and_ends_no_other(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(case: Case) -> str:
        raise RuntimeError("our own mistake\nin two lines")

    checks = [
        examination.Check("name", breaks, check.needs) if check.name == "name" else check
        for check in examination.CHECKS
    ]
    monkeypatch.setattr(examination, "CHECKS", tuple(checks))
    report = examined(site.address)
    assert failed(report).said == "RuntimeError: our own mistake in two lines"
    assert [f.state for f in report.findings if f.check in ("installation", "proxy")] == ["ok", "ok"]


async def test_an_interruption_that_a_check_loses_is_heard_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As asyncio.wait_for loses one before Python 3.12."""
    waits = asyncio.Event()

    async def forgetful(case: Case) -> str:
        waits.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "nothing happened"
        raise AssertionError("nobody interrupted")

    checks = (examination.Check("one", forgetful), examination.Check("two", forgetful))
    monkeypatch.setattr(examination, "CHECKS", checks)
    case = Case(partial(HTCGateway, asynchronous=True), False, 60.0, {})
    examining = asyncio.ensure_future(examination.examine(case))
    await waits.wait()
    examining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(examining, 5)


@pytest.mark.parametrize("when", ["disconnect", "end"])
async def test_who_interrupts_the_end_leaves_no_cluster(
    site: Site, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    begun, original = asyncio.Event(), getattr(probe, when)

    async def slowly(case: Case) -> Any:
        begun.set()
        await asyncio.sleep(0.5)
        return await original(case)

    wanted = ("settings", "credential", "name", "connection", "certificate", "gateway", "login", "extension")
    checks = [check for check in examination.CHECKS if check.name in (*wanted, "options", "cluster")]
    monkeypatch.setattr(examination, "CHECKS", tuple(checks))
    monkeypatch.setattr(probe, "disconnect", slowly if when == "disconnect" else probe.disconnect)
    if when == "end":
        monkeypatch.setattr(examination, "SHUTDOWN", examination.Check("shutdown", slowly, seconds=None))
    told: list[Finding] = []
    user = f"end-{when}"
    make = partial(site.gateway, user, asynchronous=True)
    case = Case(make, True, 60.0, {})
    examining = asyncio.ensure_future(examination.examine(case, told.append))
    await asyncio.wait_for(begun.wait(), 60)
    examining.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(examining, 60)
    assert (told[-1].check, told[-1].state) == ("shutdown", "ok")
    async with site.gateway(user, asynchronous=True) as gateway:
        assert await gateway.list_clusters() == []


def test_a_gateway_that_says_nothing_is_given_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [
        examination.Check(
            check.name, check.look, check.needs, 1 if check.name == "gateway" else check.seconds
        )
        for check in examination.CHECKS
    ]
    monkeypatch.setattr(examination, "CHECKS", tuple(checks))
    with servers.silent() as port:
        started = time.monotonic()
        report = examined(f"http://127.0.0.1:{port}", proxy_address=site.address.partition("//")[2])
    assert (failed(report).check, failed(report).said) == ("gateway", "no answer in time")
    assert time.monotonic() - started < 10


def test_a_probe_cluster_that_could_not_be_shut_down_is_named(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(self: Gateway, name: str) -> None:
        raise OSError("no way")

    with monkeypatch.context() as patch:
        patch.setattr(Gateway, "_stop_cluster", fails)
        report = examined(site.address, user="stays", probe={"probe": True, "timeout": 60})
    with site.gateway("stays") as gateway:
        [cluster] = gateway.list_clusters()
        assert failed(report).check == "shutdown"
        assert failed(report).said == f"the probe cluster {cluster.name} was not seen to end (no way)"
        assert failed(report).remedy == f"gateway.stop_cluster({cluster.name!r})"
        gateway.stop_cluster(cluster.name)
