"""When the Dask scheduler has to be told how many workers to want, because people edit a Manual pool.

Called by `plan` once for each cluster. The scheduler retires whatever exceeds its count, so the replicas of
Manual pools are of no use unless it knows of them. To be told ends adapt(): an Event says so.

    a pool follows the gateway -> told the Manual pools' total or what its user asked for, if that is more
    none does                  -> told the total, once our own surplus has left

What its user asked for last the gateway has written down, if that was a scale(). After adapt() it is N,
unless N is what we told last: then what was wanted before. So what it was told for Manual pools is nobody's
wish for other workers: the pool that follows the gateway gets none of it, also when those are gone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from htcdask_api import PoolStatus, SchedulerTold
from htcdask_operator.core import reasons, timestamps
from htcdask_operator.core.actions import ScaleScheduler
from htcdask_operator.core.counted import counted
from htcdask_operator.core.model import ClusterFacts, PoolFacts, PoolUid
from htcdask_operator.core.scaling import desired, limits
from htcdask_operator.core.scaling.desired import Allocation

PAUSE_SECONDS: Final = 10.0
"""A scheduler is told at most once in this time: its answer is the next heartbeat."""
LONGEST_PAUSE_SECONDS: Final = 120.0
"""One that does not listen, or whose user calls adapt() again and again, is told less often each time."""
FORGET_SECONDS: Final = 600.0
STILL_SECONDS: Final = 2.0
"""For so long its own number and those of the Manual pools must have stood.

Somebody's scale() may be on its way, as of a notebook that adds a pool and scales its cluster.
"""


@dataclass(frozen=True, slots=True)
class LastScale:
    """What we last told a scheduler that it should want."""

    count: int
    at: float
    times: int = 1  # how often in a row the same
    before: int = 0  # what it wanted by itself, before we told it anything
    taken: bool = False  # N has been this number since
    over: bool = False  # and then another: whatever it is now, somebody else has said so
    instead: int | None = None  # our word before, which stands until this one is taken: it may be lost
    word: str = ""  # its user's last until then, by its time

    def stands(self, number: int) -> bool:
        """Whether N, which is `number`, is our word."""
        return not self.over and (number == self.count or (not self.taken and number == self.instead))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to tell now, or when to look again."""

    action: ScaleScheduler | None = None
    wake: float | None = None


def decide(
    pools: Sequence[PoolFacts],
    allocations: Mapping[PoolUid, Allocation],
    cluster: ClusterFacts,
    last: LastScale | None,
    stands_since: float,
    leaving: Collection[str],
    now: float,
    kept: int | None = None,
    lingering: bool = False,
) -> Verdict:
    """`pools` may have workers, oldest first; `stands_since`: since when no number asked for has changed;
    `leaving` are connected workers that are on their way out.

    `kept` workers are of pools that cannot be planned: the scheduler must not retire them for our mistake.
    `lingering`: there are workers of Manual pools that go, or ask for none.
    """
    manual = [pool for pool in pools if pool.spec.scaling == "Manual"]
    follower = desired.gateway_pool(pools)
    wish = _wish(last, cluster)
    goes_back = wish != cluster.replicas and not lingering
    about = manual[0].uid if manual else follower if goes_back else None
    if about is None or not cluster.running or cluster.credentials_secret is None:
        return Verdict()
    total = sum(allocations[pool.uid].replicas for pool in manual) + (kept or 0)
    count = total if follower is None else max(total, wish)
    most = limits.max_workers(cluster)
    if most is not None:
        count = min(count, most)  # the gateway would not let more through
    if cluster.replicas == count or (cluster.replicas > count and (leaving or kept is not None)):
        return Verdict()
    not_before = max(
        last.at + timestamps.doubled(PAUSE_SECONDS, last.times, LONGEST_PAUSE_SECONDS)
        if last is not None
        else 0.0,
        stands_since + STILL_SECONDS,
    )
    if now < not_before:
        return Verdict(wake=not_before)
    reason, message = (
        reasons.SCHEDULER_TOLD,
        _message(count, cluster, is_for_manual=bool(manual) and count <= total),
    )
    action = ScaleScheduler(about, count, cluster.replicas, reason, message, wish, cluster.word)
    return Verdict(action, now + PAUSE_SECONDS)


def _message(count: int, cluster: ClusterFacts, *, is_for_manual: bool) -> str:
    why, ends = "as before its Manual pools, which are gone", " This ends adapt(), if it was on."
    if cluster.asked is not None:
        why, ends = "as its user asked for last", ""
    if is_for_manual:
        why = "for spec.replicas of its Manual pools"
    number = f"{counted(count, 'worker')}, {why} (it wanted {cluster.replicas})"
    return f"The Dask scheduler is told to want {number}.{ends}"


def own_number(last: LastScale | None, cluster: ClusterFacts) -> int:
    """What of N is not our word for Manual pools: what somebody asked for, or adapt() has found."""
    return min(cluster.replicas, _wish(last, cluster))


def ended_adapt(last: LastScale | None, cluster: ClusterFacts) -> bool:
    """Whether its user's last word was adapt(), and what it was told since has ended that."""
    if last is None or last.over or cluster.asked is not None:
        return False
    return last.word == cluster.word != ""


def _wish(last: LastScale | None, cluster: ClusterFacts) -> int:
    """How many workers its user wants; N, where N tells it."""
    if cluster.asked is not None:
        return cluster.asked
    ours = last is not None and last.stands(cluster.replicas)
    return min(cluster.replicas, last.before) if last is not None and ours else cluster.replicas


def seen(last: LastScale | None, cluster: ClusterFacts, now: float) -> LastScale | None:
    """N is this number now: to be remembered.

    A word that N has not become for so long is lost, if nobody tells when others have spoken.
    """
    if last is None or last.over:
        return last
    if last.word != cluster.word:
        return replace(last, over=True)
    if last.stands(cluster.replicas):
        return last if last.taken or cluster.replicas != last.count else replace(last, taken=True)
    is_over = last.taken or (not last.word and now - last.at >= FORGET_SECONDS)
    return replace(last, over=True) if is_over else replace(last, instead=None)


def written(last: LastScale | None, cluster: ClusterFacts) -> SchedulerTold | None:
    """As the status keeps it for the next operator; None: nothing to take back, or the gateway knows it."""
    if last is None or last.over or cluster.asked is not None:
        return None
    ours = max(last.count, cluster.replicas if last.stands(cluster.replicas) else 0)
    told = SchedulerTold(replicas=ours, before=last.before, word=last.word)
    return told if ours > last.before else None


def read(statuses: Iterable[PoolStatus], cluster: ClusterFacts, now: float) -> LastScale | None:
    """What an earlier operator has told, by the statuses of the cluster's pools.

    Where N is neither what was told nor what was wanted before, somebody else has spoken since.
    """
    for told in (status.scheduler_told for status in statuses):
        if (
            told is not None
            and told.word == cluster.word
            and cluster.replicas in (told.replicas, told.before)
        ):
            return LastScale(told.replicas, now, before=told.before, word=told.word)
    return None


def after(last: LastScale | None, told: ScaleScheduler, now: float) -> LastScale:
    """It was told this now: to be remembered."""
    new = LastScale(told.count, now, before=told.before, word=told.word)
    if last is None:
        return new
    again = last.count == told.count and now - last.at < FORGET_SECONDS
    stood = None if last.over else last.count if last.taken else last.instead
    return replace(new, times=last.times + 1 if again else 1, instead=stood)
