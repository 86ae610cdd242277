"""What an HTCWorkerPool says: models and names shared by the client, the operator and the tests.

Promises: no I/O, and no import besides pydantic and the standard library.
"""

from .base import complaint, shown_name, shown_names
from .quantity import parse_bytes
from .spec import ClusterRef, PoolSpec, Template
from .status import Condition, Explanation, Failure, PoolStatus

__all__ = [
    "ClusterRef",
    "Condition",
    "Explanation",
    "Failure",
    "PoolSpec",
    "PoolStatus",
    "Template",
    "complaint",
    "parse_bytes",
    "shown_name",
    "shown_names",
]
