"""Turn each action of a plan into one port call.

Called by `reconcile`, in the plan's order. The first failure ends the round: its sentence becomes the next
observation, and the next cycle plans afresh from what is true then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from htcdask_operator import metrics
from htcdask_operator.condor.errors import CondorError, SubmitRefused
from htcdask_operator.condor.worker.bundle import render
from htcdask_operator.core.actions import (
    Action,
    Adopt,
    CreatePool,
    ForceRemove,
    Hold,
    ReadLogs,
    Release,
    Remove,
    SubmitAnchor,
    SubmitWorkers,
    TellScheduler,
)
from htcdask_operator.core.events import Event
from htcdask_operator.core.model import ClusterFacts, Observed, PoolFacts, PoolUid, WorkerName
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.kube.port import Credentials
from htcdask_operator.ports import Ports
from htcdask_operator.scheduler.port import SchedulerError

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Outcome:
    """What came of a round of actions."""

    done: int = 0
    logs: dict[WorkerName, str] = field(default_factory=dict)
    released: list[PoolUid] = field(default_factory=list)
    refused: dict[PoolUid, str] = field(default_factory=dict)
    accepted: list[PoolUid] = field(default_factory=list)
    told: int | None = None
    events: list[tuple[PoolUid, Event]] = field(default_factory=list)
    condor_failure: str | None = None
    kube_failure: str | None = None

    @property
    def failure(self) -> str | None:
        return self.condor_failure or self.kube_failure


async def perform(
    ports: Ports, actions: Sequence[Action], pools: Mapping[PoolUid, PoolFacts], observed: Observed
) -> Outcome:
    """Do `actions`, in order, until an outside system fails; a refused submit concerns its pool alone."""
    outcome = Outcome()
    for action in actions:
        try:
            await _one(ports, action, pools, observed, outcome)
        except SubmitRefused as error:
            if not isinstance(action, SubmitAnchor | SubmitWorkers):
                raise
            outcome.refused[action.pool] = str(error)
            metrics.FAILED_ACTIONS.labels(type(action).__name__).inc()
        except CondorError as error:
            outcome.condor_failure = str(error)
        except KubeError as error:
            if not (isinstance(action, Adopt) and error.gone):  # the pool may have ended meanwhile
                outcome.kube_failure = str(error)
        except SchedulerError as error:
            # Its number will show that it has not heard: the plan tells it again, after its pause.
            _log.warning("The scheduler was not told: %s", error)
        if outcome.failure is not None:
            metrics.FAILED_ACTIONS.labels(type(action).__name__).inc()
            break
        outcome.done += 1
        metrics.ACTIONS.labels(type(action).__name__).inc()
    return outcome


async def _one(
    ports: Ports,
    action: Action,
    pools: Mapping[PoolUid, PoolFacts],
    observed: Observed,
    outcome: Outcome,
) -> None:
    match action:
        case Adopt(pool, cluster):
            await ports.kube.adopt(pools[pool], cluster)
        case CreatePool(name, namespace, cluster_name, cluster):
            await ports.kube.create_pool(namespace, name, cluster_name, cluster)
            _log.info("Pool %s made: its cluster asked for workers and had none", name)
        case TellScheduler(pool, count, reason, message):
            outcome.told = count
            facts, credentials = pools[pool], await _credentials(ports, pools[pool], observed)
            name = facts.spec.cluster_ref.name
            await ports.scheduler.scale(facts.namespace, name, count, credentials.api_token)
            outcome.events.append((pool, Event("Normal", reason, message)))
        case SubmitAnchor(pool, description, bundle):
            credentials = await _credentials(ports, pools[pool], observed)
            content = render(bundle, credentials.certificate, credentials.key)
            await ports.condor.submit_anchor(description, content)
            outcome.accepted.append(pool)
            _log.info("Pool %s: anchor submitted", pools[pool].name)
        case SubmitWorkers(pool, description, names):
            await ports.condor.submit_workers(description, names)
            outcome.accepted.append(pool)
            metrics.SUBMITTED.inc(len(names))
            _log.info("Pool %s: %d workers submitted", pools[pool].name, len(names))
        case Hold(jobs, reason):
            await ports.condor.hold(jobs, reason)
        case Remove(jobs, reason):
            await ports.condor.remove(jobs, reason)
            _log.info("%d jobs removed: %s", len(jobs), reason)
        case ForceRemove(jobs, reason):
            await ports.condor.force_remove(jobs, reason)
            _log.warning("%d jobs taken out of the queue: %s", len(jobs), reason)
        case ReadLogs(_, anchor, workers):
            found = await ports.condor.logs(anchor, workers)
            # An empty text says "looked, and there was nothing", so that nobody asks for ever.
            outcome.logs.update({worker: found.get(worker, "") for worker in workers})
        case Release(pool):
            outcome.released.append(pool)
        case _:
            assert_never(action)


async def _credentials(ports: Ports, pool: PoolFacts, observed: Observed) -> Credentials:
    cluster = observed.cluster
    if not isinstance(cluster, ClusterFacts) or cluster.credentials_secret is None:
        raise KubeError(f"pool {pool.name}", "its cluster names no Secret with credentials yet")
    return await ports.kube.credentials(cluster.namespace, cluster.credentials_secret)
