"""A pool's HTCWorkerLog: what is written, over what the API server shows of it. Pure, for `api`.

Whatever somebody else wrote into it is read as far as it is what it should be, made harmless, and pushed out
by what comes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from htcdask_api import WorkerLog, manifest, names
from htcdask_operator.core import sanitize
from htcdask_operator.core.model import PoolFacts
from htcdask_operator.core.workers.worker_logs import merged
from htcdask_operator.kube.bodies import mapping, text
from htcdask_operator.kube.errors import KubeError


def body(
    pool: PoolFacts, new: Sequence[WorkerLog], found: Mapping[str, Any] | None, now: float
) -> dict[str, Any]:
    """The whole object, for a server-side apply. `found`: as it is now; None: it is not there.

    KubeError (409) if it is an earlier pool's: Kubernetes is about to delete it, and it would be lost.
    """
    metadata: dict[str, Any] = {"name": pool.name}
    if found is not None:
        there = mapping(found.get("metadata"))
        if not any(text(owner.get("uid")) == pool.uid for owner in _maps(there.get("ownerReferences"))):
            raise KubeError(f"worker log {pool.name}", "it belongs to an earlier pool of that name", 409)
        metadata["uid"] = text(there.get("uid"))  # this one, or none
    metadata["ownerReferences"] = [manifest.pool_reference(pool.name, pool.uid)]
    before = [] if found is None else list(_entries(found))
    told = merged(list(map(sanitize.worker_log, new)), before, now)
    written = [log.model_dump(mode="json", by_alias=True, exclude_none=True) for log in told]
    version, kind = names.API_VERSION, names.LOG_KIND
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "workers": written}


def _entries(found: Mapping[str, Any]) -> Iterator[WorkerLog]:
    for entry in _maps(found.get("workers")):
        try:
            yield sanitize.worker_log(WorkerLog.model_validate(entry))
        except ValidationError:
            continue


def _maps(value: object) -> list[Mapping[str, Any]]:
    return [mapping(entry) for entry in value] if isinstance(value, list) else []
