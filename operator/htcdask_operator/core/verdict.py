"""Whether two looks at the slots come to the same: by every word that people read (`status/slots`).

Used by `memory`, which tells what was found as it was until it comes to something else. Counts of slots and
users move by themselves, and so do free disk and such, a little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from htcdask_operator.core.model import Analysis, Clause

_TOLD: Final = 2  # of the rarest
_MOVES: Final = 0.1  # of a number, by itself


@dataclass(frozen=True, slots=True, eq=False)
class _About:
    """A number that is the same until it has moved too far from what was told: rounded, it would flap."""

    number: float

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _About):
            return NotImplemented
        largest = max(abs(self.number), abs(other.number))
        return abs(self.number - other.number) <= _MOVES * largest

    __hash__ = None  # type: ignore[assignment]  # what equals a third is not equal to each other


def of(analysis: Analysis) -> tuple[object, ...]:
    """Equal for two analyses that are told in the same words, but for counts."""
    slots = (analysis.slots, analysis.fit, analysis.take, analysis.room, analysis.refuse, analysis.drain)
    return (
        *(count > 0 for count in (*slots, analysis.broken, analysis.ahead or 0, analysis.earlier or 0)),
        *(count == analysis.looked_at for count in (analysis.refuse, analysis.drain)),
        analysis.looked_at < analysis.fit,
        *(count is None for count in (analysis.ahead, analysis.quiet, analysis.limit_used)),
        *(analysis.start, analysis.rule, analysis.drain_reason, analysis.broken_slot, analysis.limit),
        *(analysis.group, _shown(analysis.quota), analysis.reached, analysis.negotiators == 0),
        *((_clause(clause), clause.undefined == analysis.slots) for clause in told(analysis)),
    )


def told(analysis: Analysis) -> tuple[Clause, ...]:
    """Which clauses people are told of: those that no slot meets; or the one without which most would fit; or
    the rarest, where two are missing everywhere."""
    unmet = tuple(clause for clause in analysis.clauses if not clause.met)
    if unmet or analysis.fit or not analysis.clauses:
        return unmet
    best = max(analysis.clauses, key=lambda clause: clause.without)
    return (best,) if best.without else tuple(sorted(analysis.clauses, key=lambda each: each.met)[:_TOLD])


def _clause(clause: Clause) -> tuple[object, ...]:
    """Of texts, the order is how common they are, and moves."""
    texts = frozenset(value for value in clause.nearest if isinstance(value, str))
    others = tuple(_shown(value) for value in clause.nearest if not isinstance(value, str))
    return (clause.text, _shown(clause.asked), texts, others)


def _shown(value: str | float | None) -> object:
    return _About(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
