"""Schedulers in which somebody means harm, one on each port; a program of its own, so that only the asker's
event loop is measured. Prints `behaviour port` for each, and runs until it is ended.

    python misbehaving.py HOW_MANY    all ways to misbehave, in turn        python misbehaving.py honest
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
import socket
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HEADINGS = b"<th> Worker </th><th> Name </th><th> Cores </th><th> Processing </th>"
ROW = b"<tr><td><a href='../worker/x.html'>tls://node</a></td><td> %s </td><td> 1 </td><td> %d </td></tr>\n"
OK = b"HTTP/1.1 200 OK\r\n"
MB = 2**20


def table(rows: bytes) -> bytes:
    return b"<html><table><thead><tr>%s</tr></thead>\n<tbody>%s</tbody></table></html>" % (HEADINGS, rows)


def whole(body: bytes, headers: bytes = b"") -> bytes:
    return OK + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


HONEST = whole(table(b"".join(ROW % (b"w%d" % number, number % 2) for number in range(5))))


def _says(*pieces: bytes, ends: bool = True) -> Behaviour:
    """All of this, as fast as it is read."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if not ends:
            await asyncio.sleep(3600)

    return answer


def _repeats(start: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """For ever."""

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


async def _resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """In the middle of a page."""
    writer.write(HONEST[: len(HONEST) // 2])
    await writer.drain()
    ours = writer.get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _drips(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An honest page, a byte at a time."""
    for byte in HONEST:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.01)


def _noise(size: int) -> bytes:
    return random.Random(1).randbytes(size)  # noqa: S311


BEHAVIOURS: dict[str, Behaviour | None] = {
    "never accepts": None,
    "is silent": _says(ends=False),
    "closes at once": _says(),
    "resets": _resets,
    "drips": _drips,
    "drips headers": _repeats(OK, b"X: y\r\n", 0.01),
    "endless headers": _repeats(OK, b"X-Header: value\r\n" * 1000),
    "an endless header": _repeats(OK + b"X: ", b"y" * MB),
    "an endless first line": _repeats(b"HTTP/1.1 200 ", b"y" * MB),
    "endless body": _repeats(OK + b"\r\n", b" " * MB),
    "endless rows": _repeats(OK + b"\r\n" + HONEST.partition(b"</tbody>")[0], ROW % (b"x", 0) * 1000),
    "endless interim answers": _repeats(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000),
    "gzip bomb": _says(whole(gzip.compress(b"\0" * (64 * MB), 1), b"Content-Encoding: gzip\r\n")),
    "a huge chunk": _repeats(OK + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", b"x" * MB),
    "endless chunks": _repeats(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;a=b\r\nx\r\n" * 10_000),
    "endless trailers": _repeats(OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n" * 10_000),
    "noise": _says(_noise(8 * MB)),
    "a body of noise": _says(whole(_noise(60_000))),
    "a declaration": _says(whole(b"<![foo[x]]>")),
    "tags without end": _says(whole(b"<a " * 10_000)),
    "attributes without end": _says(whole(b"<a b='" * 10_000)),
    "unclosed elements": _says(whole(b"x<b>" * 15_000)),
    "megabytes of unclosed elements": _says(whole(b"x<b>" * 600_000)),
    "eight megabytes": _says(whole(table(b" " * (8 * MB)))),
    "nested tables": _says(whole(table(b"<tr><td><table>" * 4000))),
    "cells without rows": _says(whole(table(b"<td>" * 15_000))),
    "NULs": _says(whole(b"\0" * 60_000)),
    "no UTF-8": _says(whole(table(ROW % (b"\xff\xfe\xc3\x28" * 5000, 0)))),
    "a hundred thousand workers": _says(whole(table(ROW % (b"x", 1) * 100_000))),
    "a name a thousand times": _says(whole(table(ROW % (b"w1", 7) * 500))),
    "a redirect": _says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    "nothing anywhere": _says(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
    "nothing without end": _repeats(b"HTTP/1.1 404 Not Found\r\n\r\n", b" " * MB),
    "nothing, slowly": _repeats(b"HTTP/1.1 404 Not Found\r\n\r\n", b" ", 0.01),
    "cookies": _says(whole(table(b""), b"Set-Cookie: a=%s; Domain=.\r\n" % (b"b" * 4000) * 4)),
    "promises more": _says(OK + b"Content-Length: 99999999\r\n\r\n" + table(b"")),
    "promises less": _says(OK + b"Content-Length: 10\r\n\r\n" + table(b"")),
    "half a page": _says(OK + b"\r\n" + table(ROW % (b"w1", 0))[:-60]),
}


def _never_accepts() -> socket.socket:
    """A queue that is full."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    for _ in range(4):
        waiting = socket.socket()
        waiting.setblocking(False)
        waiting.connect_ex(listening.getsockname())
        _OPEN.append(waiting)
    _OPEN.append(listening)
    return listening


_OPEN: list[socket.socket] = []


async def _serve(name: str, behaviour: Behaviour | None) -> None:
    if behaviour is None:
        port = _never_accepts().getsockname()[1]
    else:

        async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.readuntil(b"\r\n\r\n")
                await behaviour(reader, writer)
                writer.close()
            except (OSError, asyncio.IncompleteReadError):
                pass

        server = await asyncio.start_server(answered, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
    print(f"{port} {name}", flush=True)  # noqa: T201


async def _main(which: str) -> None:
    if which == "honest":
        await _serve("honest", _says(HONEST))
    else:
        for name, behaviour in itertools.islice(_in_turn(), int(which)):
            await _serve(name, behaviour)
    print("0 end", flush=True)  # noqa: T201
    await asyncio.Event().wait()


def _in_turn() -> Iterator[tuple[str, Behaviour | None]]:
    return itertools.cycle(BEHAVIOURS.items())


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
