"""Names for new workers: at most 12 characters, never all digits, never used twice in a cluster.

Called by `pools.submit`. Without dice: the pool gives the first letter, the time of the decision
(milliseconds) the next eight characters, and a slot the last three: the lowest that no name in sight has.
What a worker printed lies on the access point in a file of its slot, so there are no more files than there
were workers at a time: a file is written over by a later worker, never by one that is there, and not while
its log is wanted.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Collection
from typing import Final

from htcdask_operator.core.model import PoolUid, WorkerName

LARGEST_BATCH: Final = 10_000  # names for one submit; the rest comes with the next plan
_SLOT: Final = 3  # characters
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_DIGITS: Final = "0123456789" + _LETTERS


def new_names(pool: PoolUid, count: int, taken: Collection[WorkerName], now: float) -> tuple[WorkerName, ...]:
    """`count` names that are not in `taken`."""
    letter = _LETTERS[hashlib.sha256(pool.encode()).digest()[0] % len(_LETTERS)]
    stem = letter + base36(max(0, int(now * 1000)), 8)
    used = {_slot(name) for name in taken}
    free = (slot for slot in map(_numbered, range(len(_DIGITS) ** _SLOT)) if slot not in used)
    return tuple(stem + slot for slot in itertools.islice(free, min(count, LARGEST_BATCH)))


def output(name: WorkerName) -> str:
    """The file in the anchor's directory with what the worker of this name printed."""
    return "out." + re.sub(r"[^A-Za-z0-9_-]", "_", _slot(name))


def _slot(name: WorkerName) -> str:
    return name[-_SLOT:]


def _numbered(index: int) -> str:
    return base36(index, _SLOT)


def base36(number: int, width: int) -> str:
    """The last `width` digits of a number, in base 36."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
