"""What an HTCWorkerPool says: models and names shared by the client, the operator and the tests.

`spec` and `status` are its two halves, `manifest` the whole object and its owner reference, `worker_log` what
its workers printed, `names` every name that two sides must agree on. `expressions` and `quantity` hold the
rules of single texts, `base` the manner of all models. Promises: no I/O, and no import besides pydantic and
the standard library.
"""

from .base import complaint, shown_name, shown_names
from .quantity import parse_bytes
from .spec import ClusterRef, PoolSpec, Template
from .status import Condition, Explanation, Failure, MemoryRequest, PoolStatus, SchedulerTold
from .worker_log import WorkerLog, WorkerLogs

__all__ = [
    "ClusterRef",
    "Condition",
    "Explanation",
    "Failure",
    "MemoryRequest",
    "PoolSpec",
    "PoolStatus",
    "SchedulerTold",
    "Template",
    "WorkerLog",
    "WorkerLogs",
    "complaint",
    "parse_bytes",
    "shown_name",
    "shown_names",
]
