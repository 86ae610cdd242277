"""Sizes and times as people write them: Dask's words, HTCondor's, and Kubernetes' quantities.

Called by `keywords`; pure. What is none of these is left as it is, for the template's own rule to refuse.
"""

import math
import numbers
import operator
import re
from datetime import timedelta
from typing import Any, Final

from dask.utils import parse_bytes as dask_bytes
from dask.utils import parse_timedelta

from htcdask_api import parse_bytes

_WORDS: Final = re.compile(
    r"\s*(?P<number>[0-9]{1,16}(\.[0-9]{0,9})?)\s*(?P<unit>[kmgtp]i?b?)?\s*", re.IGNORECASE
)
_DIGITS: Final = re.compile(r"\s*[0-9]{1,16}\s*", re.ASCII)
_LEAST_MIB: Final = 64  # of a worker
_MIB_OF_CONDOR: Final = {"": 1, "k": 2**-10, "m": 1, "g": 2**10, "t": 2**20, "p": 2**30}


def number(value: Any) -> Any:
    """A number of any kind, such as numpy's, as Python's own. What is none, or a boolean, is itself."""
    if isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else value


def whole(value: Any) -> Any:
    """The same, and of a text of digits its number."""
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else number(value)


def quantity(keyword: str, value: Any) -> Any:
    """A number is GiB, as in the older clients; "8GB" is Dask's (10⁹ bytes each); a quantity is itself."""
    if isinstance(value, str):
        return _quantity_of_words(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value
    if not math.isfinite(value):
        raise ValueError(f"{keyword} must be a finite number of GiB, got {value!r}")
    return f"{round(value * 1024)}Mi"


def condor_quantity(value: Any) -> Any:
    """What `request_memory = value` means to HTCondor: MiB, and units of 1024, so "32GB" is 32 GiB."""
    value = number(value)
    match = _WORDS.fullmatch(str(value)) if isinstance(value, (int, float, str)) else None
    if match is None or isinstance(value, bool):
        return value
    if not match["unit"] and float(match["number"]) < _LEAST_MIB:
        raise ValueError(f"memory={value!r} is MiB, as in request_memory: write '{match['number']}GB'")
    return f"{math.ceil(float(match['number']) * _MIB_OF_CONDOR[(match['unit'] or '').lower()[:1]])}Mi"


def gib(text: str) -> float:
    """A size in words as a number of GiB, for a cluster option that is a number; ValueError if it is none."""
    return parse_bytes(_quantity_of_words(text)) / 2**30


def seconds(keyword: str, value: Any) -> Any:
    """Whole seconds of a number, of "1h" or "90 minutes", or of a timedelta."""
    if isinstance(value, (str, timedelta)):
        try:
            return math.floor(parse_timedelta(value))
        except (KeyError, ValueError, OverflowError):
            raise ValueError(
                f"{keyword} must be a number of seconds or a time such as '1h' or '90m', got {value!r:.80}"
            ) from None
    return value


def _quantity_of_words(text: str) -> str:
    try:
        parse_bytes(text)
    except ValueError:
        match = _WORDS.fullmatch(text)
        if match is None or match["unit"] is None:
            return text.strip()
        return f"{math.ceil(dask_bytes(match['number'] + match['unit']) / 2**20)}Mi"
    return text
