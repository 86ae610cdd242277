"""A pool in one line, from its status alone."""

from htcdaskgateway._worker_pools.pool import lines, one_line
from tests.client.pool_statuses import WAITING, condition, pool


def test_one_line_counts_the_workers_and_gives_the_first_reason() -> None:
    expected = "2 of 4 workers connected, 1 starting, 1 idle; NoMatchingSlots: no slot has 64 cores"
    assert one_line(WAITING.status) == expected
    assert repr(WAITING) == f"Pool<default: {expected}>"


def test_workers_that_are_too_many_and_not_connected_are_ending() -> None:
    assert one_line(pool(desiredReplicas=1, running=3, connected=1).status) == (
        "1 of 1 workers connected, 2 ending"
    )
    both = pool(desiredReplicas=3, running=4, connected=1, idle=1)
    assert one_line(both.status) == "1 of 3 workers connected, 2 starting, 1 ending, 1 idle"


def test_a_stalled_pool_says_why_first() -> None:
    stalled = pool(conditions=[condition("Stalled", "True", "ImageMissing", "no such image")])
    assert one_line(stalled.status) == "0 of 0 workers connected; ImageMissing: no such image"


def test_several_are_told_by_name() -> None:
    of_one = one_line(pool().status)
    assert lines([pool()]) == of_one
    assert lines([pool(), pool("big")]) == f"default: {of_one}; big: {of_one}"
    assert lines([]) == ""
