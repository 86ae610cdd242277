"""Kubernetes quantities ("2Gi", "1500M", "4e9") as whole bytes.

Called by the models here; pure, and as strict as the API server: "8GB" is not a quantity.
"""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Final

_SCALE: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}
_QUANTITY: Final = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,2})|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)"
)


def parse_bytes(text: str) -> int:
    """The bytes that `text` stands for, rounded up; ValueError says what a quantity looks like."""
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity: write 512Mi, 2Gi or 8G")
    number = Decimal(match["number"])
    if match["exponent"] is not None:
        number = number.scaleb(int(match["exponent"]))
    else:
        number *= _SCALE[match["suffix"] or ""]
    return int(number.to_integral_value(rounding=ROUND_CEILING))
