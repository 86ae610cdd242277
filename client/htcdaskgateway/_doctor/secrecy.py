"""No password and no token in what others say: a server may send back what it was sent.

Used where foreign words come in (`http`, and `Case.masked`), and not on our own sentences: a password that is
an ordinary word would be told by its absence.
"""

import base64
from collections.abc import Collection, Iterator
from typing import Final

from dask_gateway.auth import GatewayAuth

_SHORTEST: Final = 3  # characters; less is in every second word
_NO_SECRETS: Final = frozenset({"username"})
_MASK: Final = "[secret]"


def secrets_of(auth: GatewayAuth) -> frozenset[str]:
    """Each text that this credential holds, and as it is sent."""
    return frozenset(secret for secret in _secrets(auth) if len(secret) >= _SHORTEST)


def _secrets(auth: GatewayAuth) -> Iterator[str]:
    held = {name: value for name, value in vars(auth).items() if isinstance(value, str)}
    for name, value in held.items():
        if name.lstrip("_") not in _NO_SECRETS:
            yield value
            yield base64.b64encode(f"{held.get('username', '')}:{value}".encode()).decode()


def masked(text: str, secrets: Collection[str]) -> str:
    """`text` without them."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text
