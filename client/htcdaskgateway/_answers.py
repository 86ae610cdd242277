"""What the gateway answers, and the errors about it, without the credentials of the question.

Called by `HTCGateway._request`, through which all questions go. asyncio logs the whole of an error that
nobody asks for: no header of a request, user of an address or proxy's password is in one.
"""

from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from dask_gateway import Gateway
from multidict import CIMultiDict, CIMultiDictProxy

_OWN: Final = "htcdask_own_answer"
_NO_SUCH_PATH: Final = "404: Not Found"  # as aiohttp says it, of which dask-gateway's server is made


def forget_question(response: aiohttp.ClientResponse) -> None:
    """Whatever is wrong with the answer's text, that error has no header of the request either.

    dask-gateway's session has taken the cookies by now.
    """
    response._request_info, response._history = _bare(response._request_info), ()
    response._headers = CIMultiDictProxy(_without_cookies(response._headers))
    for read in ("request_info", "history", "headers"):  # what was read is kept beside these
        getattr(response, "_cache", {}).pop(read, None)


def forget_credentials(error: aiohttp.ClientResponseError) -> None:
    """Leave out the headers of the request, and cookies that came with the answer."""
    error.request_info, error.history = _bare(error.request_info), ()
    error.args = (error.request_info, error.history)
    if error.headers is not None:
        error.headers = _without_cookies(error.headers)


def _bare(asked: aiohttp.RequestInfo) -> aiohttp.RequestInfo:
    url, real = asked.url.with_user(None), asked.real_url.with_user(None)
    return aiohttp.RequestInfo(url, asked.method, CIMultiDictProxy(CIMultiDict()), real)


def _without_cookies(headers: Mapping[str, str]) -> CIMultiDict[str]:
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() != "set-cookie")


class ProxyAuth(aiohttp.BasicAuth):
    """The login at an HTTP proxy, as aiohttp wants it; connections, which stand in errors, show it."""

    def __repr__(self) -> str:
        return f"BasicAuth(login={self.login!r}, password='…')"


def hide_proxy_password(how: dict[str, Any]) -> None:
    """`how`: the arguments of dask-gateway's requests, changed in place."""
    auth = how.get("proxy_auth")
    if type(auth) is aiohttp.BasicAuth:
        how["proxy_auth"] = ProxyAuth(*auth)


def answer_behind(error: ValueError) -> aiohttp.ClientResponse | None:
    """The 404 or 422 for which dask-gateway's client raised it; None if a library below raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or trace.tb_frame.f_code is not Gateway._request.__code__:
        return None
    answer: aiohttp.ClientResponse | None = trace.tb_frame.f_locals.get("resp")
    return answer


async def is_gateways_own(answer: aiohttp.ClientResponse) -> bool:
    """Or else a proxy says 404 in its place, as many do for a server that is being restarted."""
    try:
        said = await answer.json()
    except Exception:
        return (await answer.text()).startswith(_NO_SUCH_PATH)
    return isinstance(said, dict) and "error" in said


def mark_as_own(error: ValueError) -> None:
    """The gateway itself has said it, of what it was asked for."""
    setattr(error, _OWN, True)


def is_unknown(error: ValueError) -> bool:
    """Whether the gateway does not know, or does not want, what it was asked for."""
    return getattr(error, _OWN, False)
