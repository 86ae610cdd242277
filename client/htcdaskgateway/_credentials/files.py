"""The notebook's credential files: which they are, and what is in them. No message says what is in them."""

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

X509: Final = "X509_USER_PROXY"
BEARER_TOKEN: Final = "BEARER_TOKEN_FILE"  # noqa: S105 (a variable's name)
_LARGEST: Final = 64 * 1024  # bytes; a proxy with its chain has ten thousand
_BEGINNING: Final = b"-----BEGIN CERTIFICATE-----"

_TOKEN: Final = re.compile(
    r"[-\w]+\.[-\w]+\.[-\w]+"
)  # a JSON Web Token: three parts, and no file's usual name

AnyPath = str | os.PathLike[str]


def choose(
    x509: AnyPath | None, bearer_token: AnyPath | None, environment: Mapping[str, str]
) -> dict[str, Path]:
    """The files, by the variable that names each: those that are given, or else all that the notebook has.

    Without arguments these are what the two variables name, and then where the Globus tools and WLCG's rules
    for bearer tokens look. ValueError if there is none.
    """
    given = {X509: x509, BEARER_TOKEN: bearer_token}
    # Absolute: they are read again and again, wherever the notebook's own folder is then.
    chosen = {
        variable: Path(path).expanduser().absolute() for variable, path in given.items() if path is not None
    }
    if chosen:
        return chosen
    user = os.getuid()
    places = {X509: [f"/tmp/x509up_u{user}"], BEARER_TOKEN: [f"/tmp/bt_u{user}"]}  # noqa: S108 (their places)
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        places[BEARER_TOKEN].insert(0, f"{runtime}/bt_u{user}")
    for variable, usual in places.items():
        if named := environment.get(variable):
            chosen[variable] = Path(named)
        elif found := next((path for path in usual if _is_ours(path)), None):
            chosen[variable] = Path(found)
    if not chosen:
        looked = ", ".join([X509, BEARER_TOKEN, *places[X509], *places[BEARER_TOKEN]])
        raise ValueError(
            f"send_credentials found no credential (looked at {looked}): make one, or give its file as "
            "x509= or bearer_token="
        )
    return chosen


def read(paths: Mapping[str, Path]) -> dict[str, bytes]:
    """What is in each file. OSError or ValueError names a file that cannot be one. Waits for no pipe."""
    return {variable: _read(variable, path) for variable, path in paths.items()}


def _is_ours(path: str) -> bool:
    """Anybody may put a file into /tmp: what belongs to somebody else is no credential of this user."""
    try:
        return os.stat(path).st_uid == os.getuid()  # noqa: PTH116
    except OSError:
        return False


def _read(variable: str, path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if variable == BEARER_TOKEN and _TOKEN.fullmatch(path.name):
            raise ValueError(
                "bearer_token is the name of a file that holds the token, not the token"
            ) from None
        kept = "x509" if variable == X509 else "bearer_token"
        raise type(error)(error.errno, f"{kept} of send_credentials cannot be read", str(path)) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(f"{path} is not a file: give the file of a credential to send_credentials")
    with os.fdopen(handle, "rb") as file:  # which opens no folder
        content = file.read(_LARGEST + 1)
    if not content.strip() or len(content) > _LARGEST:
        raise ValueError(f"{path} is empty, or has more than {_LARGEST} bytes: it is not a credential")
    if variable == X509 and _BEGINNING not in content:
        raise ValueError(f"{path} is not an X.509 proxy: it holds no certificate (PEM)")
    if variable == BEARER_TOKEN and len(content.split()) != 1:
        raise ValueError(f"{path} is not a bearer token: it holds more than one word")
    return content
