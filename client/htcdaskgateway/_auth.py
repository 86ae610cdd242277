"""Which credential goes to the gateway.

Called when a gateway or a cluster object is made, before dask-gateway's own constructor. Promises that a
credential of the environment or the configuration is only sent to the gateway that the configuration names,
and a JupyterHub token never to an address that somebody typed into a notebook, unless `auth` asks for it.
"""

import contextlib
import os
import re
from typing import Any, Final

import dask
import yarl
from dask_gateway.auth import BasicAuth, GatewayAuth, JupyterHubAuth, KerberosAuth, get_auth
from dask_gateway.utils import format_template

_DEFAULT_TYPE = "basic"
_API = ("", "/api", "/api/v1")
_HUB_VARIABLE = "JUPYTERHUB_API_TOKEN"
# Neither sends anything of use to another gateway by itself: a name, and a ticket made out for one host.
_HARMLESS = (BasicAuth, KerberosAuth)
_KINDS: Final = ("basic", "kerberos", "jupyterhub")
_CLASS: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_SAY_BASIC: Final = 'to log in by name and password say auth=BasicAuth("me", "password")'

UNSENDABLE: Final = "the user name or password has a character that a login by HTTP cannot carry"


def choose_auth(address: str | None, auth: Any = None) -> Any:
    """`auth` if given, else what the configuration says; on a JupyterHub that says nothing, its token.

    ValueError when that would send a credential to an address that it is not meant for; that, or TypeError,
    when `auth` is no kind of login.
    """
    elsewhere = address is not None and not _is_configured(str(address).strip())
    chosen = auth
    if auth is None and not elsewhere and _on_unconfigured_hub():
        chosen = "jupyterhub"
    made = _made(chosen)
    if elsewhere and not isinstance(auth, GatewayAuth) and _belongs_elsewhere(made, asked=auth is not None):
        scheme = "" if "://" in str(address) else " (an address begins with http:// or https://)"
        raise ValueError(
            f"{without_credentials(str(address))}{scheme} is not the gateway of the configuration "
            f"({_configured_text()}), so the credential that comes with it ({type(made).__name__}) is not "
            "sent there. HTCGateway() without an address goes to the configured one. To log in elsewhere, "
            'say how: auth=BasicAuth(username, password), or auth="jupyterhub" if this address may have your '
            "JupyterHub token."
        )
    return made


def without_blanks(given: Any, key: str) -> Any:
    """An address as it was copied, without what stands around it; None if dask-gateway may read it itself.

    `given`: the argument; `key`: where the configuration has it.
    """
    said = given
    if given is None:
        with contextlib.suppress(KeyError, IndexError, ValueError):  # which dask-gateway will raise
            said = format_template(dask.config.get(f"gateway.{key}", None))
    return said.strip() if isinstance(said, str) and said != said.strip() else given


def check_address(address: str | None) -> None:
    """Refuse to go on without an address, or with one to which nothing could be sent, in words that help."""
    given = address if address is not None else dask.config.get("gateway.address", None)
    if given is None:
        raise ValueError(
            "No dask-gateway address provided or found in configuration: write "
            'HTCGateway("https://gateway.example", auth=BasicAuth("me", "password")), with the address that '
            "your site names, or set gateway.address in a file such as ~/.config/dask/gateway.yaml"
        )
    if not isinstance(given, str):
        raise TypeError(
            f"The address is a text such as 'https://gateway.example', and no {type(given).__name__}"
        )
    given = given.strip()
    if given.startswith(("/", "{")):
        return
    whose = "The address" if address is not None else "configuration gateway.address"
    scheme, has_scheme, _ = given.partition("://")
    shown = given[len(scheme + has_scheme) if has_scheme else 0 :].rpartition("@")[2]
    write = f"write 'https://{shown}' or 'http://{shown}'"
    if not has_scheme:
        raise ValueError(f"{whose} {shown!r} has no scheme: {write}")
    if scheme.lower() not in ("http", "https"):
        raise ValueError(f"{whose} has the scheme {scheme!r:.80}: {write}")


def _check_kind(auth: Any) -> None:
    """Refuse what is no kind of login. No message has it: it may be a password."""
    if isinstance(auth, str) and auth not in _KINDS and not _CLASS.fullmatch(auth):
        raise ValueError(f"auth is a text that names no kind of login ({', '.join(_KINDS)}): {_SAY_BASIC}")
    if not (auth is None or callable(auth) or isinstance(auth, (str, GatewayAuth))):
        raise TypeError(f"auth is a {type(auth).__name__}, and that is no kind of login: {_SAY_BASIC}")


def _made(auth: Any) -> Any:
    _check_kind(auth)
    if not isinstance(auth, GatewayAuth):
        _check_templates()
    try:
        return get_auth(auth)
    except ImportError as error:
        if auth is None:  # the configuration's, which is no secret
            raise
        raise ValueError(
            f"auth is a text that names no class that can be imported ({type(error).__name__}): {_SAY_BASIC}"
        ) from None
    except (KeyError, OSError) as error:
        # getpass.getuser() in a container whose user id has no name
        raise ValueError(
            "The gateway wants a user name, and this process has none "
            f"(user id {os.getuid()} is not in the password database). "
            "Give one: HTCGateway(auth=BasicAuth(username=..., password=...)), or set the variable USER."
        ) from error


def _check_templates() -> None:
    for name, template in (dask.config.get("gateway.auth.kwargs", None) or {}).items():
        try:
            format_template(template)
        except (KeyError, IndexError, ValueError, AttributeError) as error:
            why = f"there is no environment variable {error}" if isinstance(error, KeyError) else str(error)
            raise ValueError(f"configuration gateway.auth.kwargs.{name} cannot be filled in: {why}") from None


def _belongs_elsewhere(made: GatewayAuth, asked: bool) -> bool:
    """Whether this credential is not for an address that is not configured. `asked`: its kind was named."""
    if isinstance(made, JupyterHubAuth):
        return not asked
    if _holds_hub_token(made):
        return True
    kwargs = dask.config.get("gateway.auth.kwargs", None) or {}
    secret = bool(kwargs.keys() - {"username"}) or (type(made) not in _HARMLESS and not asked)
    # A password without any address beside it can only be for the one that is typed.
    return secret and bool(_configured())


def _holds_hub_token(made: GatewayAuth) -> bool:
    """Also as a password, or in a site's own kind of login."""
    token = os.environ.get(_HUB_VARIABLE)
    if not token:
        return False
    return any(token in value for value in vars(made).values() if isinstance(value, str))


def _is_configured(address: str) -> bool:
    return any(_is_same(address, configured) for configured in _configured())


def _configured() -> list[str]:
    """The gateway's addresses in the configuration."""
    found = []
    for key in ("address", "public-address"):
        try:
            address = format_template(dask.config.get(f"gateway.{key}", None))
        except (KeyError, IndexError, ValueError):  # names a variable that is not set here
            continue
        if isinstance(address, str) and address:
            found.append(address.strip())
    return found


def _configured_text() -> str:
    return ", ".join(map(without_credentials, _configured())) or "which names none"


def without_credentials(address: str) -> str:
    """The address for messages: a user and password that may stand in it are left out."""
    try:
        return str(yarl.URL(address).with_user(None))
    except ValueError:
        return address.rpartition("@")[2]


def _is_same(address: str, configured: str) -> bool:
    """The same scheme, host, port and path, or the API there: below it, and beside it, are others' servers.

    The gateway's proxy serves each cluster's dashboard below its own root (`/clusters/…`). The library that
    sends the requests reads both addresses, so that nothing is one host here and another one there.
    """
    try:
        typed, meant = yarl.URL(address), yarl.URL(configured)
    except (TypeError, ValueError):
        return False
    # Without a host it is a path, such as public-address: /services/dask-gateway
    same = (typed.scheme, typed.host, typed.port) == (meant.scheme, meant.host, meant.port)
    if not same or not typed.host or typed.raw_query_string or typed.raw_fragment:
        return False
    root = meant.raw_path.rstrip("/")
    return typed.raw_path.removesuffix("/") in {f"{root}{api}" for api in _API}


def _on_unconfigured_hub() -> bool:
    if not os.environ.get(_HUB_VARIABLE):
        return False
    if dask.config.get("gateway.auth.type", None) != _DEFAULT_TYPE or dask.config.get(
        "gateway.auth.kwargs", None
    ):
        return False
    # dask-gateway's default is "basic" too: only the files and the environment tell whether a site said so.
    return dask.config.get("gateway.auth.type", None, config=dask.config.collect()) is None
