"""Each pool as HTML: a bar of its workers' states, why there are not more, and the last failures, folded.

Called by the cluster object and its widget; pure, from the pools' last status. All that a status says is
somebody else's text, and is escaped.
"""

from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from htcdask_api import Failure, PoolStatus
from htcdask_api.status import STALLED
from htcdaskgateway._worker_pools import stalls
from htcdaskgateway._worker_pools.explanation import NO_POOL
from htcdaskgateway._worker_pools.pool import Pool, hindrance

_COLOURS: Final = {
    "idle": "#9aa0a6",
    "starting": "#8ab4f8",
    "connected": "#34a853",
    "held": "#f9ab00",
    "leaving": "#9e86c8",
    "failed": "#d93025",
}
_BAR: Final = (
    # A grey that one sees through, for light and dark pages.
    "display:flex;width:30em;max-width:100%;height:0.9em;margin:0.3em 0;background:rgba(128,128,128,0.2);"
    "border-radius:3px;overflow:hidden"
)
_BOX: Final = "display:inline-block;width:0.7em;height:0.7em;margin:0 0.3em 0 0.5em"


def states(status: PoolStatus) -> dict[str, int]:
    """How many workers are in which state, those of none left out; failed are those that failed lately."""
    numbers = {
        "idle": status.idle + status.submitting,
        "starting": max(0, status.running - status.connected),
        "connected": status.connected,
        "held": status.held,
        "leaving": status.retiring,
        "failed": len(status.recent_failures),
    }
    return {state: number for state, number in numbers.items() if number}


def situation(text: str) -> str:
    """A sentence in place of the pools, such as that the cluster has ended."""
    return f"<p><b>HTCondor:</b> {escape(text, quote=False)}</p>"


def bars(pools: Sequence[Pool]) -> str:
    """Each pool's workers, and what they wait for."""
    if not pools:
        return f"<p><b>HTCondor:</b> {NO_POOL}</p>"
    return "".join(_bar(pool) for pool in pools)


def failures(pools: Sequence[Pool]) -> str:
    """The last failures of all pools, folded; "" where there are none."""
    parts = [_failure(pool, failure) for pool in pools for failure in pool.status.recent_failures]
    if not parts:
        return ""
    what = "1 worker failed lately" if len(parts) == 1 else f"{len(parts)} workers failed lately"
    return f"<details><summary>{what}</summary>{''.join(parts)}</details>"


def _bar(pool: Pool) -> str:
    status, found = pool.status, states(pool.status)
    missing = max(0, status.desired_replicas - sum(found.values()) + found.get("failed", 0))
    segments = "".join(
        f"<div title='{number} {state}' style='flex:{number};background:{_COLOURS[state]}'></div>"
        for state, number in found.items()
    )
    rest = f"<div style='flex:{missing}'></div>" if missing else ""
    legend = "".join(
        f" <span style='{_BOX};background:{_COLOURS[state]}'></span>{number} {state}"
        for state, number in found.items()
    )
    counts = f"{status.connected} of {status.desired_replicas} workers connected"
    reasons = "".join(f"<br>{line}" for line in _reasons(status))
    return (
        f"<div style='line-height:1.4;margin:0.5em 0'><b>HTCondor, {escape(pool.name)}:</b> {counts}{legend}"
        f"<div style='{_BAR}'>{segments}{rest}</div>{reasons.removeprefix('<br>')}</div>"
    )


def _reasons(status: PoolStatus) -> Iterator[str]:
    """What keeps workers away, and what to do."""
    found = hindrance(status)
    if found is not None:
        reason, message = found
        stalled = status.condition(STALLED)
        colour = _COLOURS["failed"] if stalled is not None and stalled.status == "True" else "inherit"
        yield f"<span style='color:{colour}'>{_said(reason, message)}</span>"
        if advice := stalls.advice(reason):
            yield escape(advice)
    for each in status.explanation:
        if (each.reason, each.message) != found:
            yield f"{each.count} waiting: {_said(each.reason, each.message)}"


def _said(reason: str, message: str) -> str:
    return f"<b>{escape(reason)}</b> {escape(message)}".rstrip()


def _failure(pool: Pool, failure: Failure) -> str:
    where = f" on {failure.machine}" if failure.machine else ""
    code = f" (exit code {failure.exit_code})" if failure.exit_code is not None else ""
    head = f"{pool.name}, {failure.worker}{where} at {failure.time}: {failure.reason}{code} {failure.message}"
    tail = f"<pre>{escape(failure.log_tail.rstrip())}</pre>" if failure.log_tail else ""
    return f"<p>{escape(head.rstrip())}</p>{tail}"
