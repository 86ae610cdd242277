"""Machines that eat workers: those on which one after the other fails, while workers live elsewhere.

Judged by `plan` for each cluster, from the failures that its pools' ledgers remember. Where no worker of the
same pool lives anywhere, it is the pool's own fault, or everybody's: no machine is blamed. Anybody can make
workers fail where they like: the other clusters follow only when two users have found the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from htcdask_api import Failure
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.model import ClusterFacts, Gone, Unseen
from htcdask_operator.core.policy import Policy
from htcdask_operator.core.workers import contact
from htcdask_operator.core.workers.states import EARLY_SECONDS, Worker

Avoided = Mapping[str, float]
"""Machines, and until when no new worker goes there."""

Vote = tuple[str, Avoided]
"""By the word of which user."""


@dataclass(frozen=True, slots=True)
class Seen:
    """By one pool."""

    failures: Sequence[Failure]
    useful: Collection[str]  # machines where a worker of it lives well


ENOUGH: Final = 3
"""Events on one machine."""
WITHIN_SECONDS: Final = 1800.0
AVOID_SECONDS: Final = 3600.0
"""From the last event on: then one worker finds out whether the machine is well again."""
MOST: Final = 20
"""Machines in one job's Requirements; those that were the last to fail."""
MOST_SHARED: Final = 5
"""Of these, by the word of others: a small site has not many more."""

_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_BLAMED: Final = frozenset(
    {
        reasons.BAD_IMAGE,
        reasons.ENDED_EARLY,
        reasons.MACHINE_FAILED,
        reasons.MACHINE_REFUSED,
        reasons.NEVER_STARTED,
        reasons.TRANSFER_FAILED,
        reasons.WORKER_FAILED,
        reasons.WORKER_KILLED,
    }
)


def avoided(before: Avoided, pools: Sequence[Seen], now: float) -> Avoided:
    """What is avoided from now on, by what each pool of a cluster has seen."""
    useful = {machine for seen in pools for machine in seen.useful}
    after = {machine: until for machine, until in before.items() if until > now and machine not in useful}
    for seen in pools:
        for machine, times in _events(seen.failures, now).items():
            only_there = machine not in useful and any(other != machine for other in seen.useful)
            if only_there and len(times) >= ENOUGH and _HOST.fullmatch(machine):
                after[machine] = max(times) + AVOID_SECONDS
    return _latest(after)


def _events(failures: Iterable[Failure], now: float) -> Mapping[str, list[float]]:
    events: dict[str, list[float]] = defaultdict(list)
    for failure in failures:
        at = timestamps.read(failure.time)
        if failure.machine and failure.reason in _BLAMED and 0 <= now - at < WITHIN_SECONDS:
            events[failure.machine].append(at)
    return events


def vote(cluster: ClusterFacts | Gone | Unseen, found: Avoided) -> Vote | None:
    """What counts for other users' clusters; None: nobody knows whose word it is, and the last one stands."""
    match cluster:
        case ClusterFacts():
            return cluster.username, found
        case Gone():
            return "", {}
        case Unseen():
            return None
    assert_never(cluster)


def shared(found: Iterable[Vote]) -> Avoided:
    """What everybody avoids, from what the clusters of these users do, until the last but one forgets it."""
    by_machine: dict[str, dict[str, float]] = defaultdict(dict)
    for user, machines in found:
        for machine, until in machines.items():
            by_machine[machine][user] = max(until, by_machine[machine].get(user, until))
    both = {machine: sorted(users.values())[-2] for machine, users in by_machine.items() if len(users) > 1}
    return _latest(both, MOST_SHARED)


def together(ours: Avoided, others: Avoided, useful: Collection[str], now: float) -> Avoided:
    """The machines that a new worker does not go to, whoever found out; but where our own live well."""
    both = {machine: until for machine, until in others.items() if machine not in useful}
    for machine, until in ours.items():
        both[machine] = max(until, both.get(machine, until))
    return _latest({machine: until for machine, until in both.items() if until > now})


def useful(workers: Iterable[Worker], policy: Policy, now: float) -> frozenset[str]:
    """Where workers have served their scheduler for a while."""
    return frozenset(
        worker.job.machine
        for worker in workers
        if worker.job.machine
        and contact.serves(worker, policy, now)
        and now - contact.began(worker.job) >= EARLY_SECONDS
    )


def _latest(machines: Avoided, most: int = MOST) -> Avoided:
    return dict(sorted(machines.items(), key=lambda item: (-item[1], item[0]))[:most])
