"""Many histories in two processes, and the shortest story of the first that breaks a promise.

Used by the tests, with seeds of their own, and by `python -m tests.simulation`, with a fresh one.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed

from hypothesis import HealthCheck, Phase, given, seed, settings

from htcdask_operator.core.plan import plan
from htcdask_operator.reconcile.cycle import Planner
from tests.simulation.chance import HISTORIES
from tests.simulation.history import happen
from tests.simulation.promises import Broken
from tests.simulation.steps import Step

BATCH = 250  # histories for one seed: hypothesis remembers all of a search
PROCESSES = 2


class _Short(BaseException):
    """A story of no more steps than was asked for. No Exception: hypothesis would look for a shorter one."""


def search(number: int, histories: int, planner: Planner = plan, *, enough: int = 0) -> str | None:
    """The story of the shortest history among so many, drawn from this seed, that breaks a promise.

    `enough`: of one of so many steps nobody looks for a shorter one.
    """

    @seed(number)
    @settings(
        max_examples=histories,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(HISTORIES)
    def look(steps: list[Step]) -> None:
        try:
            happen(steps, planner)
        except Broken as broken:
            if len(steps) < enough:  # its last line says that nothing fails any more
                raise _Short(str(broken)) from None
            raise

    try:
        look()
    except (Broken, _Short) as broken:
        return str(broken)
    return None


def processes() -> ProcessPoolExecutor:
    """Fresh ones: pytest's threads and loops stay where they are."""
    return ProcessPoolExecutor(PROCESSES, mp_context=multiprocessing.get_context("spawn"))


def search_all(
    first_seed: int, histories: int, tell: Callable[[int, float], None] = lambda done, seconds: None
) -> str | None:
    """The same for many seeds at once; `tell` hears how many are done, and in how many seconds."""
    began, done = time.monotonic(), 0
    batches = {
        first_seed + number: min(BATCH, histories - number * BATCH)
        for number in range(-(-histories // BATCH))
    }
    with processes() as pool:
        looks = {pool.submit(search, number, count): (number, count) for number, count in batches.items()}
        for look in as_completed(looks):
            number, count = looks[look]
            story = look.result()
            if story is not None:
                pool.shutdown(cancel_futures=True)
                return f"seed {number}: {story}"
            done += count
            tell(done, time.monotonic() - began)
    return None
