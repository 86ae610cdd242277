"""What a person reads about the workers, from a pool's status alone."""

from typing import Any

from htcdask_api import ClusterRef, PoolSpec, PoolStatus
from htcdaskgateway import ClusterExplanation, Pool
from htcdaskgateway._explain import NO_POOL, one_line, status_html

SINCE = "2026-01-01T00:00:00Z"


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE}


def pool(name: str = "default", **status: Any) -> Pool:
    return Pool(name, PoolSpec(cluster_ref=ClusterRef(name="a29b")), PoolStatus.model_validate(status))


WAITING = pool(
    desiredReplicas=4,
    replicas=4,
    running=3,
    connected=2,
    idle=1,
    failed=1,
    explanation=[{"reason": "NoMatchingSlots", "message": "no slot has 64 cores", "count": 1}],
    conditions=[
        condition("Ready", "False", "WorkersMissing", "2 of 4 workers are connected"),
        condition("CondorReachable", "True", "Reachable"),
        condition("Stalled", "False", "Progressing"),
    ],
    recentFailures=[
        {
            "time": SINCE,
            "worker": "w-1",
            "machine": "slot1@<ep>",
            "reason": "Exited",
            "exitCode": 2,
            "logTail": "Traceback\nModuleNotFoundError: no module named 'x'\n",
        }
    ],
)


def test_one_line() -> None:
    expected = "2 of 4 workers connected, 1 starting, 1 idle; NoMatchingSlots: no slot has 64 cores"
    assert one_line(WAITING.status) == expected
    assert repr(WAITING) == f"Pool<default: {expected}>"


def test_a_stalled_pool_says_why_first() -> None:
    stalled = pool(conditions=[condition("Stalled", "True", "ImageMissing", "no such image")])
    assert one_line(stalled.status) == "0 of 0 workers connected; ImageMissing: no such image"
    assert "Stalled is True: ImageMissing: no such image" in str(ClusterExplanation("c", (stalled,)))


def test_the_text() -> None:
    text = str(ClusterExplanation("gateway.a29b", (WAITING,)))
    assert text == repr(ClusterExplanation("gateway.a29b", (WAITING,)))
    assert text.splitlines() == [
        "HTCondor workers of cluster gateway.a29b",
        "  pool default: 2 of 4 workers connected (1 idle, 3 running, 1 failed)",
        "    1 waiting: NoMatchingSlots: no slot has 64 cores",
        "    Ready is False: WorkersMissing: 2 of 4 workers are connected",
        f"    worker w-1 on slot1@<ep> at {SINCE}: Exited (exit code 2)",
        "    its last lines:",
        "      Traceback",
        "      ModuleNotFoundError: no module named 'x'",
    ]


def test_html_is_escaped() -> None:
    html = ClusterExplanation("gateway.a29b", (WAITING,))._repr_html_()
    assert "slot1@&lt;ep&gt;" in html
    assert "<pre>Traceback\nModuleNotFoundError" in html


def test_no_pool_and_several() -> None:
    assert NO_POOL in str(ClusterExplanation("c", ()))
    assert NO_POOL in ClusterExplanation("c", ())._repr_html_()
    assert NO_POOL in status_html([])
    several = status_html([pool("cpu"), pool("gpu", desiredReplicas=2)])
    assert "HTCondor, gpu:</b> 0 of 2 workers connected" in several


def test_a_pool_that_nobody_looked_at() -> None:
    assert "the operator has not looked at this pool yet" in str(ClusterExplanation("c", (pool(),)))
