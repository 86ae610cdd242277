"""What a person reads about the workers, as text and as HTML, from a pool's status alone."""

import dataclasses

from htcdaskgateway import ClusterExplanation
from htcdaskgateway._worker_pools.explanation import NO_POOL, NOBODY_FOLLOWS
from tests.client.pool_statuses import MANUAL, SINCE, WAITING, condition, pool


def test_the_text_lists_counts_reasons_and_the_last_failures() -> None:
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


def test_a_stalled_pool_says_why() -> None:
    stalled = pool(conditions=[condition("Stalled", "True", "ImageMissing", "no such image")])
    assert "Stalled is True: ImageMissing: no such image" in str(ClusterExplanation("c", (stalled,)))


def test_a_cluster_that_should_be_replaced_says_so_also_where_all_is_well() -> None:
    well, full = (
        condition("Ready", "True", "Well"),
        condition("HeartbeatFits", "False", "TooManyNames", "Many."),
    )
    text = str(ClusterExplanation("c", (pool(conditions=[well, full]),)))
    assert text.splitlines()[-1] == "    HeartbeatFits is False: TooManyNames: Many."


def test_what_two_conditions_say_is_said_once() -> None:
    same = ("UnknownProfile", "no profile 'gpu' here")
    both = pool(conditions=[condition("Ready", "False", *same), condition("Stalled", "True", *same)])
    text = str(ClusterExplanation("c", (both,)))
    assert "Ready is False, Stalled is True: UnknownProfile: no profile 'gpu' here" in text
    assert text.count("UnknownProfile") == 1
    other = pool(
        conditions=[condition("Ready", "False", *same), condition("Stalled", "True", "Other", "one")]
    )
    assert str(ClusterExplanation("c", (other,))).splitlines()[-2:] == [
        "    Ready is False: UnknownProfile: no profile 'gpu' here",
        "    Stalled is True: Other: one",
    ]


def test_html_is_escaped() -> None:
    html = ClusterExplanation("gateway.a29b", (WAITING,))._repr_html_()
    assert "slot1@&lt;ep&gt;" in html
    assert "<pre>Traceback\nModuleNotFoundError" in html


def test_that_no_pool_follows_the_cluster_is_said() -> None:
    own = dataclasses.replace(pool("big"), spec=MANUAL)
    alone, beside = ClusterExplanation("c", (own,)), ClusterExplanation("c", (pool(), own))
    assert str(alone).splitlines()[1] == f"  {NOBODY_FOLLOWS}"
    assert NOBODY_FOLLOWS in alone._repr_html_()
    assert NOBODY_FOLLOWS not in str(beside)


def test_no_pool_is_said() -> None:
    assert NO_POOL in str(ClusterExplanation("c", ()))
    assert NO_POOL in ClusterExplanation("c", ())._repr_html_()


def test_a_pool_that_nobody_looked_at_says_so() -> None:
    assert "the operator has not looked at this pool yet" in str(ClusterExplanation("c", (pool(),)))


def test_a_pool_whose_workers_ran_out_of_memory_says_what_they_request_now() -> None:
    said = "Workers now request 6 GiB of memory: 1 worker ran out of 4 GiB."
    larger = pool(memory_request={"request_mib": 6144, "message": said})
    assert f"    memory: {said}" in str(ClusterExplanation("c", (larger,))).splitlines()
