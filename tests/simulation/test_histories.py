"""Whatever happens, in whatever order: the operator keeps its promises (`promises`), and it converges."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.core import plan, setback
from htcdask_operator.core.token_bucket import Rate
from htcdask_operator.core.workers import ledger
from htcdask_operator.reconcile import outcome
from tests.simulation.history import happen
from tests.simulation.promises import Broken
from tests.simulation.search import search_all
from tests.simulation.steps import DELETED, NewPool, Scale, TouchPool
from tests.simulation.trouble import Bad, NewSettings, Wait
from tests.simulation.world import NO_ANCHOR, NO_PLAN, NO_SECRET

HISTORIES = 1000
SEED = 1  # the same histories every time; `make simulate` looks at others


def test_a_thousand_histories_break_no_promise() -> None:
    story = search_all(SEED, HISTORIES)
    assert story is None, story


def ends_beside(trouble: str) -> None:
    """A pool is deleted while the older one of its cluster needs a new anchor, or cannot be planned."""
    happen(
        [
            Scale("one", 5),
            NewPool("one", "manual", 2),
            Wait(60),
            Bad(trouble, 400),
            NewSettings(20_000),
            Wait(20),
            TouchPool("one", "manual", DELETED),
            Wait(200),
        ]
    )


@pytest.mark.parametrize("trouble", [NO_SECRET, NO_ANCHOR, NO_PLAN])
def test_a_deleted_pool_ends_beside_one_that_fails(trouble: str) -> None:
    ends_beside(trouble)


@pytest.mark.parametrize("trouble", [NO_SECRET, NO_ANCHOR])
def test_it_would_be_told_if_one_pool_hindered_another(monkeypatch: pytest.MonkeyPatch, trouble: str) -> None:
    monkeypatch.setattr(outcome.Outcome, "hinders", lambda its, action: bool(its.setbacks))
    monkeypatch.setattr(plan, "_turns", lambda looked, observed: lambda action: ())
    monkeypatch.setattr(setback, "in_next_cycle", lambda last, now: replace(last, waits=False))
    # Tries without a pause would spend the older pool's submits, and then it would hinder nobody.
    monkeypatch.setattr(ledger, "pace", lambda replicas: Rate(10_000, 0.1))
    with pytest.raises(Broken, match="ends come first"):
        ends_beside(trouble)
