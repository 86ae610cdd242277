"""Why workers that are wanted are not there: `status.explanation`, in words for the person who waits.

Called by `summary`. At most five, the largest first; no ages and no clocks in the texts, so that a status
changes only when something does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from htcdask_api import Explanation
from htcdask_api.status import MAX_EXPLANATIONS
from htcdask_operator.core import reasons, sanitize
from htcdask_operator.core.model import Analysis
from htcdask_operator.core.scaling.desired import Allocation
from htcdask_operator.core.status import slots
from htcdask_operator.core.submit.spooled import RefusedAnchor
from htcdask_operator.core.workers import states
from htcdask_operator.core.workers.states import State, Worker

_NAMED: Final = 5  # machines in a message


def explanations(
    workers: Sequence[Worker],
    allocation: Allocation,
    unaffordable: int,
    crowded_out: int,
    held_back: int,
    address: str,
    now: float,
    analysis: Analysis | None = None,
    avoided: Sequence[str] = (),
) -> tuple[Explanation, ...]:
    """The reasons for what is missing; `unaffordable` workers exceed what the scheduler asks for,
    `crowded_out` are asked for, but others that it counts have to leave before, and so have others that a
    limit counts for those that are `held_back`.

    `analysis`: how slots look to those that are idle; `avoided`: machines that eat workers.
    """
    found: Counter[tuple[str, str]] = Counter()
    for worker in workers:
        if worker.state is not State.CONNECTED and (why := _why(worker, address, now, analysis)) is not None:
            found[why] += 1
    if unaffordable:
        found[
            reasons.WAITING_FOR_SCHEDULER,
            "The scheduler asks for fewer workers now than the cluster's pools should have together. It is "
            "told what Manual pools want, and adapt() follows its work; if this lasts, cluster.scale(n) asks "
            "for more.",
        ] = unaffordable
    if crowded_out:
        found[
            reasons.OTHERS_LEAVE_FIRST,
            "The scheduler counts workers of the cluster's other pools, or of pools that are gone, too: they "
            "leave before others come in their place, and those that are busy finish their tasks first: that "
            "may take as long as there is work for them. cluster.scale() to a larger number makes room at "
            "once.",
        ] = crowded_out
    if held_back:
        found[
            reasons.CAPPED,
            "A limit counts workers that are stopped, about to retire or leaving, too: these come when such "
            "have gone.",
        ] = held_back
    if allocation.capped_by is not None:
        found[reasons.CAPPED, allocation.capped_by] = allocation.withheld
    if avoided:
        found[reasons.MACHINES_AVOIDED, _avoided(avoided)] = len(avoided)
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Explanation(reason=reason, message=sanitize.line(message), count=count)
        for (reason, message), count in ranked[:MAX_EXPLANATIONS]
    )


def reachable(identity: str, refused: RefusedAnchor | None) -> tuple[str, str]:
    """Reason and message of an access point that answers. `refused`: it does not take our anchors."""
    submits = f"Submitting as {identity}."
    if refused is None:
        return reasons.CONDOR_REACHABLE, submits
    return (
        reasons.FILES_SPOOLED_WITH_WORKERS,
        f"{submits} Each worker's files are sent to the access point with its job, which takes longer: the "
        f"job that would keep them for all is refused. {refused.why}",
    )


def _avoided(machines: Sequence[str]) -> str:
    some = ", ".join(sorted(machines)[:_NAMED])
    if len(machines) > _NAMED:
        some += f" and {len(machines) - _NAMED} more"
    return f"Workers kept failing on {some} while others lived elsewhere: for an hour no new one goes there."


def _why(worker: Worker, address: str, now: float, analysis: Analysis | None) -> tuple[str, str] | None:
    job = worker.job
    match worker.state:
        case State.IDLE if analysis is not None:
            return slots.told(analysis, job)
        case State.IDLE if job.reject_reason:
            # Also of a pool that is merely full: what it means, the analysis tells.
            return (
                reasons.WAITING_FOR_MATCH,
                f"HTCondor has not given the job a slot yet ({job.reject_reason}); it is looked up why.",
            )
        case State.IDLE:
            return reasons.WAITING_FOR_MATCH, "The job is idle and waits for its turn in HTCondor's queue."
        case State.STARTING if not worker.early and now < (job.connects_at or now):
            return (
                reasons.TAKING_OVER,
                "The worker has its slot. The one that it succeeds, whose run time is over, has half a "
                "minute to hand its data over, also if it takes less; then this one connects.",
            )
        case State.STARTING if now >= states.slow_from(job):
            return (
                reasons.STARTING,
                f"The worker runs and is still to connect. If that lasts: can execute nodes reach {address}, "
                "by name and port? When it gives up, it says what failed.",
            )
        case State.NOT_CONNECTED:
            return (
                reasons.NOT_CONNECTING,
                f"The worker runs, but the scheduler does not know it: can execute nodes reach {address}?",
            )
        case State.HELD:
            return reasons.HELD_BY_USER, f"The job is held by a person or the site: {worker.message}"
        case State.SUSPENDED:
            return reasons.SUSPENDED, worker.message
        case State.KEPT:
            return worker.reason or reasons.NOT_UNDERSTOOD, worker.message
        case _:
            return None
