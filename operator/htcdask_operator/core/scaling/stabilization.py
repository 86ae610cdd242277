"""N, as it is acted on: at once, unless the scheduler keeps changing its mind.

Called by `plan` once for each cluster, and once for each pool's part of it: what people ask of a pool, such
as its `replicas`, can be changed as often. User code can make a scheduler ask for 1000, 0, 1000 without end,
and each turn would be a thousand jobs submitted or removed. So turns count, not steps in one direction: an
adapt() that grows or shrinks is followed at each step.

    up to FREE_TURNS in WINDOW_SECONDS          -> what is asked for now
    more, and it has stood for STILL_SECONDS    -> what is asked for now
    more, and it never stands                   -> each PATIENCE_SECONDS the least of what was asked for
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

FREE_TURNS: Final = 4
WINDOW_SECONDS: Final = 60.0
STILL_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What was heard of one scheduler, as far as the next step depends on it."""

    heard: int
    since: float  # so long has it been the same
    acted_on: int
    rising: bool | None = None  # the direction of its last change
    turns: tuple[float, ...] = ()  # when it changed its direction: the latest
    held_since: float | None = None  # since when it is waited for a number that stands
    least: int = 0  # that was heard since then

    @property
    def recheck_at(self) -> float | None:
        """When time alone changes what is acted on."""
        if self.held_since is None:
            return None
        return min(self.since + STILL_SECONDS, self.held_since + PATIENCE_SECONDS)


def between(followed: Demand, live: int) -> int:
    """How many of `live` workers there should be: none comes or goes but for both numbers."""
    least, most = sorted((followed.heard, followed.acted_on))
    return min(max(live, least), most)


def follow(before: Demand | None, heard: int, now: float) -> Demand:
    """What is acted on, now that the scheduler asks for `heard`."""
    if before is None:
        return Demand(heard, now, heard)
    after = _listen(before, heard, now)
    stands = now >= after.since + STILL_SECONDS
    if len(after.turns) <= FREE_TURNS or stands:
        if after.acted_on == heard and after.held_since is None:  # as nearly always: no copy
            return after
        return replace(after, acted_on=heard, held_since=None, least=0)
    if before.held_since is None:
        return replace(after, held_since=now, least=heard)
    least = min(before.least, heard)
    if now >= before.held_since + PATIENCE_SECONDS:
        return replace(after, acted_on=least, held_since=now, least=heard)
    return replace(after, least=least)


def _listen(before: Demand, heard: int, now: float) -> Demand:
    turns = tuple(at for at in before.turns if now - at < WINDOW_SECONDS)
    if heard == before.heard:
        return before if turns == before.turns else replace(before, turns=turns)
    rising = heard > before.heard
    if before.rising not in (None, rising):
        turns = (*turns, now)[-FREE_TURNS - 1 :]
    return replace(before, heard=heard, since=now, rising=rising, turns=turns)
