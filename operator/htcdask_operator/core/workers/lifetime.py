"""For how long a worker works before it retires by itself, short of the time that its job may run.

Used by `descriptions` and `succession`; the wrapper (condor/worker/worker.sh) works out the same from a name.
Workers that started together retire one after the other, evenly, within a tenth of their lifetime, and of a
short one within two minutes: whoever retires needs another one to hand its data to, and of two that retire at
once each would be the other's.
"""

from __future__ import annotations

from typing import Final

_STAGGER_SHARE: Final = 20
_STAGGER_LIMIT: Final = 300
_LEAST_STAGGER: Final = 60  # a third of the shortest lifetime at the most
# The golden ratio: what stands behind the point of its multiples is spread evenly, however many they are.
_STEP, _WHOLE = 618_034, 1_000_000
_SLOT: Final = 3  # characters of a name's slot, the last ones


def of_runtime(max_runtime: int | None) -> int | None:
    """A worker ends by itself, gracefully, a tenth (one to ten minutes) before HTCondor would end it.

    Sooner where the stagger is a larger part of a life: the last one has as much time left as in a long one.
    """
    if max_runtime is None:
        return None
    usual = max_runtime - max(60, min(600, max_runtime // 10))
    return usual - max(0, stagger(usual) - usual // _STAGGER_SHARE)


def stagger(lifetime: int) -> int:
    """So many seconds sooner or later, at the most, does one retire."""
    least = _LEAST_STAGGER if lifetime >= 3 * _LEAST_STAGGER else 0
    return max(least, min(lifetime // _STAGGER_SHARE, _STAGGER_LIMIT))


def of_worker(lifetime: int, name: str) -> int:
    """Seconds from the start of the job to the retirement of the worker of this name."""
    slot = name[-_SLOT:]
    number = int(slot, 36) if slot.isascii() and slot.isalnum() else 0
    most = stagger(lifetime)
    return lifetime - most + 2 * most * (number * _STEP % _WHOLE) // _WHOLE
