"""The last lines of a cluster's processes: the scheduler, workers that run, and workers that have ended.

Called by the cluster object. HTCondor brings what a worker printed once it has ended, and the operator keeps
it beside its pool, of failed workers also in the pool's status; a process that runs is asked itself by Dask,
over the cluster's own TLS.
"""

import asyncio
import logging
import operator
from collections.abc import Awaitable, Callable, Mapping, Sequence
from html import escape
from typing import Any, Protocol

from distributed.utils import Log, Logs

from htcdask_api import WorkerLog
from htcdaskgateway._errors import HTCDaskError, PoolsNotThereError
from htcdaskgateway._worker_pools.pool import Pool

_log = logging.getLogger(__name__)

SCHEDULER = "scheduler"
LINES = 100
"""Of each process that runs; it keeps a hundred times as many."""
SECONDS = 10.0
"""For the answer of the scheduler, and for those of all workers together."""
_ALL = 2**31 - 1  # nobody keeps as many
_NAMED = 20  # workers in an error
ListPools = Callable[[], Awaitable[Sequence[Pool]]]
_POOL = "pool "
"""So begins what stands in the place of a pool's workers; no worker's name has a blank."""


class ClusterLogs(Logs):  # type: ignore[misc]
    """Texts by the name of the worker, and the scheduler's; a dict, with HTML in a notebook."""

    def _repr_html_(self) -> str:
        html: str = Logs({escape(str(name)): log for name, log in self.items()})._repr_html_()
        return html


def line_count(lines: Any) -> int:
    """`lines`, if it is a number of lines, also of numpy's kinds."""
    if isinstance(lines, bool) or not hasattr(lines, "__index__") or lines < 1:
        raise ValueError(f"lines must be a whole number above 0, not {lines!r:.80}")
    return min(operator.index(lines), _ALL)


class KeptLogs(Protocol):
    """The part of `access.PoolAccess` that is needed here."""

    async def logs(self, cluster: str, pool: str) -> Sequence[WorkerLog] | None:
        """What workers of a pool printed that have ended, newest first; None: nobody here can say."""


async def of_ended(access: KeptLogs, cluster: str, list_pools: ListPools) -> dict[str, str]:
    """What workers that ended lately printed last, newest first in each pool.

    Where that cannot be read, the little is told that stands in the pools' status, and why it is so little.
    """
    try:
        pools = await list_pools()
    except PoolsNotThereError:
        return {}
    found = await asyncio.gather(*(_kept(access, cluster, pool) for pool in pools))
    return {name: Log(text) for texts in found for name, text in texts.items()}


async def _kept(access: KeptLogs, cluster: str, pool: Pool) -> dict[str, str]:
    kept: Sequence[WorkerLog] | None = None
    unread = {}
    try:
        kept = await asyncio.wait_for(access.logs(cluster, pool.name), SECONDS)
    except Exception as error:  # no reason to lose the rest
        _log.debug("What workers of pool %s printed could not be read", pool.name, exc_info=True)
        why = f"no answer in {SECONDS:g} s" if isinstance(error, asyncio.TimeoutError) else one_line(error)
        unread = {f"{_POOL}{pool.name}": f"(what its workers printed that ended cannot be read: {why})"}
    texts = {log.name: log.text for log in kept or () if log.text} | unread
    for failure in pool.status.recent_failures:
        if failure.log_tail:
            texts.setdefault(failure.worker, failure.log_tail)
    return texts


def one_line(error: Exception) -> str:
    """What it says, or else what it is."""
    return " ".join(str(error).split())[:500] or type(error).__name__


def chosen(
    found: Mapping[str, str], worker: str | None, cluster: str, running: Sequence[str] = ()
) -> ClusterLogs:
    """All of them, or those of this worker; HTCDaskError if it has none. `running`: who could be asked."""
    if worker is None:
        return ClusterLogs(found)
    if worker in found:
        return ClusterLogs({worker: found[worker]})
    names = dict.fromkeys((*running, *(name for name in found if not name.startswith(_POOL))))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    there = ", ".join(list(names)[:_NAMED]) + more or "none"
    unread = "".join(f". {name}: {text}" for name, text in found.items() if name.startswith(_POOL))
    raise HTCDaskError(
        f"Nobody has lines of worker {worker!r} of cluster {cluster}; there is: {there}. The last few of "
        "workers that end by themselves are kept, and none of one that was removed or lost its machine"
        f"{unread}"
    )


async def of_running(
    scheduler: Any, workers: Mapping[str, Any], lines: int, worker: str | None = None
) -> dict[str, str]:
    """What the scheduler and its workers logged last: `lines` of each; of workers only this one, if given.

    A worker's nanny, which outlives its crashes, comes first. `scheduler`: distributed's rpc; `workers`: what
    the scheduler says of each, by address. Who does not answer says so in the place of lines.
    """
    these = [address for address, its in workers.items() if str(its.get("name")) == worker]
    only = {} if worker is None else {"workers": these}
    # Not of all: where one has no nanny, distributed mixes up whose answer is whose.
    nannies = [address for address in (workers if worker is None else these) if workers[address].get("nanny")]
    asked = scheduler.get_logs(n=lines), scheduler.worker_logs(n=lines, **only)
    of_nannies = scheduler.worker_logs(n=lines, workers=nannies, nanny=True) if nannies else _nothing()
    own, theirs, beside = await asyncio.gather(*map(_answer, (*asked, of_nannies)))
    if not isinstance(own, str):
        own = _text(own)
    found: dict[str, list[str]] = {}
    for whose, said in (("nannies", beside), ("workers", theirs)):
        if isinstance(said, str):
            if worker is None:
                found[whose] = [said]
            elif these:
                found.setdefault(worker, []).append(f"{whose}: {said}")
            continue
        for address, entries in said.items():
            name = str(workers.get(address, {}).get("name", address))
            found.setdefault(name, []).append(_text(entries))
    texts = {name: "\n".join(filter(None, parts)) for name, parts in sorted(found.items())}
    return {SCHEDULER: Log(own), **{name: Log(text) for name, text in texts.items()}}


async def _nothing() -> dict[str, Any]:
    return {}


async def _answer(asked: Awaitable[Any]) -> Any:
    answer = asyncio.ensure_future(asked)
    await asyncio.wait([answer], timeout=SECONDS)
    if not answer.done():
        answer.cancel()
        return f"(no answer in {SECONDS:g} s: busy, or out of reach? client.get_worker_logs() waits for it)"
    if error := answer.exception():  # of a worker of another version, say: no reason to lose the rest
        return f"(no answer: {type(error).__name__}: {error})"
    return answer.result()


def _text(entries: Any) -> str:
    """Oldest first, as one reads; dask has them newest first, as pairs of level and line."""
    if not isinstance(entries, list | tuple):
        return f"(no lines, but {entries!r})"
    return "\n".join(str(entry[-1]) for entry in reversed(entries))
