"""What the operator says about a pool: `HTCWorkerPool.status`.

Written by the operator only, read by the client and the gateway's route. A cache: wiping it loses nothing but
the memory of recent failures, of an earlier identity's jobs, and of what a scheduler was told. Times are
RFC 3339 strings in UTC, as Kubernetes writes them.
"""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from .base import ApiModel

MAX_EXPLANATIONS: Final = 5
MAX_RECENT_FAILURES: Final = 5
MAX_CONDITIONS: Final = 16
MAX_LOG_TAIL: Final = 1024
MAX_MESSAGE: Final = 4096
MAX_NAME: Final = 256

READY: Final = "Ready"
ENDED: Final = "Ended"
"""The reason of Ready for a pool of which nothing is left."""
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
CLUSTER_ACTIVE: Final = "ClusterActive"
CONDOR_REACHABLE: Final = "CondorReachable"
HEARTBEAT_FITS: Final = "HeartbeatFits"
"""Is there only where it is False."""
CONDITION_TYPES: Final = (READY, RECONCILING, STALLED, CLUSTER_ACTIVE, CONDOR_REACHABLE)

Reason = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[A-Za-z]([A-Za-z0-9_]*[A-Za-z0-9])?$")
]
Message = Annotated[str, StringConstraints(max_length=MAX_MESSAGE)]
ShortText = Annotated[str, StringConstraints(max_length=MAX_NAME)]
Count = Annotated[int, Field(ge=0)]


class Condition(ApiModel):
    """One condition, as metav1.Condition; `lastTransitionTime` moves only when `status` flips."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Message = ""
    last_transition_time: str
    observed_generation: Count = 0


class Explanation(ApiModel):
    """One reason why `count` workers are not there yet, in words for the person who waits."""

    reason: Reason
    message: Message = ""
    count: Count = 0


class Failure(ApiModel):
    """One worker that ended badly, newest first in the list."""

    time: str
    worker: ShortText
    machine: ShortText | None = None
    reason: Reason
    message: Message = ""
    exit_code: int | None = None
    hold_reason_code: int | None = None
    log_tail: Annotated[str, StringConstraints(max_length=MAX_LOG_TAIL)] | None = None


class MemoryRequest(ApiModel):
    """What workers request instead of the template's memory, in MiB, and why, in words for people.

    `template_mib`: the template's memory that it grew from; with another one it begins anew.
    """

    request_mib: Annotated[int, Field(ge=64, le=2**30)]
    template_mib: Annotated[int, Field(ge=64, le=2**30)] | None = None
    message: Message = ""


class SchedulerTold(ApiModel):
    """What the scheduler was told to want for Manual pools, and what it wanted by itself: fewer.

    On the pool that follows the gateway, which gets none of it. After scale() the DaskCluster has the number.
    """

    replicas: Count
    before: Count
    word: Annotated[str, StringConstraints(max_length=64)] = ""  # the user's last until then, by its time


class PoolStatus(ApiModel):
    """`HTCWorkerPool.status`; everything may be missing on a pool that nobody has looked at yet."""

    observed_generation: Count = 0
    desired_replicas: Count = 0
    replicas: Count = 0
    selector: ShortText | None = None
    user: ShortText | None = None
    submitting: Count = 0
    idle: Count = 0
    running: Count = 0
    connected: Count = 0
    held: Count = 0
    retiring: Count = 0
    finished: Count = 0
    failed: Count = 0
    explanation: Annotated[tuple[Explanation, ...], Field(max_length=MAX_EXPLANATIONS)] = ()
    recent_failures: Annotated[tuple[Failure, ...], Field(max_length=MAX_RECENT_FAILURES)] = ()
    memory_request: MemoryRequest | None = None
    scheduler_told: SchedulerTold | None = None
    submitted_as: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    conditions: Annotated[tuple[Condition, ...], Field(max_length=MAX_CONDITIONS)] = ()

    @property
    def has_ended(self) -> bool:
        """Whether the pool's cluster has ended, and nothing of the pool is left."""
        ready = self.condition(READY)
        return ready is not None and ready.reason == ENDED

    def condition(self, type_: str) -> Condition | None:
        """The condition of this type, or None."""
        return next((condition for condition in self.conditions if condition.type == type_), None)
