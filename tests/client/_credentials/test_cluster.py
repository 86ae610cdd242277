"""Credentials on the workers of a real gateway: written, renewed, for workers that come later, gone."""

import ast
import asyncio
import inspect
import logging
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dask_gateway import GatewayClusterError, GatewayWarning

from htcdaskgateway import HTCGatewayCluster
from htcdaskgateway._credentials import cluster as sending
from htcdaskgateway._credentials import parcel, worker_plugin
from htcdaskgateway._credentials.cluster import ClusterWithCredentials
from htcdaskgateway._credentials.files import BEARER_TOKEN, X509
from tests.client.gateway_site import Site

PROXY = "-----BEGIN CERTIFICATE-----\nMIIsecret%s\n-----END CERTIFICATE-----\n"


def seen(dask_worker: Any) -> Any:
    """In a worker: what is in its folder, by variable, and what a task would find."""
    from pathlib import Path

    files = {}
    for variable in ("X509_USER_PROXY", "BEARER_TOKEN_FILE"):
        path = Path(dask_worker.local_directory) / f"htcdask-{variable.lower()}"
        if path.exists():
            files[variable] = (path.read_text(), path.stat().st_mode, str(path), os.environ.get(variable))
    return files


def until(client: Any, good: Any, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not good(found := list(client.run(seen).values())):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def proxy(tmp_path: Path) -> Path:
    path = tmp_path / "proxy"
    path.write_text(PROXY % 1)
    return path


def test_every_worker_has_them_also_later_ones_and_they_are_renewed_and_go_with_it(
    site: Site, proxy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_SHORTEST", 0.1)
    (tmp_path / "token").write_text("a.b.c")
    with site.gateway("credentials") as gateway, gateway.new_cluster() as cluster:
        client = cluster.get_client()
        cluster.scale(1)
        client.wait_for_workers(1, timeout=30)
        assert cluster.send_credentials(x509=proxy, bearer_token=tmp_path / "token", interval=0.3) is None

        [found] = client.run(seen).values()
        text, mode, path, named = found[X509]
        assert (text, stat.S_IMODE(mode), named) == (PROXY % 1, 0o600, path)
        assert found[BEARER_TOKEN][0] == "a.b.c"

        cluster.scale(2)
        client.wait_for_workers(2, timeout=30)
        until(client, lambda all_: len(all_) == 2 and all(each.get(X509) for each in all_))

        proxy.write_text(PROXY % 2)
        renewed = until(client, lambda all_: all(each[X509][0] == PROXY % 2 for each in all_))
        proxy.unlink()  # what workers have stays
        time.sleep(1)
        assert all(each[X509][0] == PROXY % 2 for each in client.run(seen).values())
        files = [Path(each[variable][2]) for each in renewed for variable in (X509, BEARER_TOKEN)]
        assert len(files) == 4
        assert all(file.exists() for file in files)  # the gateway's workers run on this machine

        cluster.scale(0)
        deadline = time.monotonic() + 30
        while any(file.exists() for file in files):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_nothing_of_them_is_logged_and_a_renewal_that_fails_is(
    site: Site, proxy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sending, "_SHORTEST", 0.1)
    caplog.set_level(logging.DEBUG)
    with site.gateway("quiet") as gateway, gateway.new_cluster() as cluster:
        cluster.scale(1)
        client = cluster.get_client()
        client.wait_for_workers(1, timeout=30)
        cluster.send_credentials(proxy, interval=0.2)
        proxy.write_text("no-certificate-but-secret")
        deadline = time.monotonic() + 30
        while "not renewed (ValueError: " not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert not [line for line in client.get_worker_logs().values() if "secret" in str(line)]
        assert "secret" not in str(client.get_scheduler_logs())
    assert "secret" not in caplog.text


async def test_an_asynchronous_cluster_sends_them_when_awaited(site: Site, proxy: Path) -> None:
    async with (
        site.gateway("credentials-async", asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
    ):
        await cluster.send_credentials(x509=proxy)
        cluster_renewal = cluster._renewal
        await cluster.send_credentials(x509=proxy)
        assert cluster._renewal is not cluster_renewal
        await cluster.scale(1)
        async with cluster.get_client() as client:
            await client.wait_for_workers(1, timeout=30)
            [found] = (await client.run(seen)).values()
            assert found[X509][0] == PROXY % 1
    assert cluster._renewal is None


def test_a_cluster_that_has_ended_gets_none_and_says_so_at_once(site: Site, proxy: Path) -> None:
    with site.gateway("credentials-ended") as gateway, gateway.new_cluster() as cluster:
        gateway.stop_cluster(cluster.name)
        began = time.monotonic()
        with pytest.raises(GatewayClusterError, match=r"is not running: the cluster has ended"):
            cluster.send_credentials(proxy)
        assert time.monotonic() - began < 20


def test_a_worker_that_cannot_write_is_told(site: Site, proxy: Path) -> None:
    with site.gateway("credentials-full") as gateway, gateway.new_cluster() as cluster:
        cluster.scale(1)
        client = cluster.get_client()
        client.wait_for_workers(1, timeout=30)

        def block(dask_worker: Any) -> None:
            import pathlib

            pathlib.Path(dask_worker.local_directory, "htcdask-x509_user_proxy.new", "x").mkdir(parents=True)

        client.run(block)
        with pytest.warns(GatewayWarning, match="1 workers of .* could not write the credentials"):
            cluster.send_credentials(proxy)


@pytest.mark.parametrize(("failures", "raises"), [(2, False), (3, True)])
async def test_a_worker_that_goes_away_in_the_middle_is_not_the_others_loss(
    failures: int, raises: bool
) -> None:
    left = [OSError("a worker went away")] * failures

    async def register(**sent: Any) -> dict[str, Any]:
        if left:
            raise left.pop()
        return {"tls://10.0.0.1:1": {"status": "OK"}}

    cluster = object.__new__(ClusterWithCredentials)
    cluster.status = "closed"  # or dask-gateway would close it when it is collected
    cluster.scheduler_comm = SimpleNamespace(register_worker_plugin=register)
    if raises:
        with pytest.raises(OSError, match="went away"):
            await cluster._hand_over(b"")
    else:
        assert await cluster._hand_over(b"") == {"tls://10.0.0.1:1": {"status": "OK"}}


@pytest.mark.parametrize(
    ("address", "worker"),
    [("tcp://10.0.0.1:1", "tls://10.0.0.2:1"), ("gateway://10.0.0.1:1/c", "tcp://10.0.0.2:1")],
)
def test_a_connection_that_is_not_tls_gets_nothing(address: str, worker: str) -> None:
    running: Any = SimpleNamespace(
        name="c",
        status="running",
        security=object(),
        scheduler_address=address,
        scheduler_info={"workers": {worker: {}}},
    )
    with pytest.raises(ValueError, match=r"sends nothing to c: its connections are not TLS \(tcp:"):
        ClusterWithCredentials._refuse_without_tls(running)
    running.scheduler_info, running.scheduler_address = {"workers": {}}, "tls://10.0.0.1:1"
    ClusterWithCredentials._refuse_without_tls(running)


@pytest.mark.parametrize("interval", [1, 0, -1, True, None, "soon", float("nan"), float("inf")])
def test_an_interval_is_a_time(site: Site, proxy: Path, interval: Any) -> None:
    cluster = object.__new__(HTCGatewayCluster)
    with pytest.raises(ValueError, match="interval must be"):
        cluster.send_credentials(proxy, interval=interval)


async def test_calls_add_up_and_one_that_fails_changes_nothing(
    site: Site, proxy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "_SHORTEST", 0.1)
    token = tmp_path / "token"
    write(token, "a.b.c")
    async with (
        site.gateway("credentials-twice", asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
        cluster.get_client() as client,
    ):
        await cluster.scale(1)
        await client.wait_for_workers(1, timeout=30)
        await cluster.send_credentials(x509=proxy, interval=0.3)
        with pytest.raises(FileNotFoundError):
            await cluster.send_credentials(bearer_token=tmp_path / "tokn")
        await cluster.send_credentials(bearer_token=token, interval=0.3)
        write(proxy, PROXY % 2)
        write(token, "d.e.f")
        deadline = time.monotonic() + 30
        while True:
            [found] = (await client.run(seen)).values()
            if (found[X509][0], found[BEARER_TOKEN][0]) == (PROXY % 2, "d.e.f"):
                break
            assert time.monotonic() < deadline, found
        with pytest.raises(FileNotFoundError):
            await cluster.send_credentials(bearer_token=tmp_path / "tokn")
        write(proxy, PROXY % 3)
        while (await client.run(seen)).popitem()[1][X509][0] != PROXY % 3:
            assert time.monotonic() < deadline + 30


async def test_what_no_worker_can_take_is_taken_back(site: Site, proxy: Path) -> None:
    """Or workers that come later would fail on it, one after the other."""
    async with (
        site.gateway("credentials-back", asynchronous=True) as gateway,
        gateway.new_cluster() as cluster,
        cluster.get_client() as client,
    ):
        await cluster.scale(1)
        await client.wait_for_workers(1, timeout=30)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parcel, "_UNPACK", "1 / 0")
            with pytest.raises(Exception, match=r"division"):
                await cluster.send_credentials(x509=proxy)
        await cluster.scale(2)
        await client.wait_for_workers(2, timeout=30)
        assert await client.submit(sum, [1, 2]).result() == 3


async def test_what_is_sent_when_the_user_interrupts_is_taken_back(
    monkeypatch: pytest.MonkeyPatch, proxy: Path
) -> None:
    done: list[str] = []
    sent = asyncio.Event()

    async def register(**what: Any) -> None:
        done.append("sent")
        sent.set()
        await asyncio.Event().wait()

    async def unregister(**named: Any) -> None:
        await asyncio.sleep(0.1)
        done.append("taken back")

    cluster = object.__new__(ClusterWithCredentials)
    cluster.status = "closed"  # or dask-gateway would close it when it is collected
    cluster.scheduler_comm = SimpleNamespace(
        register_worker_plugin=register, unregister_worker_plugin=unregister
    )
    monkeypatch.setattr(ClusterWithCredentials, "_refuse_without_tls", lambda self: None)
    sends = asyncio.ensure_future(cluster._send({X509: proxy}))
    await sent.wait()
    for _ in range(3):
        sends.cancel()
        await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await sends
    assert done == ["sent", "taken back"]


def test_the_plugin_needs_nothing_of_ours_on_the_worker() -> None:
    packed = parcel.packed({X509: b"secret"})
    code = (
        "import sys, pickle; sys.modules['htcdaskgateway'] = None; "
        "plugin = pickle.loads(sys.stdin.buffer.read()); "
        "assert plugin._contents == {'X509_USER_PROXY': b'secret'}; assert 'secret' not in repr(plugin)"
    )
    subprocess.run([sys.executable, "-c", code], input=packed, check=True, timeout=60)


def test_the_plugin_s_code_is_for_every_python_that_dask_has_today() -> None:
    ast.parse(inspect.getsource(worker_plugin), feature_version=(3, 9))
