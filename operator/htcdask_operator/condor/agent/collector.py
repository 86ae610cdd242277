"""What a pool's collector knows, by htcondor2. Several collectors of a pool have commas between.

Used by `schedd`. Raises `errors.CondorError`; a failed question is no empty answer.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import htcondor2

from htcdask_operator.condor.agent import error_texts
from htcdask_operator.condor.errors import CondorError, CondorRefused, CondorUnreachable

_COLLECTOR_PORT: Final = 9618
_CONNECT_SECONDS: Final = 5
_MOST_TOLD: Final = 3


def advertised(address: str, kind: str, constraint: str, attributes: Sequence[str] = ()) -> list[Any]:
    """The ads of this kind (of `htcondor2.AdType`) that match, with these attributes; none named: all."""
    try:
        which = getattr(htcondor2.AdType, kind)
        return list(htcondor2.Collector(address).query(which, constraint, list(attributes) or None))
    except htcondor2.HTCondorException as error:
        raise _failure(address, error_texts.of(error)) from error


def schedds(address: str) -> list[Any]:
    """Where each of the pool's schedds is."""
    try:
        return list(htcondor2.Collector(address).locateAll(htcondor2.DaemonType.Schedd))
    except htcondor2.HTCondorException as error:
        raise _failure(address, error_texts.of(error)) from error


def _failure(address: str, text: str) -> CondorError:
    """HTCondor says the same whether nobody is there or our token was refused; a connection tells."""
    failures = [_no_connection(address) for address in address.split(",")]
    if None not in failures:
        why = "; ".join(str(error) for error in failures[:_MOST_TOLD])
        return CondorUnreachable(
            f"no connection to the collector {address} ({why}): is that the collector's address, "
            "and may this network reach it?"
        )
    return CondorRefused(
        f"the collector {address} takes connections and tells nothing ({text}): it is down behind "
        "its shared port, or does not accept the operator's token, which must be signed by this pool and "
        "not be expired"
    )


def _no_connection(address: str) -> Exception | None:
    """Why nobody can connect to this collector; None: somebody takes connections there."""
    place = urlsplit(f"//{address}")
    try:
        port = place.port or _COLLECTOR_PORT
        socket.create_connection((place.hostname or "", port), timeout=_CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        return error
    return None
