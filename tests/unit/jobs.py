"""Jobs as the queue shows them, with sensible defaults."""

from typing import Any

from htcdask_operator.core.model import Job, JobStatus, Role
from tests.builders import IDENTITY


def make_job(id: str = "1.0", **changes: Any) -> Job:
    values: dict[str, Any] = {
        "status": JobStatus.IDLE,
        "role": Role.WORKER,
        "pool_uid": "p1",
        "cluster_uid": "c1",
        "owner": IDENTITY,
        "worker": f"w{id}",
        "template_hash": "t",
        "queued_at": 100.0,
        "status_since": 100.0,
    }
    return Job(id=id, **{**values, **changes})


def running(id: str = "1.0", **changes: Any) -> Job:
    return make_job(id, status=JobStatus.RUNNING, shadow_starts=1, started_at=101.0, **changes)
