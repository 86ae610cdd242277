"""The last lines of a cluster's processes: the scheduler, workers that run, and workers that failed.

Called by the cluster object. HTCondor brings what a worker printed once it has ended, and the operator writes
it into its pool's status; a process that runs is asked itself by Dask, over the cluster's own TLS.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from html import escape
from typing import Any

from distributed.utils import Log, Logs

from htcdaskgateway._worker_pools.pool import Pool

SCHEDULER = "scheduler"
LINES = 100
"""Of each process that runs; it keeps a hundred times as many."""
SECONDS = 10.0
"""For the answer of the scheduler, and for those of all workers together."""


class ClusterLogs(Logs):  # type: ignore[misc]
    """Texts by the name of the worker, and the scheduler's; a dict, with HTML in a notebook."""

    def _repr_html_(self) -> str:
        html: str = Logs({escape(str(name)): log for name, log in self.items()})._repr_html_()
        return html


def of_failed(pools: Iterable[Pool]) -> dict[str, str]:
    """What workers that failed lately printed last."""
    failures = (failure for pool in pools for failure in pool.status.recent_failures)
    return {failure.worker: Log(failure.log_tail) for failure in failures if failure.log_tail}


async def of_running(scheduler: Any, workers: Mapping[str, Any], lines: int) -> dict[str, str]:
    """What the scheduler and its workers logged last: `lines` of each.

    `scheduler`: distributed's rpc; `workers`: what the scheduler says of each, by address. Who does not
    answer says so in the place of lines.
    """
    asked = scheduler.get_logs(n=lines), scheduler.worker_logs(n=lines)
    own, theirs = await asyncio.gather(*map(_answer, asked))
    if not isinstance(own, str):
        own = _text(own)
    if isinstance(theirs, str):
        return {SCHEDULER: Log(own), "workers": Log(theirs)}
    named = {
        str(workers.get(address, {}).get("name", address)): _text(its) for address, its in theirs.items()
    }
    return {SCHEDULER: Log(own), **{name: Log(text) for name, text in sorted(named.items())}}


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
