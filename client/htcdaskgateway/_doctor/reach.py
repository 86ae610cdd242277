"""The way to the gateway, up to and with TLS: its name, a connection, its certificate.

Each step is tried by itself, so that what fails is named. Where requests go through an HTTP proxy, that is
whose name and connection count. A socket that was opened is closed within a second, whatever the other side
does.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import yarl

from htcdaskgateway._auth import without_credentials
from htcdaskgateway._doctor.case import Case, Fault, NotTried, in_thread

_DEFAULT_PORT: Final = {"http": 80, "https": 443}


def split(address: str) -> tuple[str, str, int]:
    """Scheme, host and port of the gateway's address; a Fault where it is none."""
    try:
        url = yarl.URL(address)
        host, port = url.host, url.port or _DEFAULT_PORT.get(url.scheme)
    except ValueError:
        host = port = None
    if not host or not port or url.scheme not in _DEFAULT_PORT:
        raise Fault(
            f"{without_credentials(address)} is not an address of the form https://host or http://host:port",
            "correct HTCGateway(address=...), or gateway.address in dask's configuration",
        )
    return url.scheme, host, port


def first_hop(case: Case) -> tuple[str, int, str]:
    """Host and port of who is connected to, and what it is."""
    _, host, port = split(case.gateway.address)
    if through := case.gateway._request_kwargs.get("proxy"):
        proxy = yarl.URL(through)
        return proxy.host or "", proxy.port or 80, "the HTTP proxy"
    return host, port, "the gateway"


async def address(case: Case) -> str:
    """The address can be read."""
    split(case.gateway.address)
    return without_credentials(case.gateway.address)


def names_a_user(case: Case) -> bool:
    """Whether a user or a password stands in the gateway's address."""
    url = yarl.URL(case.gateway.address)
    return url.user is not None or url.password is not None


async def name(case: Case) -> str:
    """The host's name is known here."""
    host, port, what = first_hop(case)
    return await resolve(host, port, what)


async def resolve(host: str, port: int, what: str) -> str:
    """A sentence with the addresses of this host; a Fault when its name is not known."""
    try:
        found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError) as error:
        raise Fault(
            f"the name {host} of {what} is not known here ({error})",
            "look for a typing error in the address; else this machine's name server (DNS), or a VPN",
        ) from error
    numbers = sorted({str(entry[4][0]) for entry in found})
    return f"{host} is {', '.join(numbers[:4])}"


async def connection(case: Case) -> str:
    """Somebody listens there."""
    host, port, what = first_hop(case)
    try:
        async with connected(host, port):
            return f"{what} at {host} port {port} accepts connections"
    except OSError as error:
        raise refused(error, host, port, what) from error


def refused(error: OSError, host: str, port: int, what: str) -> Fault:
    """The Fault for a connection that was not made."""
    if isinstance(error, ConnectionRefusedError):
        said = f"{host} refuses connections to port {port}: nothing listens there"
        return Fault(said, f"check the port of {what}, and ask the site's admin whether it runs")
    return Fault(
        f"no connection to {host} port {port} ({error})",
        f"is there a route and an open firewall from here to {what}?",
    )


async def certificate(case: Case) -> str:
    """The gateway speaks TLS, and its certificate is one that this Python trusts for this name."""
    scheme, host, port = split(case.gateway.address)
    if scheme == "http":
        return "http://, so there is none: who is on the way can read passwords"
    if case.gateway._request_kwargs.get("proxy"):
        raise NotTried("requests go through an HTTP proxy; the next check tells whether TLS works")
    try:
        async with connected(host, port, ssl=ssl.create_default_context(), server_hostname=host):
            return f"the certificate of {host} is trusted here"
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(error, host) from error
    except ssl.SSLError as error:
        raise Fault(
            f"{host} port {port} does not speak TLS ({error.reason or 'it closed the connection'})",
            f"if your site's address is http://, say so; else {port} is not the port of its https://",
        ) from error
    except OSError as error:
        raise Fault(
            f"{host} port {port} closed the connection when TLS began ({error})",
            "is it the port of the gateway's https://? Ask the site's admin",
        ) from error


def _untrusted(error: ssl.SSLCertVerificationError, host: str) -> Fault:
    why = error.verify_message or error.reason or "no reason given"
    if error.verify_code in (18, 19, 20, 21):  # X509_V_ERR_: self-signed, in the chain, or no issuer here
        said = f"the certificate of {host} is from nobody whom this Python trusts ({why})"
        remedy = "if your site has an authority of its own, set SSL_CERT_FILE to a file with its certificate"
    elif error.verify_code in (9, 10):  # not yet, no longer
        said = f"the certificate of {host} is not valid today ({why})"
        remedy = "the site's admin has to renew it; or this machine's clock is wrong"
    elif error.verify_code in (62, 64):  # name, IP address
        said = f"the certificate is not for {host} ({why})"
        remedy = "use the name that stands in the certificate, or tell the site's admin"
    else:
        said, remedy = f"the certificate of {host} is refused ({why})", "tell the site's admin"
    return Fault(said, remedy)


@asynccontextmanager
async def connected(host: str, port: int, **tls: Any) -> AsyncIterator[asyncio.StreamWriter]:
    """A connection, with TLS if `tls` says so; closed without waiting for the other side."""
    _, writer = await asyncio.open_connection(host, port, **tls)
    try:
        yield writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 1)
