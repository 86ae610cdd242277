"""A real Dask scheduler with a cluster's TLS, behind a proxy that wants to be told its name (SNI)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_gateway_server.tls import new_keypair
from distributed import Client, Scheduler
from distributed.security import Security

SNI = "daskgateway-gateway.abc"


@dataclass(frozen=True)
class Cluster:
    """Where workers reach the scheduler, and a client inside."""

    address: str  # the proxy's: tls://127.0.0.1:port or tls://[::1]:port
    certificate: str
    key: str
    scheduler: Scheduler
    client: Client


@asynccontextmanager
async def dask_cluster(folder: Path, host: str = "127.0.0.1") -> AsyncIterator[Cluster]:
    """A scheduler, its proxy, and a client; all of them at this address."""
    certificate, key = (part.decode() for part in new_keypair(SNI))
    (folder / "dask.crt").write_text(certificate)
    (folder / "dask.pem").write_text(key)
    pair = {
        f"tls_{role}_{kind}": str(folder / name)
        for role in ("scheduler", "client", "worker")
        for kind, name in (("cert", "dask.crt"), ("key", "dask.pem"))
    }
    security = Security(require_encryption=True, tls_ca_file=str(folder / "dask.crt"), **pair)
    async with (
        Scheduler(
            host=_written(host), port=0, protocol="tls", security=security, dashboard_address=":0"
        ) as scheduler,
        _proxy(scheduler.address, host) as address,
        Client(scheduler.address, security=security, asynchronous=True) as client,
    ):
        yield Cluster(address, certificate, key, scheduler, client)


@asynccontextmanager
async def _proxy(target: str, at: str) -> AsyncIterator[str]:
    port = target.rpartition(":")[2]
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await reader.read(4096)
        if SNI.encode() in hello:  # the server name is in the clear in a TLS hello
            up_reader, up_writer = await asyncio.open_connection(at, int(port))
            up_writer.write(hello)
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, at, 0)
    try:
        yield f"tls://{_written(at)}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()
