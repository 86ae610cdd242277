"""Bodies of requests that do not end: how long, and how many of one sender, are read at a time.

Used by `htcdask_gateway`, and pasted beside it into the API server's configuration. The stock routes read a
body for as long as it takes, and keep what has come: whoever holds a login, or a cluster's token, could fill
the memory of a server that is everybody's with bodies that lack their last byte. So every handler, stock or
ours, reads through `bounded`. Who sends is known by then, as handlers look at credentials first; nothing that
another sender does makes somebody wait.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

LARGEST = 1024**2  # bytes: ten thousand workers' names; the stock server has the same bound
SECONDS = 10.0  # for all of a body, and for its turn
READ = 4  # bodies of one sender at a time: a cluster's token, or a user
WAITING = 12  # more of them, of which little is in memory until their turn comes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Line:
    """The unfinished bodies of one sender."""

    def __init__(self) -> None:
        self.turn = asyncio.Semaphore(READ)
        self.length = 0


class Bodies:
    """The bodies that are on their way, by who sends them."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def install(self, app: web.Application) -> None:
        """Before the server starts."""

        @web.middleware
        async def bounded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.body_exists:
                stock = request.read
                # What json() and text() of a request call. Set past a class that only warns of it.
                vars(request)["read"] = lambda: self.read(request, stock)
            return await handler(request)

        app.middlewares.append(bounded)

    async def read(self, request: web.Request, stock: Callable[[], Awaitable[bytes]]) -> bytes:
        """The body; a refusal when it is too large, too slow, or one of too many."""
        if (request.content_length or 0) > LARGEST:
            raise web.HTTPRequestEntityTooLarge(LARGEST, request.content_length or 0)
        if request.content.is_eof():  # nearly all: it is here
            return await stock()
        sender = sender_of(request)
        line = self._lines.setdefault(sender, _Line())
        if line.length >= READ + WAITING:
            raise web.HTTPTooManyRequests(reason=f"{line.length} requests of yours have no whole body yet")
        line.length += 1
        try:
            return await asyncio.wait_for(self._in_turn(line, stock), SECONDS)
        except asyncio.TimeoutError as error:  # noqa: UP041 (another one before Python 3.11)
            raise web.HTTPRequestTimeout(reason=f"the body did not come in {SECONDS:.0f} s") from error
        finally:
            line.length -= 1
            if not line.length:
                self._lines.pop(sender, None)

    async def _in_turn(self, line: _Line, stock: Callable[[], Awaitable[bytes]]) -> bytes:
        async with line.turn:
            return await stock()


def sender_of(request: web.Request) -> str:
    """Whose request it is: a user's, or the cluster's whose token it shows."""
    user = request.get("user")
    if user is not None:
        return f"user {user.name}"
    return f"cluster {request.match_info.get('cluster_name', '')}"
