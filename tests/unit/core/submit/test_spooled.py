"""Workers that bring their files: how they are described, and for how long none is tried without."""

from __future__ import annotations

from dataclasses import replace

import pytest

from htcdask_operator.condor import description as descriptions_
from htcdask_operator.core.model import Role
from htcdask_operator.core.size import Kind
from htcdask_operator.core.submit import anchor, descriptions, spooled
from htcdask_operator.core.submit.spooled import RefusedAnchor
from tests.builders import NOW, make_anchor, make_cluster, make_job, make_policy, make_pool, make_template


@pytest.mark.parametrize("delivery", ["stream", "transfer"])
def test_the_bundle_and_the_output_are_in_the_job_s_own_directory(delivery: str) -> None:
    policy, template = make_policy(delivery=delivery), make_template()
    usual = descriptions.workers(
        make_pool(), make_cluster(), template, "hash", "/spool/1", policy, NOW, "1.0"
    )
    own = spooled.described(
        descriptions.workers(make_pool(), make_cluster(), template, "hash", "", policy, NOW)
    )
    descriptions_.check(own, policy.operator_id)
    assert own["arguments"] == '"-p bundle.sh $(wname)"'
    assert own["output"] == own["error"] == "$(wout)"
    assert own["My.HTCDaskAnchor"] == '""'
    assert not {"My.Iwd", "My.In", "input", "stream_input", "transfer_input_files"} & own.keys()
    assert "/spool" not in str(own)
    moved = {"arguments", "output", "error", "My.HTCDaskAnchor"}
    same = {key: text for key, text in usual.items() if key in own and key not in moved}
    assert same.items() <= own.items(), "what rules and limits see is the same"


def test_an_anchor_is_not_asked_for_as_long_as_the_refusal_holds() -> None:
    refused = RefusedAnchor("hash", NOW, "No.")
    assert anchor.sort([], "hash", NOW + 3599, refused).refused == refused
    assert anchor.sort([], "hash", NOW + 3600, refused).refused is None
    assert anchor.sort([], "other", NOW, refused).refused is None
    assert anchor.sort([], None, NOW, refused).refused is None
    assert anchor.sort([make_anchor("hash")], "hash", NOW, refused).refused is None, (
        "there is one all the same"
    )
    assert anchor.sort([make_anchor("other")], "hash", NOW, refused).refused == refused


def test_without_an_anchor_a_worker_with_its_files_shows_what_a_transform_made_of_it() -> None:
    worker = replace(make_job("w1", request_memory_mib=4000), stage_in_finish=NOW)
    assert (
        anchor.shown_request([worker, make_job("w2", request_memory_mib=9)], lambda: "")[Kind.MEMORY] == 4000
    )
    held = replace(make_anchor("hash"), request_memory_mib=3000)
    assert anchor.shown_request([worker, held], lambda: "hash")[Kind.MEMORY] == 3000


def test_a_log_is_where_its_worker_s_files_are() -> None:
    own = make_job("w1", stage_in_finish=NOW)
    jobs = [own, make_job("w2", stage_in_finish=NOW), make_job("w3")]
    assert spooled.keepers(jobs, ["w1", "w3", "w4"]) == {"w1": own}
    assert not spooled.has_files(replace(make_anchor("hash"), role=Role.ANCHOR))
