"""Which reasons mean that waiting is in vain: the operator's own reasons, and its own sentences."""

import inspect
import re
from dataclasses import replace

import pytest

from htcdask_operator.core import reasons
from htcdask_operator.core.model import Gone
from htcdask_operator.core.workers import failure_policy
from htcdask_operator.kube.errors import KubeError
from htcdask_operator.reconcile.scheduler_pod import SchedulerPod
from htcdaskgateway import Pool
from htcdaskgateway._worker_pools import stalls
from tests.builders import NOW, make_cluster, make_observed, make_policy, make_pool, plan_for
from tests.client.pool_statuses import condition, pool


def stalled(reason: str, message: str = "so it is", name: str = "default", **status: object) -> Pool:
    conditions = [condition("Ready", "False", reason, message), condition("Stalled", "True", reason, message)]
    return pool(name, conditions=conditions, **status)


def test_every_reason_for_a_stalled_pool_is_decided_and_is_the_operators() -> None:
    source = inspect.getsource(reasons)
    section = source.partition("# --- Somebody has to do something")[2].partition("# ---")[0]
    listed = set(re.findall(r'Final = "(\w+)"', section))
    ends = {
        reason
        for reason, follows in failure_policy.BY_REASON.items()
        if follows.events is not None or follows.machines is not None
    }
    retried = {reasons.SUBMIT_REFUSED, reasons.ANOTHER_OPERATOR, reasons.ANOTHER_IDENTITY}
    decided = stalls.OF_THE_TEMPLATE | stalls.OF_THE_WORKERS | stalls.OF_THE_SITE
    assert decided == listed | ends | retried
    every = {value for value in vars(reasons).values() if isinstance(value, str)}
    assert every >= decided | stalls.OF_THE_END


def test_a_template_that_cannot_be_used_is_final() -> None:
    why = stalls.in_vain("gateway.a29b", [stalled("UnknownProfile", "The site has no profile gpux.")])
    assert why == (
        "No worker will come to cluster gateway.a29b. Pool default: UnknownProfile: The site has no profile "
        "gpux. What a pool's workers are is fixed: make a new cluster, or another pool by cluster.add_pool()."
    )


@pytest.mark.parametrize(
    ("pools", "final"),
    [
        ([], False),
        ([pool()], False),
        ([stalled("WorkersKeepFailing")], True),
        ([stalled("WorkersKeepFailing", connected=1)], False),
        ([stalled("SubmitRefused")], False),
        ([stalled("SomethingNewer")], False),
        ([pool(conditions=[condition("Ready", "True", "Ended")])], True),
        ([pool(conditions=[condition("Ready", "False", "CondorUnreachable")])], False),
        ([stalled("ImageMissing"), pool("gpu")], False),
        ([stalled("ImageMissing"), stalled("UnknownProfile", name="gpu")], True),
    ],
)
def test_one_pool_that_may_give_workers_is_enough_to_wait_for(pools: list[Pool], final: bool) -> None:
    assert (stalls.in_vain("c", pools) is not None) is final


def test_a_cluster_has_ended_when_all_its_pools_say_so() -> None:
    ended = pool(conditions=[condition("Ready", "True", "Ended")])
    ending = pool("gpu", conditions=[condition("Ready", "False", "ClusterInactive")])
    deleted = pool("gpu", conditions=[condition("Ready", "False", "RemovingJobs")])
    assert stalls.cluster_has_ended([ended, ending])
    assert not stalls.cluster_has_ended([ended, deleted])
    assert not stalls.cluster_has_ended([pool(conditions=[])])
    assert not stalls.cluster_has_ended([])


def failed(*workers: str) -> Pool:
    failures = [
        {"worker": worker, "reason": "BadImage", "message": "so", "time": "2026-11-26T10:00:00Z"}
        for worker in workers
    ]
    return stalled("WorkersKeepFailing", "Next try at 10:10:00Z.", recent_failures=failures)


def test_who_waits_again_waits_for_the_next_try() -> None:
    """Whatever was wrong may have been mended since."""
    known = stalls.failing([failed("a", "b"), stalled("ImageMissing", name="never")])
    assert known == {"default": frozenset({"a", "b"})}
    assert stalls.in_vain("c", [failed("b", "a")], known) is None
    assert stalls.in_vain("c", [failed("b")], known) is None  # the oldest are forgotten
    why = stalls.in_vain("c", [failed("c", "b", "a")], known)
    assert why is not None
    assert why.startswith("No worker comes to cluster c. Pool default: WorkersKeepFailing: Next try at 10:10")
    assert stalls.in_vain("c", [stalled("ImageMissing", name="never")], known) is not None


def test_a_manual_pool_of_no_workers_gives_none() -> None:
    manual = pool("gpu")
    manual = replace(manual, spec=manual.spec.model_copy(update={"scaling": "Manual"}))
    assert stalls.in_vain("c", [manual, stalled("ImageMissing")]) is not None
    manual = replace(manual, spec=manual.spec.model_copy(update={"replicas": 1}))
    assert stalls.in_vain("c", [manual, stalled("ImageMissing")]) is None


@pytest.mark.parametrize(
    ("waits", "said"),
    [
        ("ErrImagePull: typo:latest: not found.", "ErrImagePull: typo:latest: not found"),
        ("CrashLoopBackOff", "CrashLoopBackOff"),
        (
            "its container dask-scheduler ended with exit code 1",
            "its container dask-scheduler ended with exit code 1",
        ),
        ("Unschedulable: 0/3 nodes are available", None),
        ("", None),
        (Gone(), None),  # the controller's log says why
        (None, None),
    ],
)
async def test_what_keeps_a_scheduler_from_running_is_read_in_the_operators_sentence(
    waits: str | Gone | None, said: str | None
) -> None:
    class Kube:
        async def scheduler_pod(self, namespace: str, cluster: str) -> str | Gone:
            if waits is None:
                raise KubeError("GET pods", "forbidden", 403)
            return waits

    cluster = make_cluster(running=False, phase="Pending")
    words = await SchedulerPod(ask_at=NOW).look(Kube(), cluster, NOW)  # type: ignore[arg-type]
    observed = make_observed(cluster, scheduler_waits=words)
    [status] = plan_for([make_pool()], observed, make_policy()).statuses.values()
    assert stalls.scheduler_cannot_start([pool(**status.model_dump(by_alias=True))]) == said
