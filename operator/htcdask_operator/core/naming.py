"""Names for new workers: at most 12 characters, never all digits, never used twice in a cluster.

Called by `plan`. Without dice: the pool gives the first letter, the time of the decision (milliseconds) the
next eight characters, an index the last three; what was seen anywhere is passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from typing import Final

from htcdask_operator.core.model import PoolUid, WorkerName

LARGEST_BATCH: Final = 10_000  # names for one submit; the rest comes with the next plan
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789" + _LETTERS


def new_names(pool: PoolUid, count: int, taken: Collection[WorkerName], now: float) -> tuple[WorkerName, ...]:
    """`count` names that are not in `taken`."""
    letter = _LETTERS[hashlib.sha256(pool.encode()).digest()[0] % len(_LETTERS)]
    stem = letter + base36(max(0, int(now * 1000)), 8)
    names: list[WorkerName] = []
    index = 0
    while len(names) < min(count, LARGEST_BATCH):
        name = stem + base36(index, 3)
        if name not in taken:
            names.append(name)
        index += 1
    return tuple(names)


def base36(number: int, width: int) -> str:
    """The last `width` digits of a number, in base 36."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
