"""What is asked of a scheduler without its info pages, over a real socket: each answer has its bounds."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from htcdask_operator.core.model import SchedulerWorkers
from htcdask_operator.scheduler.http import SchedulerHttp
from htcdask_operator.scheduler.port import SchedulerError
from tests.unit.scheduler.test_listing import MOST_MEMORY, real

OURS = frozenset(f"a0mcz7x1k{number:05}" for number in range(4500))


@asynccontextmanager
async def scheduler(listed: bytes) -> AsyncIterator[int]:
    """Its port. It has nothing but this list of workers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        known = b"/api/v1/get_workers" in head
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" if known else b"HTTP/1.1 404 Not Found\r\n\r\n")
        for begin in range(0, len(listed) if known else 0, 2**16):
            writer.write(listed[begin : begin + 2**16])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_list_of_thousands_of_workers_is_an_answer() -> None:
    port = SchedulerHttp("http://127.0.0.1:{cluster}")
    async with scheduler(real(OURS, 10_000)) as number:
        assert await port.workers("gateway", str(number), OURS) == SchedulerWorkers(OURS, OURS, 10_000)
    port.close()


@pytest.mark.parametrize("size", [2_000_000, 9_000_000])
async def test_a_list_of_nothing_costs_little(size: int) -> None:
    port, listed = (
        SchedulerHttp("http://127.0.0.1:{cluster}"),
        b'{"workers":[{}' + b",{}" * (size // 3) + b"]}",
    )
    async with scheduler(listed) as number:
        tracemalloc.start()
        try:
            with pytest.raises(SchedulerError, match=r"more parts|larger than"):
                await port.workers("gateway", str(number), OURS)
            assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
        finally:
            tracemalloc.stop()
    port.close()
