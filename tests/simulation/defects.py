"""Known mistakes, planted one at a time: what a simulation is worth is what it finds of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from htcdask_operator.core import orphans
from htcdask_operator.core.actions import RemoveFinalizer
from htcdask_operator.core.checks import chains, preconditions
from htcdask_operator.core.model import Job, SchedulerWorkers, Unnamed, Unseen
from htcdask_operator.core.pool_state import PoolState, Sight
from htcdask_operator.core.pools import cluster, finalize, memory_request, steps
from htcdask_operator.core.scaling import scale_down, scale_scheduler
from htcdask_operator.core.scaling.limits import SubmitBudget
from htcdask_operator.core.submit import worker_names
from htcdask_operator.core.token_bucket import Rate
from htcdask_operator.core.workers import failure_policy, ledger, machines, states, succession
from htcdask_operator.core.workers.out_of_memory import Most
from htcdask_operator.kube import clusters
from htcdask_operator.reconcile import cycle, observe
from htcdask_operator.watch import schedulers
from tests.simulation.search import search

HISTORIES = 250
# Each where those before found nothing. What one seed finds is chance, and changes with the code: a mistake
# that half of them find is found by one of thirteen.
SEEDS = (1, 3, 4, 6, 2, 5, 7, 8, 9, 10, 11, 12, 13)
LINES = 12  # of a story
Plant = Callable[[pytest.MonkeyPatch], None]


def ignore_the_budget(patch: pytest.MonkeyPatch) -> None:
    """Every pool submits what it wants."""
    patch.setattr(cluster, "submit_budget", lambda looked, observed, policy: SubmitBudget(1000))


def remove_busy_workers(patch: pytest.MonkeyPatch) -> None:
    """Surplus is surplus."""
    surplus = scale_down.surplus

    def anybody(workers: Any, desired: int, busy: Any, *, scheduler_knows: bool) -> scale_down.Surplus:
        return surplus(workers, desired, (), scheduler_knows=scheduler_knows)

    patch.setattr(scale_down, "surplus", anybody)


def release_with_jobs_left(patch: pytest.MonkeyPatch) -> None:
    """A deleted pool goes as soon as its jobs were told to."""
    end = finalize.of_pool

    def at_once(state: PoolState) -> Any:
        decided = end(state)
        return replace(decided, actions=(*decided.actions, RemoveFinalizer(state.uid)))

    patch.setattr(finalize, "of_pool", at_once)


def leave_what_was_told(patch: pytest.MonkeyPatch) -> None:
    """A scheduler wants for ever what it was told for Manual pools that are gone."""
    decide = scale_scheduler.decide

    def for_manual_pools(pools: Any, *arguments: Any) -> scale_scheduler.Verdict:
        has_any = any(pool.spec.scaling == "Manual" for pool in pools)
        return decide(pools, *arguments) if has_any else scale_scheduler.Verdict()

    patch.setattr(scale_scheduler, "decide", for_manual_pools)


def keep_what_was_told_to_itself(patch: pytest.MonkeyPatch) -> None:
    """The next operator is not told what this one told a scheduler."""
    patch.setattr(scale_scheduler, "read", lambda statuses, replicas, now: None)


def guess_who_asked(patch: pytest.MonkeyPatch) -> None:
    """A number of which nobody says whose it is."""
    patch.setattr(clusters, "_asked", lambda value, wanted: (None, ""))


def take_unseen_for_empty(patch: pytest.MonkeyPatch) -> None:
    """No answer, no jobs."""
    asked = observe.ask_queue

    async def ask(*arguments: Any, **options: Any) -> tuple[Job, ...]:
        jobs = await asked(*arguments, **options)
        return () if isinstance(jobs, Unseen) else jobs

    patch.setattr(cycle, "ask_queue", ask)
    patch.setattr(observe, "ask_queue", ask)


def take_unnamed_for_nobody(patch: pytest.MonkeyPatch) -> None:
    """A scheduler that names no worker has none."""
    asked = observe.ask_scheduler

    async def ask(*arguments: Any) -> Any:
        answer = await asked(*arguments)
        return SchedulerWorkers() if isinstance(answer, Unnamed) else answer

    patch.setattr(observe, "ask_scheduler", ask)
    patch.setattr(schedulers, "ask_scheduler", ask)


def use_names_again(patch: pytest.MonkeyPatch) -> None:
    """The first names that nobody has now."""

    def names(pool: str, count: int, taken: Any, now: float) -> tuple[str, ...]:
        free = (f"w{number}" for number in range(1000) if f"w{number}" not in taken)
        return tuple(name for name, _ in zip(free, range(count), strict=False))

    patch.setattr(worker_names, "new_names", names)


def leave_orphans(patch: pytest.MonkeyPatch) -> None:
    """Nobody sweeps."""
    patch.setattr(orphans, "removal", lambda jobs, there, identity: None)


def remove_the_anchor_with_the_workers(patch: pytest.MonkeyPatch) -> None:
    """All jobs of a pool at once."""

    def everything(state: Sight, why: str, **_: Any) -> list[Any]:
        return [steps.remove(state.jobs, why)] if state.jobs else []

    patch.setattr(finalize, "_remove_all", everything)


def submit_without_a_finalizer(patch: pytest.MonkeyPatch) -> None:
    """It will be there some time."""
    chain = tuple(check for check in chains.MOMENT if check is not preconditions.pool_is_not_finalized)
    patch.setattr(chains, "MOMENT", chain)
    patch.setattr(steps, "STEPS", tuple(step for step in steps.STEPS if step is not steps.add_finalizer))


def remove_one_too_many(patch: pytest.MonkeyPatch) -> None:
    """And submit another one in its place, for ever."""
    surplus = scale_down.surplus

    def generous(workers: Any, desired: int, busy: Any, *, scheduler_knows: bool) -> scale_down.Surplus:
        return surplus(workers, desired - 1, busy, scheduler_knows=scheduler_knows)

    patch.setattr(scale_down, "surplus", generous)


def forget_who_was_held(patch: pytest.MonkeyPatch) -> None:
    """A job that a person holds is no worker."""
    patch.setattr(states, "LIVE", states.LIVE - {states.State.HELD})


def forget_who_is_being_sent(patch: pytest.MonkeyPatch) -> None:
    """A worker whose files are on their way is none yet."""
    patch.setattr(states, "LIVE", states.LIVE - {states.State.SUBMITTING})


def believe_that_nobody_else_removes(patch: pytest.MonkeyPatch) -> None:
    """What is gone has ended by itself."""
    after = ledger.after_answer

    def blind(*arguments: Any) -> tuple[ledger.Ledger, tuple[Job, ...]]:
        return after(*arguments)[0], ()

    patch.setattr(ledger, "after_answer", blind)
    patch.setattr(ledger, "pace", lambda replicas: Rate(10**6, 1.0))


def submit_without_a_pace(patch: pytest.MonkeyPatch) -> None:
    """Whoever is evicted is replaced."""
    patch.setattr(
        failure_policy, "of", lambda reason: failure_policy.FailurePolicy(penalty=False, pause=False)
    )
    patch.setattr(ledger, "pace", lambda replicas: Rate(10**6, 1.0))


def submit_what_was_not_shown_again(patch: pytest.MonkeyPatch) -> None:
    """What the queue does not show is not there."""
    patch.setattr(ledger, "accepted", lambda known, jobs, now, *, anchor: known)
    patch.setattr(ledger, "pace", lambda replicas: Rate(10**6, 1.0))


def let_successors_connect_at_once(patch: pytest.MonkeyPatch) -> None:
    """They are there sooner, and the scheduler has one too many."""
    patch.setattr(succession, "AFTER_SECONDS", -succession.LEAD)


def give_more_memory_than_the_profile_allows(patch: pytest.MonkeyPatch) -> None:
    """What was too little is half as much again, whoever says how much there may be."""
    patch.setattr(memory_request, "_most", lambda sight: Most(2**20, "nobody"))


def leave_who_is_suspended(patch: pytest.MonkeyPatch) -> None:
    """It will go on some day."""
    patch.setattr(
        states, "_suspended", lambda job, policy, now: states.Worker(job, states.State.SUSPENDED, "Suspended")
    )


def try_as_many_again(patch: pytest.MonkeyPatch) -> None:
    """A submit that was refused does not become smaller."""
    patch.setattr(ledger.Batch, "size", lambda batch, now: ledger.LARGEST_SUBMIT)


def avoid_no_machine(patch: pytest.MonkeyPatch) -> None:
    """A machine is as good as another."""
    patch.setattr(machines, "avoided", lambda before, pools, now: {})


def keep_who_is_outdated(patch: pytest.MonkeyPatch) -> None:
    """Who waits may wait, whatever its template."""
    chain = tuple(step for step in steps.STEPS if step is not steps.remove_outdated)
    patch.setattr(steps, "STEPS", chain)


def forgive_who_ends_after_a_minute(patch: pytest.MonkeyPatch) -> None:
    """A worker that ended with 0 was of use."""
    patch.setattr(ledger.Ledger, "owes_nothing", lambda its, job: True)


DEFECTS: Mapping[str, tuple[Plant, str]] = {
    plant.__name__: (plant, promise)
    for plant, promise in (
        (ignore_the_budget, "no more workers than wanted"),
        (remove_busy_workers, "no worker in the middle of a task"),
        (release_with_jobs_left, "what is not seen is not touched: a pool released with jobs"),
        (take_unseen_for_empty, "no pool goes before its jobs"),
        (take_unnamed_for_nobody, ""),
        (use_names_again, "no worker name twice"),
        (leave_what_was_told, "it comes to what is wanted"),
        (keep_what_was_told_to_itself, "it comes to what is wanted"),
        (guess_who_asked, "it comes to what is wanted"),
        (leave_orphans, "is left of a pool"),
        (remove_the_anchor_with_the_workers, "no anchor goes before its workers"),
        (submit_without_a_finalizer, "a submit for a pool that may vanish"),
        (believe_that_nobody_else_removes, "no more submits than the pace allows"),
        (submit_without_a_pace, "no more submits than the pace allows"),
        (submit_what_was_not_shown_again, ""),
        (remove_one_too_many, ""),
        (forget_who_was_held, ""),
        (let_successors_connect_at_once, "no successor connects before the worker has retired"),
        (forget_who_is_being_sent, "no more workers than wanted"),
        (leave_who_is_suspended, "it comes to what is wanted"),
        (try_as_many_again, "it comes to what is wanted"),
        (avoid_no_machine, "a machine that eats workers is avoided"),
        (keep_who_is_outdated, "who waits is of the newest template"),
        (forgive_who_ends_after_a_minute, "no more submits than the pace allows"),
        (give_more_memory_than_the_profile_allows, "no worker requests more memory than its profile allows"),
    )
}


def story_of(defect: str) -> str | None:
    """What the simulation says when this mistake is planted; in a process of its own."""
    with pytest.MonkeyPatch.context() as patch:
        DEFECTS[defect][0](patch)
        found = (search(seed, HISTORIES, enough=LINES) for seed in SEEDS)
        return next((story for story in found if story is not None), None)


def lines_of(story: str) -> Sequence[str]:
    """The steps of a story."""
    return [line for line in story.splitlines() if line.strip()[:1].isdigit()]
