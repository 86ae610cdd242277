"""Which of the operator's reasons mean that waiting is in vain, and what to do about them. Pure.

Called by `waiting`, the cluster object and its widget. The reasons are the operator's; a test holds the two
sets below to all those for which it can say that a pool is Stalled.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from htcdask_api import Condition
from htcdask_api.status import READY, STALLED
from htcdaskgateway._worker_pools.pool import Pool

# What the pool says cannot change any more, since a template is fixed.
OF_THE_TEMPLATE: Final = frozenset(
    {
        "InvalidPool",
        "ClusterUsesKubernetesWorkers",
        "AnotherPoolFollowsGateway",
        "UnknownProfile",
        "ProfileNotAllowed",
        "ImageMissing",
        "ImageNotAllowed",
        "RunTimeNotAllowed",
        "ExpressionsNotAllowed",
        "BadExpression",
    }
)
# Workers came and ended so often, and none is left, that the operator calls for a person. It tries one now
# and then: what was wrong may have been mended.
OF_THE_WORKERS: Final = frozenset(
    {
        "WorkersKeepFailing",
        "BadImage",
        "MachineRefused",
        "OutOfResources",
        "RemovedByOthers",
        "AnchorRemoved",
        "AccessPointFiles",
        "Held",
        "HeldByPolicy",
        "HeldBySite",
        "CredentialInvalid",
        "PolicyBroken",
    }
)
# The site's people have to look, and when they have, or the access point is back, this pool goes on.
OF_THE_SITE: Final = frozenset(
    {"SubmitRefused", "JobsNotShown", "AnotherOperator", "AnotherIdentity", "OperatorMistake"}
)
OF_THE_END: Final = frozenset(
    {"ClusterGone", "ClusterInactive", "Ended", "RemovingJobs", "Released", "CleanupBlocked"}
)
_CLUSTER_ENDED: Final = frozenset({"ClusterGone", "ClusterInactive", "Ended"})

_POD_WAITS: Final = re.compile(r"\(phase [^)]*\): its pod waits: (?P<words>.+)", re.DOTALL)
_NODES_MAY_COME: Final = ("Unschedulable", "SchedulingGated")


Known = Mapping[str, frozenset[str]]
"""Pools whose workers kept failing when a wait began, by name, with the workers that had failed."""


def failing(pools: Sequence[Pool]) -> Known:
    """Those of these pools to which a worker comes only if the next try does better."""
    return {
        pool.name: _failed(pool) for pool in pools if (why := final(pool)) and why.reason in OF_THE_WORKERS
    }


def _failed(pool: Pool) -> frozenset[str]:
    return frozenset(failure.worker for failure in pool.status.recent_failures)


def final(pool: Pool, known: Known = MappingProxyType({})) -> Condition | None:
    """The condition by which this pool gets no worker; None: it may get some.

    Where its workers kept failing before the wait began, only one that has failed since then tells that.
    """
    ready, stalled = pool.status.condition(READY), pool.status.condition(STALLED)
    if stalled is not None and stalled.status == "True":
        none_lives = stalled.reason in OF_THE_WORKERS and not pool.status.connected
        is_new = pool.name not in known or not _failed(pool) <= known[pool.name]
        return stalled if (none_lives and is_new) or stalled.reason in OF_THE_TEMPLATE else None
    return ready if ready is not None and ready.reason in OF_THE_END else None


def in_vain(cluster: str, pools: Sequence[Pool], known: Known = MappingProxyType({})) -> str | None:
    """Why none of the cluster's pools gives a worker; None while one of them may. `known`: as for `final`."""
    asked = [pool for pool in pools if pool.spec.scaling == "Gateway" or pool.spec.replicas]
    found = [(pool, final(pool, known)) for pool in asked]
    reasons = [(pool, why) for pool, why in found if why is not None]
    if not reasons or len(reasons) < len(found):
        return None
    said = " ".join(f"Pool {pool.name}: {why.reason}: {why.message}".rstrip(": ") for pool, why in reasons)
    tries = any(why.reason in OF_THE_WORKERS for _, why in reasons)
    comes = "comes" if tries else "will come"
    return f"No worker {comes} to cluster {cluster}. {said} {advice(reasons[0][1].reason)}".rstrip()


def advice(reason: str) -> str:
    """What to do about it, beyond what the operator's own sentence says; "" where that says all."""
    if reason == "ImageMissing":
        return "container_image= of a new cluster, or of cluster.add_pool(), names one."
    if reason in OF_THE_TEMPLATE:
        return (
            "What a pool's workers are is fixed: make a new cluster, or another pool by cluster.add_pool()."
        )
    if reason == "BadImage":
        return (
            "Is container_image right? A pool's image is fixed: make a new cluster, or another pool by "
            "cluster.add_pool()."
        )
    if reason in OF_THE_WORKERS:
        return "cluster.explain() has the last failures, and cluster.logs() what those workers said."
    if reason in OF_THE_END - _CLUSTER_ENDED:
        return "This pool is being deleted; cluster.add_pool() makes another one."
    if reason in OF_THE_SITE:
        return "Tell the site's people; the pool goes on by itself then."
    return ""


def cluster_has_ended(pools: Sequence[Pool]) -> bool:
    """Whether the operator says of every pool that its cluster has ended, or ends."""
    ready = [pool.status.condition(READY) for pool in pools]
    return bool(ready) and all(its is not None and its.reason in _CLUSTER_ENDED for its in ready)


def scheduler_cannot_start(pools: Sequence[Pool]) -> str | None:
    """What keeps the scheduler's pod from running, in Kubernetes' words.

    None while it is only on its way, or where a cluster that grows by itself may yet have a node for it.
    """
    for pool in pools:
        ready = pool.status.condition(READY)
        if ready is None or ready.reason != "ClusterPending":
            continue
        match = _POD_WAITS.search(ready.message)
        if match is not None and not match["words"].startswith(_NODES_MAY_COME):
            return match["words"].rstrip(".")
    return None
