"""The IDTOKEN: read from where it is mounted, checked, and copied to where HTCondor accepts it.

HTCondor silently ignores a token file that is not owned by the process with mode 0600, which a mounted Secret
never is. Used by `client`, which restarts its process when `read` returns something new: an HTCondor client
keeps its sessions, so an identity cannot change inside a process.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from datetime import UTC, datetime
from pathlib import Path

from htcdask_operator import descriptors
from htcdask_operator.condor.errors import CondorError, CondorRefused, CondorUnreachable


def read(path: Path, now: float) -> str:
    """The token in the file `path`; CondorRefused says why it cannot be used."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise CondorRefused(
            f"the HTCondor token file {path} does not exist: put an IDTOKEN (condor_token_create on the "
            "access point) into the Secret that the operator mounts there"
        ) from error
    except OSError as error:
        raise _because(error, f"the HTCondor token file {path} cannot be read") from error
    except UnicodeDecodeError as error:
        raise CondorRefused(
            f"the HTCondor token file {path} does not hold an IDTOKEN but other bytes"
        ) from error
    if not token:
        raise CondorRefused(f"the HTCondor token file {path} is empty: put an IDTOKEN into its Secret")
    expires = _claims(path, token).get("exp")
    if isinstance(expires, int | float) and expires <= now:
        raise CondorRefused(
            f"the HTCondor token in {path} expired at {_when(expires)}: create a new one "
            "(condor_token_create on the access point) and replace the Secret; the operator picks it up by "
            "itself"
        )
    return token


def write(folder: Path, token: str) -> None:
    """Make `token` the only one in `folder`, as HTCondor wants its files."""
    draft = folder.with_name(f".{folder.name}.new")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(token + "\n")
        draft.replace(folder / "token")
    except OSError as error:
        raise _because(error, f"the HTCondor token cannot be copied into {folder}") from error


def _because(error: OSError, what: str) -> CondorError:
    ours = descriptors.exhausted(error)
    if ours is not None:  # nothing is wrong with the token
        return CondorUnreachable(f"{what}: {ours}")
    return CondorRefused(f"{what}: {error.strerror}")


def _when(expires: float) -> str:
    try:
        return datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # a number that is no time
        return "a time long ago"


def _claims(path: Path, token: str) -> dict[str, object]:
    """What the token says of itself. Only the access point can tell whether it is true."""
    parts = token.split(".")
    try:
        padded = parts[1] + "=" * (-len(parts[1]) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
        if len(parts) != 3 or not isinstance(claims, dict):
            raise ValueError
    except (ValueError, IndexError, binascii.Error, RecursionError) as error:
        raise CondorRefused(
            f"the HTCondor token file {path} does not hold an IDTOKEN (three parts with dots between them)"
        ) from error
    return claims
