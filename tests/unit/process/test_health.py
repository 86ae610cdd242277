"""The health server: whoever holds however many connections, the kubelet gets its answer."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from htcdask_operator.process import health, small_http
from htcdask_operator.process.health import Health

FEW = 512  # descriptors of the server's process
PROGRAM = """
import asyncio, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))
from htcdask_operator.process import health
asyncio.run(health.serve(int(sys.argv[1]), lambda: health.Health(True, "ok")))
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def answer(port: int, path: str = "/healthz", source: str = "127.0.0.1", method: str = "GET") -> str:
    """As the kubelet asks: one connection, a second of patience."""
    with socket.create_connection(("127.0.0.1", port), timeout=1, source_address=(source, 0)) as one:
        one.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: one.recv(65536), b"")).decode()


@pytest.fixture
def server() -> Iterator[tuple[int, int]]:
    """The port and the process id of a server that may have few descriptors."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(port)])
    try:
        until = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                answer(port)
                break
            assert time.monotonic() < until
            time.sleep(0.05)
        yield port, process.pid
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def many_descriptors(number: int) -> Iterator[int]:
    """So many, or as many as this process may have; never so few that the test says nothing."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = number if hard == resource.RLIM_INFINITY else min(number, hard)
    assert allowed >= 5 * FEW, f"a process may have {hard} descriptors here: too few for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))
    try:
        yield allowed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(
    "sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"GET /metrics HTTP/1.1\r\n\r\n"]
)
def test_ten_thousand_held_connections_take_few_descriptors_and_every_probe_is_answered(
    server: tuple[int, int], sent: bytes
) -> None:
    port, pid = server
    held: list[socket.socket] = []
    most, slowest = 0, 0.0
    with many_descriptors(12_000) as allowed:
        try:
            while len(held) < allowed * 5 // 6:
                one = socket.socket()
                held.append(one)
                one.settimeout(5)
                with contextlib.suppress(OSError):  # a crowd waits in the kernel, or is sent away
                    one.connect(("127.0.0.1", port))
                    one.sendall(sent)
                if len(held) % 250 == 0:
                    asked = time.monotonic()
                    assert "200 OK" in answer(port, source="127.0.0.2")
                    slowest = max(slowest, time.monotonic() - asked)
                    most = max(most, len(list(Path(f"/proc/{pid}/fd").iterdir())))
            assert "200 OK" in answer(port)  # from the same address as the crowd, too
        finally:
            for one in held:
                one.close()
    assert most < FEW * 2 / 3
    assert slowest < 1


@asynccontextmanager
async def serving(**how: object) -> AsyncIterator[int]:
    port = free_port()
    task = asyncio.create_task(health.serve(port, lambda: Health(True, "waiting"), **how))  # type: ignore[arg-type]
    try:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.01)
        yield port
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n"])
async def test_a_question_that_does_not_end_is_ended(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_http, "HEAD_SECONDS", 0.1)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(sent)
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()


async def test_an_answer_that_is_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_http, "EXCHANGE_SECONDS", 0.2)
    monkeypatch.setattr(health, "generate_latest", lambda: b"x" * 50_000_000)
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.6)
        with contextlib.suppress(ConnectionError):
            assert len(await asyncio.wait_for(reader.read(), 60)) < 50_000_000
        writer.close()


@pytest.mark.parametrize("kind", ["one byte at a time", "a long head"])
async def test_a_long_question_is_ended_early_and_a_slow_one_is_answered(kind: str) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        if kind == "a long head":
            writer.write(b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000)
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 1) == b""
        else:
            for letter in b"GET /healthz HTTP/1.1\r\n\r\n":
                writer.write(bytes([letter]))
                await asyncio.sleep(0.001)
            assert b"200 OK" in await asyncio.wait_for(reader.read(), 1)
        writer.close()


async def test_ready_says_what_is_waited_for_and_who_is_in_the_way() -> None:
    async with serving() as port:
        assert (await asyncio.to_thread(answer, port, "/readyz")).endswith("\r\n\r\nwaiting\n")
    async with serving(blocked=lambda: "another release") as port:
        said = await asyncio.to_thread(answer, port, "/readyz")
        assert said.startswith("HTTP/1.1 503 ") and said.endswith("another release\n")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("POST", "/healthz", 405), ("HEAD", "/healthz", 200), ("GET", "/healthz?x=1", 200)],
)
async def test_other_questions_are_answered_in_short(method: str, path: str, status: int) -> None:
    async with serving() as port:
        said = await asyncio.to_thread(answer, port, path, "127.0.0.1", method)
        assert said.startswith(f"HTTP/1.1 {status} ")
        assert method != "HEAD" or said.endswith("\r\n\r\n")


@pytest.mark.parametrize(
    "line", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET / SMTP\r\n\r\n"]
)
async def test_what_is_no_http_is_told_so(line: bytes) -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(line)
        assert b" 400 " in await asyncio.wait_for(reader.read(), 1)
        writer.close()


async def test_the_metrics_are_reckoned_once_a_second_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    reckoned = list[int]()
    monkeypatch.setattr(health, "generate_latest", lambda: _count(reckoned))
    async with serving() as port:
        for _ in range(20):
            said = await asyncio.to_thread(answer, port, "/metrics")
            assert said.endswith("\r\n\r\nx")
    assert len(reckoned) <= 2


def _count(reckoned: list[int]) -> bytes:
    reckoned.append(1)
    return b"x"


async def test_a_port_that_is_taken_is_an_error() -> None:
    with (
        socket.create_server(("0.0.0.0", 0)) as taken,  # noqa: S104
        pytest.raises(OSError, match="ddress already in use"),
    ):
        await health.serve(taken.getsockname()[1], lambda: Health(True, "ok"))
