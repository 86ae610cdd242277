"""The gateway's proxy, through which a notebook reaches its schedulers: by TLS, told apart by name (SNI)."""

import asyncio
import ssl
from typing import Final
from urllib.parse import urlsplit

from htcdaskgateway._doctor.case import Case, Fault
from htcdaskgateway._doctor.reach import connected, refused, resolve
from htcdaskgateway._doctor.timeouts import timeout

_HANDSHAKE_SECONDS: Final = 5.0
_ROUTE_SECONDS: Final = 10.0  # a new cluster's route takes a moment
_PAUSE_SECONDS: Final = 0.5
_ALERTS: Final = (
    "SSLV3_ALERT",
    "TLSV1_",
    "TLSV13_",
)  # how OpenSSL's names for what the other side says begin
_SAY_WHERE: Final = "correct HTCGateway(proxy_address=...), or gateway.proxy-address in dask's configuration"


class _Silent(Exception):  # noqa: N818 (never leaves this module)
    """No answer to the beginning of TLS."""


async def proxy(case: Case) -> str:
    """Somebody there speaks TLS; where a cluster runs, with that cluster's own certificate."""
    host, port = _place(case.gateway.proxy_address)
    await resolve(host, port, "the proxy")
    try:
        async with connected(host, port):
            pass
    except OSError as error:
        raise refused(error, host, port, "the proxy for schedulers; " + _SAY_WHERE) from error
    if case.report is None or case.report.security is None:
        return await _no_cluster(host, port)
    return await _leads_to_the_scheduler(case, host, port)


def _place(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise Fault(f"the proxy's address {address} has no host or no port", _SAY_WHERE)
    return host, port


async def _no_cluster(host: str, port: int) -> str:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing but a greeting is sent
    where, only = f"{host} port {port}", "; whether it leads to schedulers only --probe tells"
    try:
        await _greet(host, port, context, "doctor")
    except _Silent as error:
        raise _silent(where) from error
    except (ssl.SSLError, OSError) as error:
        if _is_no_tls(error):
            raise _no_tls(where, error) from error
        return f"the proxy at {where} turns away a name that no cluster has, as it should{only}"
    return f"the proxy at {where} speaks TLS{only}"


async def _leads_to_the_scheduler(case: Case, host: str, port: int) -> str:
    context = case.report.security.get_connection_args("client")["ssl_context"]
    cluster, where = case.report.name, f"{host} port {port}"
    until = asyncio.get_running_loop().time() + _ROUTE_SECONDS
    while True:
        try:
            await _greet(host, port, context, cluster)
        except _Silent as error:
            raise _silent(where) from error
        except (ssl.SSLError, OSError) as error:
            # Also another certificate may become the right one: Traefik shows its own while it has no route.
            if asyncio.get_running_loop().time() > until:
                raise _leads_elsewhere(error, cluster, where) from error
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            return f"the proxy at {where} leads to the scheduler of {cluster} (by its certificate)"


def _leads_elsewhere(error: Exception, cluster: str, where: str) -> Fault:
    if _is_no_tls(error) and not isinstance(error, ssl.SSLCertVerificationError):
        return _no_tls(where, error)
    if isinstance(error, ssl.SSLCertVerificationError):
        said = f"the proxy at {where} answers with another certificate than cluster {cluster}'s"
        ends = "it must pass TLS on by its name (SNI) and not end it: is this the port of https://? "
    else:
        said, ends = f"the proxy at {where} does not lead to cluster {cluster} ({error})", ""
    return Fault(
        said,
        f"{ends}if it is this gateway's own, its log (Traefik's) says why it has no route; else {_SAY_WHERE}",
    )


async def _greet(host: str, port: int, context: ssl.SSLContext, cluster: str) -> None:
    """TLS with that cluster's name; raises what TLS or the connection says, and _Silent."""
    try:
        name = f"daskgateway-{cluster}"
        async with timeout(_HANDSHAKE_SECONDS), connected(host, port, ssl=context, server_hostname=name):
            pass
    except asyncio.TimeoutError as error:
        raise _Silent from error


def _is_no_tls(error: Exception) -> bool:
    """Whether the answer was something else, and neither a refusal by TLS nor a closed connection."""
    if not isinstance(error, ssl.SSLError) or isinstance(error, ssl.SSLEOFError):
        return False
    return not (error.reason or "").startswith(_ALERTS)


def _no_tls(where: str, error: Exception) -> Fault:
    reason = getattr(error, "reason", None) or error
    return Fault(
        f"what answers at {where} is no proxy for schedulers: it does not speak TLS ({reason})", _SAY_WHERE
    )


def _silent(where: str) -> Fault:
    return Fault(
        f"the proxy at {where} accepts connections and says nothing for {_HANDSHAKE_SECONDS:.0f} s",
        f"a firewall may swallow TLS, or the proxy hangs: tell the site's admin; or {_SAY_WHERE}",
    )
