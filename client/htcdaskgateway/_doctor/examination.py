"""The list of checks, and the loop that runs them.

Called by `method` and `command`. One check after the other, each with a bound of its own; what one of them
breaks is its own finding, and those that build on it are not tried. However it ends, a probe cluster is shut
down.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import aiohttp
from dask_gateway import Gateway
from dask_gateway.auth import GatewayAuth

from htcdaskgateway import _tasks
from htcdaskgateway._auth import without_credentials
from htcdaskgateway._config import ClientConfig
from htcdaskgateway._doctor import gateway_answers, installed, pool_api, probe, proxy, reach, versions
from htcdaskgateway._doctor.case import Case, Fault, NotTried
from htcdaskgateway._doctor.http import bound
from htcdaskgateway._doctor.report import Finding, Report, harmless
from htcdaskgateway._doctor.secrecy import secrets_of
from htcdaskgateway._doctor.timeouts import timeout

Tell = Callable[[Finding], None]

_SECONDS: Final = 15.0
_LONG_SECONDS: Final = 40.0  # a few things one after the other, each with a bound of its own


async def settings(case: Case) -> str:
    """Addresses and configuration can be read."""
    ClientConfig.read()
    try:
        case.gateway = _gateway(case)
    except ValueError as error:
        raise Fault(
            case.masked(str(error)),
            "give the address: --address URL, or gateway.address in dask's configuration",
        ) from error
    case.secrets.update(secrets_of(case.gateway.auth))
    bound(case.gateway)
    proxy_address = without_credentials(case.gateway.proxy_address)
    return f"{await reach.address(case)}, proxy {proxy_address}"


def _gateway(case: Case) -> Gateway:
    """Without a credential where the one there is cannot be had, or is not for this address."""
    try:
        return case.make_gateway()
    except Exception as error:
        gateway = case.make_gateway(auth=GatewayAuth())  # what is wrong with it now is not the credential
        case.no_credential = error
        return gateway


async def credential(case: Case) -> str:
    """There is one, and it is for this address. The checks before `login` need none."""
    by_variables = "the variables DASK_GATEWAY__ADDRESS, DASK_GATEWAY__AUTH__KWARGS__USERNAME and …__PASSWORD"
    if reach.names_a_user(case):
        address = without_credentials(case.gateway.address)
        raise Fault(
            "a user name or password stands in the gateway's address: a login has one or the other, and "
            "links to dashboards would show it",
            f"write HTCGateway({address!r}, auth=BasicAuth(username, password)), or set {by_variables}",
        )
    if case.no_credential is not None:
        raise Fault(
            f"none for this address: {case.masked(str(case.no_credential))}",
            f"correct the address, or leave it out; for another gateway set {by_variables}",
        )
    return f"{type(case.gateway.auth).__name__}; whether it is accepted is seen at the login"


@dataclass(frozen=True)
class Check:
    """`seconds` is None where the check keeps its own time; `needs` are checks that must not have failed."""

    name: str
    look: Callable[[Case], Awaitable[str]]
    needs: tuple[str, ...] = ()
    seconds: float | None = _SECONDS


CHECKS: Final = (
    Check("installation", installed.installation),
    Check("settings", settings),
    Check("credential", credential, ("settings",)),
    Check("name", reach.name, ("settings",)),
    Check("connection", reach.connection, ("name",)),
    Check("certificate", reach.certificate, ("connection",)),
    Check("gateway", gateway_answers.gateway, ("certificate",)),
    Check("login", gateway_answers.login, ("gateway", "credential")),
    Check("extension", gateway_answers.extension, ("login",)),
    Check("operator", gateway_answers.operator, ("extension",)),
    Check("options", gateway_answers.options, ("extension",)),
    Check("cluster", probe.cluster, ("options",), None),
    Check("pools", pool_api.pools, ("extension",)),
    Check("proxy", proxy.proxy, ("settings",), _LONG_SECONDS),
    Check("scheduler", probe.scheduler, ("cluster", "proxy"), _LONG_SECONDS),
    Check("worker", probe.worker, ("operator", "scheduler"), None),
    Check("versions", versions.versions, ("scheduler",)),
)
SHUTDOWN: Final = Check("shutdown", probe.end, seconds=None)


async def examine(case: Case, tell: Tell = lambda finding: None) -> Report:
    """All findings; each is told as soon as it is there."""
    findings: list[Finding] = []
    broken: dict[str, str] = {}  # checks whose outcome others cannot build on, and which of them failed first

    async def find(check: Check) -> None:
        root = next((broken[name] for name in check.needs if name in broken), None)
        if root is None:
            finding = await _run(check, case)
            if finding.state == "fails":
                broken[check.name] = check.name
        else:
            broken[check.name] = root
            finding = Finding(check.name, "not tried", f"because {root} fails")
        findings.append(finding)
        tell(finding)

    async def find_all() -> None:
        for check in CHECKS:
            await find(check)

    async def end(finding_all: asyncio.Future[None]) -> None:
        await _tasks.end(finding_all)
        await probe.disconnect(case)
        if case.submitting is not None:
            await find(SHUTDOWN)
        if case.has_gateway:
            await case.gateway._cleanup()

    finding_all = asyncio.ensure_future(find_all())
    try:
        await asyncio.wait([finding_all])
        finding_all.result()
    finally:
        await _tasks.to_the_end(end(finding_all))
    return Report(tuple(findings))


async def _run(check: Check, case: Case) -> Finding:
    try:
        async with timeout(check.seconds):
            said = await check.look(case)
        return Finding(check.name, "ok", harmless(said))
    except NotTried as reason:
        return Finding(check.name, "not tried", harmless(f"because {reason}"))
    except Fault as fault:
        said, remedy = str(fault), fault.remedy
    except asyncio.TimeoutError:
        said, remedy = (
            "no answer in time",
            "try again; if it stays so, tell the site's admin what does not answer",
        )
    except aiohttp.ClientError as error:
        said = f"the answer is broken ({type(error).__name__}: {case.masked(str(error))})"
        remedy = "who stands between here and the gateway (a proxy, a load balancer)? Tell the site's admin"
    except Exception as error:  # what one check breaks does not end the others
        said = f"{type(error).__name__}: {case.masked(str(error))}"
        remedy = "what the message names; if it names nothing of yours, please report it"
    return Finding(check.name, "fails", harmless(said), harmless(remedy))
