"""Ask the gateway within bounds: bytes, seconds, and nobody else.

Used by the checks that ask over HTTP, and, by `bound`, for whatever dask-gateway's own client asks during an
examination. The address may be anybody's server: no redirect is followed, so no credential goes where one
leads.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from dask_gateway import Gateway

from htcdaskgateway._auth import UNSENDABLE, without_credentials
from htcdaskgateway._doctor.case import Case, Fault, in_thread
from htcdaskgateway._doctor.secrecy import masked

_LARGEST: Final = 4 * 2**20  # bytes of one answer; a listing of a thousand clusters has half of that
_SECONDS: Final = 30.0  # of one request; dask-gateway lets a new cluster's be answered after up to 20


class _BoundedResponse(aiohttp.ClientResponse):
    """What is too long is an error, before it is in memory."""

    async def read(self) -> bytes:
        if self._body is None:
            body = bytearray()
            async for piece in self.content.iter_any():
                body += piece
                if len(body) > _LARGEST:
                    self.close()
                    raise aiohttp.ClientPayloadError(f"the answer has more than {_LARGEST} bytes")
            self._body = bytes(body)
        return self._body


@dataclass(frozen=True)
class Answer:
    """What came back; `location` is where a redirect leads, without what follows the path."""

    status: int
    body: bytes
    location: str
    secrets: Collection[str] = field(repr=False)

    def json(self) -> Any:
        """The body as data; None where it is none."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def masked(self, said: Any) -> str:
        """A part of the answer, fit for printing."""
        return masked(str(said), self.secrets)


def bound(gateway: Gateway) -> None:
    """All that this gateway object asks has bounds. Called in its loop, before it asks anything."""
    gateway._session = aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # as dask-gateway's own
        response_class=_BoundedResponse,
        auto_decompress=False,  # a small body may unpack to a large one
        headers={"Accept-Encoding": "identity"},
    )
    limits = {"allow_redirects": False, "timeout": aiohttp.ClientTimeout(total=_SECONDS)}
    gateway._request_kwargs = {**gateway._request_kwargs, **limits}


async def ask(case: Case, path: str, *, login: bool = True) -> Answer:
    """`GET` this path of the gateway; the credential goes only to who answers 401, and only with `login`.

    Raises aiohttp.ClientError and TimeoutError.
    """
    gateway = case.gateway
    url, how = f"{without_credentials(gateway.address)}{path}", gateway._request_kwargs
    response = await gateway._session.get(url, **how)
    if response.status == 401 and login:
        challenge = response
        try:
            headers, context = await in_thread(lambda: gateway.auth.pre_request(challenge))
        except UnicodeError:  # whose text has the character
            raise Fault(
                UNSENDABLE,
                "one without letters outside of Latin-1",
            ) from None
        case.secrets.update(value.partition(" ")[2] or value for value in headers.values())
        response.close()
        response = await gateway._session.get(url, headers=headers, **how)
        if response.status < 400:
            await in_thread(lambda: gateway.auth.post_response(response, context))
    async with response:
        place = case.masked(_place(response))
        return Answer(response.status, await response.read(), place, frozenset(case.secrets))


def _place(response: aiohttp.ClientResponse) -> str:
    location = response.headers.get("Location", "")
    try:
        return str(
            response.url.join(type(response.url)(location))
            .with_user(None)
            .with_query(None)
            .with_fragment(None)
        )
    except ValueError:
        return "an address that is none"


def told(answer: Answer) -> str:
    """The gateway's own sentence in an answer that refuses; else its status."""
    body = answer.json()
    said = body.get("error") if isinstance(body, dict) else None
    if isinstance(said, str):
        return f"{answer.status}: {answer.masked(said)}"
    return f"HTTP status {answer.status}" + (
        f", on to {answer.location}" if 300 <= answer.status < 400 else ""
    )


def fault(answer: Answer, what: str) -> Fault:
    """For an answer that none of the check's own rules expects."""
    return Fault(
        f"{what} was answered with {told(answer)}",
        "look into the log of the gateway's API server, or tell the site's admin",
    )
