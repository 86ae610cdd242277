"""What workers that ended printed last: `HTCWorkerLog.workers`, one object for each pool, of its name.

Written by the operator only, read by the client, the gateway's route and `kubectl`. An object of its own,
because a pool's status is watched and has to stay small. Times are RFC 3339 strings in UTC.
"""

from typing import Annotated, Final

from pydantic import Field, StringConstraints

from .base import ApiModel
from .status import MAX_NAME, Reason, ShortText

MAX_WORKERS: Final = 10
MAX_FINISHED: Final = 4
"""Of them, so that workers that come and go as they should leave room for those that failed."""
MAX_TEXT: Final = 16 * 1024
MAX_FINISHED_TEXT: Final = 4 * 1024
MAX_BYTES: Final = 128 * 1024
"""Of all entries as JSON; etcd takes ten times as much in one object."""

FINISHED: Final = "Finished"
"""The outcome of a worker that ended as it should; of any other it is the failure's reason."""


class WorkerLog(ApiModel):
    """One worker that ended by itself; newest first in the list."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=MAX_NAME)]
    machine: ShortText | None = None
    ended_at: str
    outcome: Reason
    exit_code: int | None = None
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT)] = ""


class WorkerLogs(ApiModel):
    """The object, without what every Kubernetes object has."""

    workers: Annotated[tuple[WorkerLog, ...], Field(max_length=MAX_WORKERS)] = ()
