"""The numbers of `scale()` and `adapt()`, read before the gateway gets them.

Called by `_client`; pure. What dask-gateway takes is taken, and what it refuses is refused by the same kind
of error. Numbers that it takes, and by which a scheduler then goes wrong, are refused too.
"""

import math
import operator
import warnings
from typing import Any

from dask_gateway import GatewayWarning


def pool_size(name: str, value: Any) -> int:
    """The same of a pool, which dask-gateway does not have. True is another argument's value there, not 1."""
    if isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number of workers, got {value}")
    return worker_count(name, value)


def worker_count(name: str, value: Any) -> int:
    """`value` as a number of workers, also of numpy's kinds; ValueError names the argument."""
    try:
        count = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number of workers, got {value!r:.80}") from None
    if count < 0:
        raise ValueError(f"{name} must be a number of workers from 0, got {count}")
    return count


def read_bounds(minimum: Any, maximum: Any) -> tuple[int | None, int | None]:
    """Both bounds as the gateway wants them; None is none, and so is a maximum of infinity."""
    return _bound("minimum", minimum), _bound("maximum", None if maximum == math.inf else maximum)


def adaptive_bounds(minimum: Any, maximum: Any) -> tuple[int | None, int | None]:
    """The same, and a GatewayWarning if they do not fit each other."""
    low, high = read_bounds(minimum, maximum)
    if low is not None and high is not None and low > high:
        warnings.warn(
            GatewayWarning(f"adapt(minimum={low}, maximum={high}): the maximum holds, so {high} workers"),
            stacklevel=2,
        )
    return low, high


def _bound(name: str, value: Any) -> int | None:
    if value is None:
        return None
    return worker_count(name, int(value) if isinstance(value, float) and value.is_integer() else value)
