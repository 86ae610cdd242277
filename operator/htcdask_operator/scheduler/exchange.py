"""One request to a server that nobody trusts: so many bytes at the most, then the connection is cut.

Called by `http`, which sets the deadline. Not aiohttp: that keeps cookies, follows, inflates, and reads
headers, chunks and interim answers before its caller can count them.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Executor
from typing import Final

_AT_ONCE: Final = 64 * 2**10
_MOST_ADDRESSES: Final = 4


class TooLongError(Exception):
    """There was more to read than anybody wants."""


async def exchange(host: str, port: int, request: bytes, most: int, resolver: Executor) -> bytearray:
    """All that the server sends until it closes. OSError, or TooLongError beyond `most` bytes."""
    reader, writer = await _connect(host, port, resolver)
    try:
        writer.write(request)
        await writer.drain()
        answer = bytearray()
        while chunk := await reader.read(_AT_ONCE):
            answer += chunk
            if len(answer) > most:
                raise TooLongError
        return answer
    finally:
        writer.transport.abort()  # no farewell: it might take as long as the other side likes


async def _connect(
    host: str, port: int, resolver: Executor
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The first address that takes the connection."""
    loop = asyncio.get_running_loop()
    # Not the loop's own threads: a name server that hangs would take them from everybody.
    found = await loop.run_in_executor(resolver, _addresses, host, port)
    refused: OSError = OSError(f"{host} has no address")
    for address in found[:_MOST_ADDRESSES]:
        try:
            return await asyncio.open_connection(address, port, limit=_AT_ONCE)
        except OSError as error:
            refused = error
    raise refused


def _addresses(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
