"""What to tell a person about the workers of a cluster: a text, and HTML.

Called by the cluster object and its widget; pure, from the pools' last status, and what versions differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from htcdask_api import PoolStatus
from htcdask_api.status import READY, STALLED
from htcdaskgateway._versions import REMEDY, Versions
from htcdaskgateway._worker_pools.pool import NOT_LOOKED_AT, Pool, follower_missing

_STATES = ("submitting", "idle", "running", "held", "retiring", "finished", "failed")
NO_POOL = (
    "no worker pool: cluster.add_pool() makes one; for a cluster that has never had one, the operator makes "
    "the site's default one when workers are asked for"
)
NOBODY_FOLLOWS = (
    "no pool follows cluster.scale() and adapt(): scale(n) of one of cluster.pools asks for workers, or "
    "cluster.add_pool() makes more"
)
SHUT_DOWN = "this cluster was shut down here, and its jobs with it"
CLOSED = "this object is closed: gateway.connect(name) or gateway.list_clusters() ask the gateway"
UNKNOWN = "the gateway does not know this cluster (any more): it has ended, and its jobs with it"
ENDED = "the cluster has ended, and its jobs with it"
KUBERNETES = "this cluster's workers are Kubernetes pods: none of them is in HTCondor"
NO_POOLS_SHOWN = "the gateway knows this cluster, and does not show its pools: if that lasts, tell your admin"
NO_EXTENSION = "this gateway does not know HTCondor workers: the cluster's workers are its own"


def out_of_reach(cluster: str, address: str) -> str:
    """For whoever has a cluster whose scheduler cannot be spoken to."""
    return (
        f"The scheduler of cluster {cluster} runs and does not answer from here at {address}: is that the "
        "gateway's proxy (proxy_address), or is the scheduler busy? gateway.doctor() and cluster.explain() "
        "say more"
    )


@dataclass(frozen=True, repr=False)
class ClusterExplanation:
    """Where the workers of a cluster are, and why the missing ones are missing. Prints as text."""

    cluster: str
    pools: tuple[Pool, ...]
    # Why there can be no HTCondor workers, whatever the pools say; None where there can.
    situation: str | None = None
    # Of notebook, scheduler and workers; None where no scheduler was asked.
    versions: Versions | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, fit for JSON; `spec` and `status` are those of the HTCWorkerPool."""
        return {
            "cluster": self.cluster,
            "situation": self.situation,
            "versions": self.versions
            and {"differ": list(self.versions.differ), "workers": self.versions.workers},
            "pools": [
                {
                    "name": pool.name,
                    "created": pool.created,
                    "spec": pool.spec.model_dump(mode="json", by_alias=True, exclude_unset=True),
                    "status": pool.status.model_dump(mode="json", by_alias=True),
                }
                for pool in self.pools
            ],
        }

    def _summary(self) -> str | None:
        if self.situation or not self.pools:
            return self.situation or NO_POOL
        return NOBODY_FOLLOWS if follower_missing(self.pools) else None

    def _versions(self) -> Iterator[str]:
        """What there is to say of them: nothing where all have the same."""
        if self.versions is None:
            return
        if self.versions.workers is None:
            yield "the scheduler does not say now which versions it has: it is busy, or has no such answer"
        for difference in self.versions.differ:
            yield f"versions differ: {difference}"
        if self.versions.differ:
            yield f"=> {REMEDY}"

    def __str__(self) -> str:
        lines = [f"HTCondor workers of cluster {self.cluster}"]
        if summary := self._summary():
            lines.append(f"  {summary}")
        for pool in self.pools:
            lines += [f"  pool {pool.name}: {_counts(pool.status)}"]
            lines += ["    " + line.replace("\n", "\n      ") for line in _details(pool.status)]
        lines += [f"  {line}" for line in self._versions()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [f"<p><b>HTCondor workers of cluster {escape(self.cluster)}</b></p>"]
        if summary := self._summary():
            parts.append(f"<p>{escape(summary, quote=False)}</p>")
        for pool in self.pools:
            items = "".join(f"<li>{_item(line)}</li>" for line in _details(pool.status))
            parts.append(
                f"<p>pool <b>{escape(pool.name)}</b>: {escape(_counts(pool.status))}</p><ul>{items}</ul>"
            )
        parts += [f"<p>{escape(line, quote=False)}</p>" for line in self._versions()]
        return "".join(parts)


def _counts(status: PoolStatus) -> str:
    states = ", ".join(f"{getattr(status, state)} {state}" for state in _STATES if getattr(status, state))
    text = f"{status.connected} of {status.desired_replicas} workers connected"
    return f"{text} ({states})" if states else text


def _details(status: PoolStatus) -> Iterator[str]:
    """Why not more, then what is not as it should be, then what failed last."""
    if not status.conditions:
        yield NOT_LOOKED_AT
    for reason in status.explanation:
        yield f"{reason.count} waiting: {reason.reason}: {reason.message}".rstrip(": ")
    if status.memory_request is not None:
        yield f"memory: {status.memory_request.message}"
    wrong: dict[str, list[str]] = {}  # the conditions by what they say: often two say the same
    for condition in status.conditions:
        # Stalled and Reconciling are bad when true; the others when false.
        bad = "True" if condition.type == STALLED else "False"
        if condition.status in (bad, "Unknown") and condition.type != "Reconciling":
            text = f"{condition.reason}: {condition.message}".rstrip(": ")
            wrong.setdefault(text, []).append(f"{condition.type} is {condition.status}")
        elif condition.type == READY:
            yield f"Ready: {condition.message or condition.reason}"
    for text, conditions in wrong.items():
        yield f"{', '.join(conditions)}: {text}"
    for failure in status.recent_failures:
        where = f" on {failure.machine}" if failure.machine else ""
        code = f" (exit code {failure.exit_code})" if failure.exit_code is not None else ""
        what = f"worker {failure.worker}{where} at {failure.time}: {failure.reason}{code}"
        yield f"{what}: {failure.message}" if failure.message else what
        if failure.log_tail:
            yield f"its last lines:\n{failure.log_tail.rstrip()}"


def _item(line: str) -> str:
    head, newline, tail = line.partition("\n")
    return f"{escape(head)}<pre>{escape(tail)}</pre>" if newline else escape(head)
