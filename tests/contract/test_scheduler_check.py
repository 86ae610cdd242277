"""What a worker says that does not reach its scheduler: a bundle in a real bash, and servers of each kind."""

from __future__ import annotations

import asyncio
import datetime
import re
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from dask_gateway_server.tls import new_keypair

from tests.contract.cluster import SNI, Cluster, dask_cluster
from tests.contract.test_bundle import PLAIN, running

SHORT = replace(PLAIN, death_timeout=2)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]
Server = Callable[[Path], AbstractAsyncContextManager[str]]


@asynccontextmanager
async def serving(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that closes when `serve` ends; its address for a worker."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
    try:
        yield f"tls://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@asynccontextmanager
async def refusing(_: Path) -> AsyncIterator[str]:
    yield f"tls://127.0.0.1:{free_port()}"


def free_port() -> int:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port: int = nobody.getsockname()[1]
    return port


@asynccontextmanager
async def of_no_known_name(_: Path) -> AsyncIterator[str]:
    yield "tls://no-such-gateway.invalid:443"


@asynccontextmanager
async def dropping(_: Path) -> AsyncIterator[str]:
    """Its queue of connections is full, so the kernel drops what comes, as a firewall does."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listening.getsockname())
        yield f"tls://127.0.0.1:{listening.getsockname()[1]}"


@asynccontextmanager
async def speaking_http(_: Path) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with serving(serve) as address:
        yield address


@asynccontextmanager
async def mute(_: Path) -> AsyncIterator[str]:
    async with serving(lambda reader, _: reader.read()) as address:
        yield address


@asynccontextmanager
async def without_a_route(_: Path) -> AsyncIterator[str]:
    """As a proxy that passes TLS on does with a name that it does not know."""
    async with serving(lambda reader, _: reader.read(4096)) as address:
        yield address


@asynccontextmanager
async def with_its_own_certificate(folder: Path) -> AsyncIterator[str]:
    """As a proxy that opens TLS itself."""
    async with serving(lambda reader, _: reader.read(1), context(folder, *pair("proxy.example"))) as address:
        yield address


def pair(name: str) -> tuple[str, str]:
    certificate, key = (part.decode() for part in new_keypair(name))
    return certificate, key


def context(folder: Path, certificate: str, key: str) -> ssl.SSLContext:
    files = folder / "server.crt", folder / "server.pem"
    for file, text in zip(files, (certificate, key), strict=True):
        file.write_text(text)
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*files)
    return made


def pair_of(begins: datetime.datetime, ends: datetime.datetime) -> tuple[str, str]:
    """A cluster's certificate and key, valid from then to then."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, SNI)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


async def said(scheduler: str, credentials: tuple[str, str], scratch: Path) -> str:
    """What a worker prints that finds this scheduler, and nothing else."""
    nobody = Cluster(scheduler, *credentials, scheduler=None, client=None)
    async with running(SHORT, nobody, "w1", scratch) as worker:
        output = await asyncio.wait_for(worker.output(), 60)
        assert await worker.process.wait() == 1
    assert re.match(r"htcdask: worker w1 on \S+ ended: cannot reach the scheduler at ", output), output
    assert output.count("\n") == 1
    assert "PRIVATE" not in output
    assert left(scratch) == []
    return output


def left(scratch: Path, what: str = "htcdask.*") -> list[Path]:
    return list(scratch.glob(what))


@pytest.mark.parametrize(
    ("server", "sentence"),
    [
        (
            of_no_known_name,
            r"no-such-gateway.invalid:443: this execute node does not know the name \(\w.*DNS",
        ),
        (refusing, "127.0.0.1:[0-9]+: the connection was refused: "),
        (dropping, r"127.0.0.1:[0-9]+: no answer in [12](\.\d+)? s: a firewall may drop"),
        (mute, r"127.0.0.1 took the connection, but began no TLS in [12](\.\d+)? s: "),
        (speaking_http, "127.0.0.1 answers, but not in TLS: "),
        (
            without_a_route,
            r"closed the connection \(\w+\) when asked for daskgateway-gateway.abc: its proxy has no route",
        ),
        (with_its_own_certificate, r"another certificate than this cluster's \(self.signed certificate\)"),
    ],
)
async def test_says_which_step_to_the_scheduler_failed(tmp_path: Path, server: Server, sentence: str) -> None:
    async with server(tmp_path) as address:
        output = await said(address, pair(SNI), tmp_path)
    assert re.search(sentence, output), output


@pytest.mark.parametrize(
    ("days", "which"), [((-9, -8), "has expired"), ((8, 9), "is not valid yet")], ids=["expired", "early"]
)
async def test_says_what_this_clock_is_where_the_certificate_is_of_another_time(
    tmp_path: Path, days: tuple[int, int], which: str
) -> None:
    now = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
    begins, ends = (now + datetime.timedelta(days=count) for count in days)
    credentials = pair_of(begins, ends)
    async with serving(lambda reader, _: reader.read(1), context(tmp_path, *credentials)) as address:
        output = await said(address, credentials, tmp_path)
    assert f"by this execute node's clock ({now:%Y-%m-%d %H:}" in output
    assert f"the cluster's certificate {which} (valid from {begins:%b} " in output


async def test_a_scheduler_that_does_not_take_the_certificate_is_told(tmp_path: Path) -> None:
    """Both clocks are right here: its own authority is another one."""
    credentials = pair(SNI)
    strict = context(tmp_path, *credentials)
    strict.verify_mode = ssl.CERT_REQUIRED
    strict.load_verify_locations(cadata=pair("another")[0])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        refusing = asyncio.create_task(asyncio.to_thread(refuse_everybody, listening, strict))
        output = await said(f"tls://127.0.0.1:{listening.getsockname()[1]}", credentials, tmp_path)
        listening.shutdown(socket.SHUT_RDWR)
        await refusing
    assert "127.0.0.1 does not take the cluster's certificate (TLSV1_ALERT_UNKNOWN_CA)" in output


def refuse_everybody(listening: socket.socket, strict: ssl.SSLContext) -> None:
    """Not by asyncio, which sends no alert."""
    with suppress(OSError):  # it was shut down
        while True:
            one, _ = listening.accept()
            with suppress(ssl.SSLError), strict.wrap_socket(one, server_side=True):
                raise AssertionError("it was taken")


async def test_one_that_closes_once_it_is_reached_is_told(tmp_path: Path) -> None:
    credentials = pair(SNI)

    async def serve(*_: object) -> None:
        """At once."""

    async with serving(serve, context(tmp_path, *credentials)) as address:
        output = await said(address, credentials, tmp_path)
    assert "127.0.0.1 has the cluster's key, and closed the connection" in output


async def test_a_late_scheduler_is_waited_for(tmp_path: Path) -> None:
    """A proxy that has no route yet: Dask itself would give up at its first answer."""
    async with dask_cluster(tmp_path) as cluster:
        port = free_port()
        patient = replace(PLAIN, scheduler=f"tls://127.0.0.1:{port}", death_timeout=20)
        async with running(patient, cluster, "w1", tmp_path) as worker:
            await asyncio.sleep(1.5)
            assert worker.process.returncode is None

            async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                target = await asyncio.open_connection(*cluster.address.removeprefix("tls://").split(":"))
                await asyncio.gather(pump(reader, target[1]), pump(target[0], writer))

            server = await asyncio.start_server(pass_on, "127.0.0.1", port)
            await cluster.client.wait_for_workers(1, timeout=30)
            server.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_a_worker_that_is_told_to_go_while_it_tries_goes_at_once(tmp_path: Path) -> None:
    patient = replace(PLAIN, death_timeout=60)
    async with mute(tmp_path) as address:
        nobody = Cluster(address, *pair(SNI), scheduler=None, client=None)
        async with running(patient, nobody, "w1", tmp_path) as worker:
            await asyncio.wait_for(asyncio.to_thread(wait_for_the_check, tmp_path), 20)
            began = time.monotonic()
            worker.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(worker.process.wait(), 10) == 143
            assert time.monotonic() - began < 5
            assert await worker.output() == ""
    assert left(tmp_path) == []


def wait_for_the_check(scratch: Path) -> None:
    while not left(scratch, "htcdask.*/check"):
        time.sleep(0.01)


async def test_the_scheduler_s_log_is_not_filled(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="distributed.comm.tcp")
    async with dask_cluster(tmp_path) as cluster, running(PLAIN, cluster, "w1", tmp_path):
        await cluster.client.wait_for_workers(1, timeout=30)
        await asyncio.sleep(0.5)
    assert "before handshake" not in caplog.text
