"""Answers to short GET requests, for anybody and at a bounded cost: the server under `health`.

Whoever reaches the port may open connections without end and keep them, so there are few of them, each for a
short time, and one question in each. When there are too many, the oldest unfinished one of the address that
has the most goes first: one who is alone on an address, like the kubelet, always gets an answer.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, cast

MOST: Final = 64
"""Connections at a time. As many again may be on their way in or out: far below any limit of descriptors."""

HEAD_SECONDS: Final = 2.0
"""For sending the question."""

EXCHANGE_SECONDS: Final = 5.0
"""For all of it: who reads the answer slower does not get all."""

_ACCEPTED: Final = 64  # in one go
_QUEUE: Final = 1024  # wait in the kernel, and are no descriptors of ours: else a crowd keeps others out
_LARGEST: Final = 8192  # bytes of a question
_ENDS: Final = (b"\r\n\r\n", b"\n\n")
_ALLOWED: Final = {"GET": True, "HEAD": False}  # with the body or without


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to a path."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


Respond = Callable[[str], "Answer | None"]  # None: there is no such path


async def serve(port: int, respond: Respond) -> None:
    """Serve until cancelled; OSError when the port cannot be had."""
    doors = _Doors()
    loop = asyncio.get_running_loop()
    listening = _listening(port)
    # asyncio accepts as many in one go as it is told that may wait.
    server = await loop.create_server(lambda: _Exchange(doors, respond), sock=listening, backlog=_ACCEPTED)
    listening.listen(_QUEUE)
    try:
        await asyncio.Event().wait()
    finally:
        server.close()
        doors.close()


def _listening(port: int) -> socket.socket:
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _written(head: bytes, respond: Respond) -> bytes:
    """The whole answer, in HTTP, to the head of a request."""
    words = head.split(b"\n", 1)[0].decode("latin-1").split()
    with_body = True
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        answer = Answer(b"not HTTP/1\n", HTTPStatus.BAD_REQUEST)
    elif words[0] not in _ALLOWED:
        answer = Answer(b"GET only\n", HTTPStatus.METHOD_NOT_ALLOWED)
    else:
        with_body = _ALLOWED[words[0]]
        answer = respond(words[1].partition("?")[0]) or Answer(b"not here\n", HTTPStatus.NOT_FOUND)
    lines = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + (answer.body if with_body else b"")


class _Doors:
    """The connections that are open, by who opened them."""

    def __init__(self) -> None:
        self._of: dict[str, dict[_Exchange, None]] = {}
        self._count = 0

    def enter(self, one: _Exchange) -> None:
        self._of.setdefault(one.peer, {})[one] = None
        self._count += 1
        if self._count > MOST:
            crowd = max(self._of.values(), key=len)
            first = next((each for each in crowd if not each.answered), next(iter(crowd)))
            first.end()

    def leave(self, one: _Exchange) -> None:
        crowd = self._of.get(one.peer, {})
        if one in crowd:
            del crowd[one]
            self._count -= 1
        if not crowd:
            self._of.pop(one.peer, None)

    def close(self) -> None:
        for one in [each for crowd in self._of.values() for each in crowd]:
            one.end()


class _Exchange(asyncio.Protocol):
    """One connection: a question, its answer, the end."""

    def __init__(self, doors: _Doors, respond: Respond) -> None:
        self._doors = doors
        self._respond = respond
        self._head = bytearray()
        self._loop = asyncio.get_running_loop()
        self._end: asyncio.TimerHandle | None = None
        self.peer = ""
        self.answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.peer = str((transport.get_extra_info("peername") or ("",))[0])
        self._began = self._loop.time()
        self._end = self._loop.call_later(HEAD_SECONDS, self.end)
        self._doors.enter(self)

    def data_received(self, data: bytes) -> None:
        if self.answered:
            return
        self._head += data
        if any(end in self._head for end in _ENDS):
            self._answer()
        elif len(self._head) > _LARGEST:
            self.end()

    def eof_received(self) -> bool:
        return self.answered  # who sends no more may still read

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end is not None:
            self._end.cancel()
        self._doors.leave(self)

    def end(self) -> None:
        """At once, whatever is not sent yet."""
        self._doors.leave(self)
        self._transport.abort()

    def _answer(self) -> None:
        self.answered = True
        if self._end is not None:
            self._end.cancel()
        self._end = self._loop.call_at(self._began + EXCHANGE_SECONDS, self.end)
        self._transport.write(_written(bytes(self._head), self._respond))
        self._transport.close()
