"""Loopback ports of the machine that lead into a node. node.py calls `ensure`; the rest runs as a process.

The process gets a socket that listens on 127.0.0.1 of the machine, is started inside the node's network and
dials from there. It ends by itself with the node. While it lives it holds a lock, so nobody needs its number.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

_BUFFER = 1 << 16
_PATIENCE = 5.0
_PAUSE = 0.1


def ensure(folder: Path, name: str, host: str, port: int, node: int, nsenter: str) -> int:
    """A running forward `name` to host:port inside the node whose PID 1 is `node`; returns its local port."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{name}.json"
    noted = json.loads(target.read_text()) if target.exists() else {}
    with (folder / f"{name}.lock").open("w") as lock:
        if not _lock(lock.fileno()):
            if (noted.get("host"), noted.get("port")) != (host, port):
                _note(target, host, port, noted["local"])  # the process looks there at each connection
            return int(noted["local"])
        with _listen(int(noted.get("local", 0))) as listener:
            local = int(listener.getsockname()[1])
            _note(target, host, port, local)
            _start(folder / f"{name}.log", target, listener.fileno(), lock.fileno(), node, nsenter)
    return local


def wait_ended(folder: Path, timeout: float = 10) -> None:
    """Return when no forward of this folder runs any more (their node has ended)."""
    deadline = time.monotonic() + timeout
    for path in folder.glob("*.lock"):
        with path.open("w") as lock:
            while not _lock(lock.fileno()):
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the forward {path.stem} outlives its node")
                time.sleep(0.02)


def _start(log: Path, target: Path, listener: int, lock: int, node: int, nsenter: str) -> None:
    watch = os.pidfd_open(node)
    try:
        inside = [nsenter, f"--target={node}", "--net", "--mount", "--"]
        program = [
            sys.executable,
            "-I",
            str(Path(__file__).resolve()),
            str(listener),
            str(watch),
            str(target),
        ]
        script = 'setsid "$@" </dev/null >"$0" 2>&1 &'  # nobody's child, like the node itself
        fds = (listener, watch, lock)
        subprocess.run(["sh", "-c", script, str(log), *inside, *program], pass_fds=fds, check=True)
    finally:
        os.close(watch)


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return socket.create_server(("127.0.0.1", 0))  # somebody took it meanwhile


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _note(target: Path, host: str, port: int, local: int) -> None:
    draft = target.with_name(f".{target.name}")
    draft.write_text(json.dumps({"host": host, "port": port, "local": local}))
    draft.replace(target)


async def _serve(listener: int, watch: int, target: Path) -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(watch, ended.set)
    async with await asyncio.start_server(lambda *ends: _connect(target, *ends), sock=_socket(listener)):
        await ended.wait()
        os._exit(0)  # open connections lead nowhere now


def _socket(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def _destination(target: Path) -> tuple[str, int]:
    noted = json.loads(target.read_text())
    return noted["host"], noted["port"]


async def _dial(target: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the target; one that was made a moment ago may take a moment to be known everywhere."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return await asyncio.open_connection(*_destination(target))
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_PAUSE)


async def _connect(target: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        inner_reader, inner_writer = await _dial(target)
    except OSError as error:
        print(f"{target.stem}: {error}", flush=True)
        writer.transport.abort()
        return
    await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
    for end in (inner_writer, writer):
        end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):  # the other direction ends by itself
        while data := await reader.read(_BUFFER):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
