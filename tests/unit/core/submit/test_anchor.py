"""What an anchor shows of the next worker's size."""

from __future__ import annotations

from dataclasses import replace

from htcdask_operator.core.size import NOTHING, ONE, Kind, of_worker
from htcdask_operator.core.submit.anchor import shown_request
from tests.builders import NOW, make_anchor


def never() -> str | None:
    raise AssertionError("one template's anchors need no hash")


def test_the_newest_anchor_shows_what_a_transform_made_of_it() -> None:
    old = replace(make_anchor("now"), id="1.0", queued_at=NOW - 50, request_memory_mib=1000)
    new = replace(make_anchor("now"), id="2.0", queued_at=NOW - 10, request_memory_mib=3000)
    assert shown_request([new, old], ONE, never)[Kind.MEMORY] == 3000
    assert shown_request([], ONE, never) == NOTHING


def test_an_anchor_of_another_template_says_nothing_beside_one_of_this() -> None:
    ours = replace(make_anchor("now"), id="1.0", queued_at=NOW - 50, request_memory_mib=1000)
    other = replace(make_anchor("before"), id="2.0", queued_at=NOW - 10, request_memory_mib=6000)
    assert shown_request([ours, other], ONE, lambda: "now")[Kind.MEMORY] == 1000
    assert shown_request([ours, other], ONE, lambda: None) == NOTHING


def test_the_hash_is_not_asked_where_nobody_requests_more_than_the_template() -> None:
    jobs = [make_anchor("now", request_memory_mib=1000), make_anchor("before", request_memory_mib=2000)]
    assert shown_request(jobs, of_worker(1, 2000, None), never) == NOTHING
